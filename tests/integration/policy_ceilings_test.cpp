#include "../temporary_folder.hpp"
#include "catch.hpp"
#include "running_server.hpp"

#include <roundhouse/backend/subprocess/engine_cgroups.hpp>

#include <sys/types.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

namespace sub = roundhouse::detail::subprocess;
using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

/// Replaces the policy of the product "demo".
void set_policy(const running_server& server, const std::string& policy) {
    httplib::Client admin("http://" + server.address);
    admin.set_default_headers({{"X-Admin-Key", admin_key}});
    const std::string body = R"({"policy":)" + policy + "}";
    const auto answer = admin.Put("/products/demo/policy", body, "application/json");
    REQUIRE(answer);
    INFO(answer->body);
    REQUIRE(answer->status == 200);
    CHECK(answer->body == body + "\n");
}

std::string provision(running_server& server, const std::string& user, const std::string& settings,
                      int expected) {
    return server.post("/engines/provision", R"({"user_id":")" + user + "\"," + settings + "}",
                       expected);
}

std::string content_of(const std::string& file) {
    std::ifstream in(file);
    return std::string(std::istreambuf_iterator<char>(in), {});
}

/// The ceiling of memory, in bytes, of the control group that a process is in.
std::string memory_ceiling_of(pid_t process) {
    std::ifstream lines("/proc/" + std::to_string(process) + "/cgroup");
    for (std::string line; std::getline(lines, line);) {
        const auto folder = line.substr(line.rfind(':') + 1);
        std::string file;
        if (line.starts_with("0::")) file = "/sys/fs/cgroup" + folder + "/memory.max";
        else if (line.find(":memory:") != std::string::npos)
            file = "/sys/fs/cgroup/memory" + folder + "/memory.limit_in_bytes";
        if (auto ceiling = content_of(file); !ceiling.empty())
            return ceiling.substr(0, ceiling.find('\n'));
    }
    return {};
}

} // namespace

TEST_CASE("a product's policy bounds its engines one by one and together, also after a restart") {
    const temporary_folder folder;
    const auto variables = options(folder.path(), {{"ORCH_ENGINE_BACKEND", "memory"}});
    {
        running_server server(variables);
        set_policy(server, R"({"max_memory_mb":64,"max_pids":20,"max_total_memory_mb":128,)"
                           R"("max_cpus":0.5,"allow_env":false})");
        CHECK_THAT(server.provision("ada"),
                   Contains(R"("limits":{"memory_mb":64,"cpus":0.5,"pids":20})"));
        for (const std::string above : {R"("limits":{"memory_mb":65})", R"("limits":{"cpus":0.75})",
                                        R"("limits":{"pids":21})", R"("env":{"TOKEN":"value"})"})
            CHECK(member(provision(server, "bob", above, 403), "code") == "POLICY_DENIED");
        provision(server, "bob", R"("limits":{"memory_mb":32})", 200);
        CHECK(member(server.provision("eve", 429), "code") == "QUOTA_EXCEEDED");
        CHECK(member(server.post("/engines/eve/admit", R"({"auto_provision":true})", 429),
                     "code") == "QUOTA_EXCEEDED");
    }
    running_server server(variables);
    CHECK(member(server.provision("eve", 429), "code") == "QUOTA_EXCEEDED");
    provision(server, "eve", R"("limits":{"memory_mb":32})", 200);
    CHECK(member(server.provision("joe", 429), "code") == "QUOTA_EXCEEDED");
    const auto gone = server.client.Delete("/engines/ada");
    REQUIRE(gone);
    CHECK(gone->status == 200);
    server.provision("joe");
}

TEST_CASE("a policy may have a ceiling that subprocesses cannot have, and then none are made") {
    const temporary_folder folder;
    running_server server(options(folder.path(), {{"ORCH_ENGINE_ISOLATION", "none"}}));
    set_policy(server, R"({"max_memory_mb":64})");
    CHECK_THAT(server.provision("ada", 403),
               Contains("policy.max_memory_mb: cannot be held by this server's backend"));
    set_policy(server, "{}");
    server.provision("ada");
}

TEST_CASE("a policy's ceiling of memory holds for a subprocess from its next boot on") {
    const sub::engine_cgroups groups{"/sys/fs/cgroup",
                                     content_of("/proc/self/cgroup"),
                                     "roundhouse-test-" + std::to_string(::getpid()),
                                     {}};
    if (!groups.hold(&sub::cgroup_controllers::memory))
        ROUNDHOUSE_SKIP("this process may make no control groups with a ceiling of memory");
    const temporary_folder folder;
    running_server server(options(folder.path()));
    const auto engine_id = member(server.provision("ada"), "engine_id");
    const auto ceiling = [&] { return memory_ceiling_of(process_of(folder, engine_id)); };
    CHECK(ceiling() != "268435456");
    set_policy(server, R"({"max_memory_mb":256})");
    server.post("/engines/ada/stop");
    CHECK_THAT(server.post("/engines/ada/start"), Contains(R"("memory_mb":256)"));
    CHECK(ceiling() == "268435456");
}

#endif
