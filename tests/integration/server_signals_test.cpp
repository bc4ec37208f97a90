#include "catch.hpp"
#include "running_server.hpp"

#include <httplib.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <string>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

/// A server that a shell starts after a command of its own, such as one that sets a limit.
class server_after {
public:
    server_after(const std::string& command, const child_process::environment& variables)
        : process("/bin/sh", {"-c", command + R"( && exec "$0")", ROUNDHOUSE_SERVER}, variables),
          client("http://" + member(process.line_with("\"listening\""), "address")) {
        process.line_with("\"ready\"");
        client.set_default_headers({{"X-Platform-Key", platform_key}, {"X-Admin-Key", admin_key}});
        client.set_read_timeout(30);
    }

    /// The status of a reply to a product's registration that takes much room in the store.
    int register_large_product(const std::string& slug) {
        std::string versions;
        for (int i = 0; i < 100; ++i)
            versions += (i > 0 ? ",\"" : "\"") + std::to_string(i) + std::string(500, 'v') + '"';
        const auto reply = client.Post("/products/register",
                                       R"({"slug":")" + slug + R"(","display_name":"x",)" +
                                           R"("policy":{"allowed_versions":[)" + versions + "]}}",
                                       "application/json");
        return reply ? reply->status : 0;
    }

    child_process process;
    httplib::Client client;
};

} // namespace

TEST_CASE("a server goes on after signals that were not meant for it") {
    const temporary_folder folder;
    running_server server(options(folder.path(), {{"ORCH_ENGINE_BACKEND", "memory"}}));
    for (const int signal : {SIGALRM, SIGHUP, SIGIO, SIGPIPE, SIGPROF, SIGPWR, SIGQUIT, SIGSTKFLT,
                             SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ, SIGRTMIN, SIGRTMAX}) {
        CAPTURE(signal);
        server.process.signal(signal);
        CHECK(member(server.get("/health"), "status") == "ok");
    }
    server.process.line_with("there is nothing to read again"); // SIGHUP
    server.process.signal(SIGTERM);
    CHECK(server.process.wait() == 0);
}

TEST_CASE("a limit on the size of files makes writes fail, and ends no server") {
    const temporary_folder folder;
    server_after server("ulimit -f 4000",
                        options(folder.path(), {{"ORCH_ENGINE_BACKEND", "memory"}}));
    int status = 200;
    for (int i = 0; status == 200 && i < 1'000; ++i)
        status = server.register_large_product("large-" + std::to_string(i));
    CHECK(status == 503);
    const auto health = server.client.Get("/health");
    REQUIRE(health);
    CHECK(member(health->body, "status") == "degraded");
    server.process.signal(SIGTERM);
    CHECK(server.process.wait() == 0);
}

TEST_CASE("engines without isolation get the limits that the server was started with") {
    const temporary_folder folder;
    server_after server("ulimit -Sn 777 && ulimit -Sc 0",
                        options(folder.path(), {{"ORCH_ENGINE_ISOLATION", "none"}}));
    const auto made = server.client.Post("/engines/provision", R"({"user_id":"ada"})",
                                         "application/json");
    REQUIRE(made);
    REQUIRE(made->status == 200);
    const auto limits_of = [](pid_t process) {
        std::ifstream file("/proc/" + std::to_string(process) + "/limits");
        return std::string(std::istreambuf_iterator<char>(file), {});
    };
    const auto limits = limits_of(process_of(folder, member(made->body, "engine_id")));
    CHECK_THAT(limits, Contains("Max open files            777 "));
    CHECK_THAT(limits, Contains("Max core file size        0 "));
    server.process.signal(SIGTERM);
    CHECK(server.process.wait() == 0);
}

#endif
