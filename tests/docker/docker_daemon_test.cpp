#include "../catch.hpp"
#include "own_daemon.hpp"

#include <string>

// A daemon that ends and is started again. The two macros are defined only if the programs are
// built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using Catch::Matchers::Contains;
using namespace roundhouse_tests;

namespace {

constexpr auto no_daemon = "no Docker daemon can be started here: it takes root and dockerd";

bool is_away(running_server& server) {
    return member(server.get("/health"), "status") == "degraded";
}

} // namespace

TEST_CASE(
    "while the daemon is away running engines are admitted, and the rest works when it is back") {
    if (!own_daemon::possible()) ROUNDHOUSE_SKIP(no_daemon);
    own_daemon daemon;
    REQUIRE(build_image({{"DOCKER_HOST", daemon.address()}}));
    const docker_place place;
    running_server server(place.with({{"DOCKER_HOST", daemon.address()},
                                      {"ORCH_HEALTH_CHECK_INTERVAL_S", "0.2"},
                                      {"ORCH_HEALTH_MAX_FAILURES", "2"}}));
    for (const auto* const user : {"ann", "bob"})
        server.post("/engines/provision", R"({"user_id":")" + std::string(user) + "\"}");
    CHECK(executions(server.get("/engines/ann")) == 1);
    server.post("/engines/bob/stop");

    SECTION("killed") {
        daemon.kill();
        REQUIRE(eventually([&] { return is_away(server); }));
        CHECK(member(server.post("/engines/ann/admit"), "admitted") == "true");
        CHECK(rows(server, "health_failed") == 0);
    }
    SECTION("stopped, which ends its containers") {
        daemon.stop();
        REQUIRE(eventually([&] { return is_away(server); }));
    }
    // Nothing was made, so that no row stays and the call can be repeated.
    for (int n = 0; n < 2; ++n)
        CHECK_THAT(server.post("/engines/provision", R"({"user_id":"cid"})", 502),
                   Contains("BACKEND_ERROR"));
    CHECK(member(server.get("/status"), "total") == "2");
    CHECK_THAT(server.post("/engines/bob/start", "{}", 502), Contains("BACKEND_ERROR"));
    CHECK(member(server.get("/engines/bob"), "status") == "stopped");

    daemon.start();
    REQUIRE(eventually([&] { return !is_away(server); }));
    // Engines that ended with the daemon are started again, and have used no attempt.
    CHECK(eventually([&] { return executions(server.get("/engines/ann")) > 1; }));
    CHECK(becomes(server, "ann", "running"));
    CHECK(rows(server, "auto_restart_failed") == 0);
    server.post("/engines/bob/start");
    for (const auto* const user : {"ann", "bob"})
        CHECK(server.client.Delete(std::string("/engines/") + user)->status == 200);
    CHECK(docker({"ps", "--all", "--quiet"}, {{"DOCKER_HOST", daemon.address()}}).output.empty());
    CHECK(docker({"volume", "ls", "--quiet"}, {{"DOCKER_HOST", daemon.address()}}).output.empty());
}

#endif
