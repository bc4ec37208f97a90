#include "catch.hpp"
#include "running_server.hpp"

#include <string>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;

namespace {

/// Options of a server whose engines run this command, and whose restarts are far off.
child_process::environment engines_that_run(const temporary_folder& folder,
                                            const std::string& command,
                                            child_process::environment more = {}) {
    more.insert({{"ORCH_ENGINE_COMMAND", command},
                 {"ORCH_RESTART_BACKOFF_BASE_S", "200"},
                 {"ORCH_RESTART_BACKOFF_MAX_S", "200"},
                 {"ORCH_ADMIT_WAIT_S", "0"}});
    return options(folder.path(), more);
}

} // namespace

TEST_CASE("an engine that exits while it boots tells how, also after a restart of the server") {
    const temporary_folder folder;
    const auto variables = engines_that_run(folder, "/bin/sh -c 'exit 3'");
    {
        running_server server(variables);
        const auto refused = server.provision("ada", 504);
        CHECK(member(refused, "cause") == "exited");
        CHECK(member(refused, "exit_code") == "3");
        CHECK(member(refused, "signal") == "null");
    }
    running_server server(variables);
    const auto engine = server.get("/engines/ada");
    CHECK(member(engine, "status") == "failed");
    CHECK(member(engine, "reason") == "it exited with code 3.");
    CHECK(member(engine, "exit_code") == "3");
    CHECK(member(engine, "attempts") == "0");
    CHECK(member(engine, "restart_at").starts_with("20"));
    CHECK(member(engine, "gave_up") == "false");
    CHECK(member(engine, "booted_at") == "null");

    const auto explained = server.get("/engines/ada/explain");
    CHECK(member(explained, "step") == "restart");
    CHECK(member(explained, "becomes") == "provisioning");
    CHECK(member(explained, "at").starts_with("20"));
}

TEST_CASE("an admit that a restart is too far off for says when to try again") {
    const temporary_folder folder;
    running_server server(engines_that_run(folder, "/bin/sh -c 'exit 3'"));
    server.provision("ada", 504);
    const auto refused = server.client.Post("/engines/ada/admit", "{}", "application/json");
    REQUIRE(refused);
    CHECK(refused->status == 200);
    CHECK(member(refused->body, "status") == "failed");
    const auto wait = member(refused->body, "retry_after_s");
    REQUIRE_FALSE(wait.empty());
    CHECK(std::stoi(wait) <= 200);
    CHECK(refused->get_header_value("Retry-After") == wait);
}

TEST_CASE("an engine that is too slow to boot is told apart from one that exits") {
    const temporary_folder folder;
    running_server server(
        engines_that_run(folder, "/bin/sleep 300",
                         {{"ORCH_BOOT_TIMEOUT_S", "0.3"}, {"ORCH_RESTART_MAX_ATTEMPTS", "0"}}));
    const auto refused = server.provision("ada", 504);
    CHECK(member(refused, "cause") == "timeout");
    CHECK(member(refused, "exit_code").empty());
    const auto engine = server.get("/engines/ada");
    CHECK(member(engine, "exit_code") == "null");
    CHECK(member(engine, "gave_up") == "true");
    CHECK(member(engine, "restart_at") == "null");
}

#endif
