#include "../catch.hpp"
#include "docker_fixture.hpp"

#include <string>

// Changes of containers from outside. The two macros are defined only if the programs are built:
// see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using Catch::Matchers::Contains;
using namespace roundhouse_tests;

TEST_CASE(
    "an engine sleeps when its container is paused from outside, and runs when it is resumed") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    running_server server(place.with());
    const auto name = container_of(server.post("/engines/provision", R"({"user_id":"ann"})"));
    REQUIRE(docker({"pause", name}).code == 0);
    REQUIRE(becomes(server, "ann", "sleeping"));
    REQUIRE(docker({"unpause", name}).code == 0);
    REQUIRE(becomes(server, "ann", "running"));
    REQUIRE(docker({"pause", name}).code == 0);
    REQUIRE(becomes(server, "ann", "sleeping"));
    CHECK(member(server.post("/engines/ann/admit", R"({"auto_wake":true})"), "admitted") == "true");
    CHECK(executions(server.get("/engines/ann")) == 1);
    CHECK(rows(server, "health_failed") == 0);
    server.client.Delete("/engines/ann");
}

TEST_CASE(
    "an engine that sleeps and wakes often is never taken for one that was paused from outside") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    running_server server(place.with({{"ORCH_SLEEP_AFTER_S", "0.05"}}));
    server.post("/engines/provision", R"({"user_id":"ann"})");
    for (int round = 0; round < 10; ++round) {
        REQUIRE(becomes(server, "ann", "sleeping"));
        CHECK(member(server.post("/engines/ann/admit", R"({"auto_wake":true})"), "admitted") ==
              "true");
    }
    CHECK_THAT(server.get("/audit?action=sleep"), !Contains("somebody else"));
    CHECK_THAT(server.get("/audit?action=wake"), !Contains("somebody else"));
    server.client.Delete("/engines/ann");
}

TEST_CASE("the audit row shows how a container ended: by a signal, by itself, for lack of memory") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    running_server server(place.with({{"ORCH_ENGINE_MEMORY_MB", "64"}}));
    const auto made = server.post("/engines/provision", R"({"user_id":"ann"})");
    const auto ask = [&](const std::string& path, const std::string& body) {
        httplib::Client engine(member(made, "url"));
        engine.set_default_headers({{"X-Engine-Key", member(made, "api_key")}});
        engine.Post(path, body, "application/json"); // the engine may end before it answers
    };
    const auto newest_failure = [&](std::size_t count) {
        REQUIRE(eventually([&] { return rows(server, "health_failed") == count; }));
        auto row = server.get("/audit?limit=1&action=health_failed");
        REQUIRE(becomes(server, "ann", "running"));
        return row;
    };
    REQUIRE(docker({"kill", container_of(made)}).code == 0);
    CHECK_THAT(newest_failure(1), Contains(R"("exit_code":137)") && !Contains("out_of_memory"));
    ask("/demo/exit", R"({"code":0})");
    CHECK_THAT(newest_failure(2), Contains(R"("exit_code":0)"));
    ask("/demo/memory", R"({"mib":256})");
    CHECK_THAT(newest_failure(3),
               Contains(on_podman() ? R"("exit_code":137)" : R"("out_of_memory":true)"));
    server.client.Delete("/engines/ann");
}

TEST_CASE("DELETE removes an engine of which a part was removed from outside") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    running_server server(place.with({{"ORCH_RESTART_MAX_ATTEMPTS", "0"}}));
    const auto gone = [&](const std::string& made) {
        const auto user = member(made, "user_id");
        CHECK(server.client.Delete("/engines/" + user)->status == 200);
        CHECK(containers_of(user).empty());
        CHECK(volumes_of(user).empty());
    };
    SECTION("the volume") {
        const auto made = server.post("/engines/provision", R"({"user_id":"half-1"})");
        REQUIRE(docker({"rm", "--force", container_of(made)}).code == 0);
        gone(made);
    }
    SECTION("the container") {
        const auto made = server.post("/engines/provision", R"({"user_id":"half-2"})");
        server.post("/engines/half-2/stop");
        REQUIRE(docker({"volume", "rm", "--force", volume_of(made)}).code != 0); // in use
        REQUIRE(docker({"rm", container_of(made)}).code == 0);
        REQUIRE(docker({"volume", "rm", volume_of(made)}).code == 0);
        gone(made);
    }
    SECTION("a paused container") {
        const auto made = server.post("/engines/provision", R"({"user_id":"half-3"})");
        REQUIRE(docker({"pause", container_of(made)}).code == 0);
        gone(made);
    }
}

TEST_CASE("an engine is recreated on its data after its container and network were removed") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    running_server server(place.with());
    const auto made = server.post("/engines/provision", R"({"user_id":"ann"})");
    CHECK(executions(made) == 1);
    server.post("/engines/ann/stop");
    REQUIRE(docker({"rm", container_of(made)}).code == 0);
    REQUIRE(docker({"network", "rm", place.network()}).code == 0);
    server.post("/engines/ann/start");
    CHECK(executions(server.get("/engines/ann")) == 2);
    server.client.Delete("/engines/ann");
}

TEST_CASE("the output of a failed boot is in the server's log, and in no answer") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    running_server server(
        place.with({{"DEMO_ENGINE_EXIT_CODE_AT_BOOT", "3"},
                    {"ORCH_ENGINE_ENV_PASSTHROUGH", "DEMO_ENGINE_EXIT_CODE_AT_BOOT"},
                    {"ORCH_RESTART_MAX_ATTEMPTS", "0"}}));
    const auto answer = server.post("/engines/provision", R"({"user_id":"ann"})", 504);
    CHECK_THAT(answer, Contains("BOOT_TIMEOUT") && Contains("exited with code 3") &&
                           !Contains("at boot, as asked"));
    CHECK_THAT(server.process.line_with("at boot, as asked"), Contains("\"output\":"));
    CHECK_THAT(server.get("/engines/ann/logs"), Contains("at boot, as asked"));
    CHECK_THAT(server.get("/audit?action=provision"), Contains(R"("exit_code":3)"));
    server.client.Delete("/engines/ann");
}

#endif
