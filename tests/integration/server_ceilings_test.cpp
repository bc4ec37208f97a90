#include "../temporary_folder.hpp"
#include "catch.hpp"
#include "running_server.hpp"

#include <roundhouse/backend/subprocess/engine_cgroups.hpp>

#include <csignal>
#include <fstream>
#include <iterator>
#include <string>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

namespace sub = roundhouse::detail::subprocess;
using namespace roundhouse_tests;
using Catch::Matchers::Contains;

TEST_CASE("a ceiling of subprocesses that is set and does not hold is a warning at the start") {
    const temporary_folder folder;
    auto variables = options(folder.path(), {{"ORCH_ENGINE_ISOLATION", "none"}});
    SECTION("one that is set") {
        variables.insert({"ORCH_ENGINE_PIDS", "50"});
        running_server server(variables);
        server.process.line_with("ORCH_ENGINE_PIDS: does not hold with ORCH_ENGINE_ISOLATION=none");
    }
    SECTION("and the default is not") {
        running_server server(variables);
        server.process.signal(SIGTERM);
        CHECK_THAT(server.process.output(), !Contains("does not hold"));
    }
}

TEST_CASE("a subprocess that runs out of memory is told and audited as that") {
    std::ifstream own("/proc/self/cgroup");
    const sub::engine_cgroups groups{"/sys/fs/cgroup",
                                     std::string(std::istreambuf_iterator<char>(own), {}),
                                     "roundhouse-test-" + std::to_string(::getpid()),
                                     {}};
    if (!groups.hold(&sub::cgroup_controllers::memory))
        ROUNDHOUSE_SKIP("this process may make no control groups with a ceiling of memory");
    const temporary_folder folder;
    running_server server(
        options(folder.path(), {{"ORCH_ENGINE_MEMORY_MB", "64"},
                                {"ORCH_ENGINE_COMMAND", "/bin/sh -c 'exec tail /dev/zero'"},
                                {"ORCH_RESTART_MAX_ATTEMPTS", "0"}}));
    CHECK_THAT(server.provision("ada", 504), Contains("ran out of memory"));
    CHECK_THAT(server.get("/audit"), Contains(R"("out_of_memory":true)"));
    server.process.signal(SIGTERM);
    CHECK_THAT(server.process.output(), !Contains("does not hold"));
}

#endif
