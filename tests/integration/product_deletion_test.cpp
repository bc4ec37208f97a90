#include "catch.hpp"
#include "io_threads.hpp"
#include "running_server.hpp"

#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/trash.hpp>

#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;
namespace sub = roundhouse::detail::subprocess;

namespace {

httplib::Client admin_of(const running_server& server) {
    httplib::Client admin("http://" + server.address);
    admin.set_default_headers({{"X-Admin-Key", admin_key}});
    admin.set_read_timeout(30);
    return admin;
}

/// Registers the product "acme"; returns its platform key, or the code of the refusal.
std::string register_acme(const running_server& server) {
    const auto answer = admin_of(server).Post(
        "/products/register", R"({"slug":"acme","display_name":"Acme"})", "application/json");
    REQUIRE(answer);
    return answer->status == 200 ? member(answer->body, "platform_api_key")
                                 : member(answer->body, "code");
}

bool is_running(pid_t pid) {
    const auto stat = sub::read_process_stat(pid);
    return stat && stat->state != 'Z';
}

/// The folders and files in a folder of the store; 0 if there is no such folder.
std::size_t entries_in(const fs::path& folder) {
    if (!fs::exists(folder)) return 0;
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder), fs::directory_iterator{}));
}

} // namespace

TEST_CASE("a product is deleted with its engines also by a server that was killed meanwhile") {
    const temporary_folder folder;
    const auto store = folder.path() / "store";
    std::vector<pid_t> processes;
    std::optional<running_server> server(std::in_place, options(folder.path()));
    const auto kept = member(server->provision("ann"), "engine_id");
    const auto key = register_acme(*server);
    const httplib::Headers as_acme{{"X-Platform-Key", key}};
    httplib::Client acme("http://" + server->address);
    acme.set_read_timeout(30);
    for (int n = 0; n < 20; ++n) {
        const auto made = acme.Post("/engines/provision", as_acme,
                                    R"({"user_id":"user-)" + std::to_string(n) + "\"}",
                                    "application/json");
        REQUIRE(made);
        INFO(made->body);
        REQUIRE(made->status == 200);
        processes.push_back(process_of(folder, member(made->body, "engine_id")));
    }

    const auto refused = admin_of(*server).Delete("/products/acme");
    REQUIRE(refused);
    CHECK(refused->status == 409);
    CHECK_THAT(refused->body, Contains(R"("details":{"engines":20})"));
    const auto deleting = admin_of(*server).Delete("/products/acme?cascade=true");
    REQUIRE(deleting);
    CHECK(deleting->status == 202);
    CHECK(member(deleting->body, "status") == "deleting");
    CHECK(member(deleting->body, "engines") == "20");
    CHECK(acme.Get("/status", as_acme)->status == 401);
    server->process.signal(SIGKILL); // at whatever point the deletion is
    REQUIRE(server->process.wait() == -SIGKILL);

    server.emplace(options(folder.path()));
    CHECK(eventually([&] { return admin_of(*server).Get("/products/acme")->status == 404; }));
    CHECK(eventually([&] { return sub::count_trash(store.string()).value() == 0; }));
    for (const auto pid : processes) CHECK(eventually([&] { return !is_running(pid); }));
    CHECK(entries_in(store / "engines") == 1);
    CHECK(fs::exists(store / "engines" / kept));
    CHECK(entries_in(store / "workloads") == 1);
    CHECK(member(server->get("/engines/ann"), "status") == "running");

    const auto next = register_acme(*server);
    CHECK(next.starts_with("pk-sept-"));
    httplib::Client again("http://" + server->address);
    again.set_default_headers({{"X-Platform-Key", next}});
    const auto status = again.Get("/status");
    REQUIRE(status);
    CHECK(member(status->body, "total") == "0");
}

#endif
