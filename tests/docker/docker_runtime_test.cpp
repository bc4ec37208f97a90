#include "../catch.hpp"
#include "docker_fixture.hpp"

#include <string>

// Runtimes other than Docker's own. The two macros are defined only if the programs are built: see
// tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;

namespace {

/// Why no container of the demo engine can run in gVisor; empty if one can.
std::string no_gvisor() {
    const auto runtimes = docker({"info", "--format", "{{json .Runtimes}}"}).output;
    if (runtimes.find("\"runsc\"") == std::string::npos)
        return "Docker has no runtime runsc: scripts/with-docker.sh adds it where runsc is "
               "installed";
    // Without its variables the engine ends at once, with a code of its own.
    const auto ran = docker({"run", "--rm", "--runtime", "runsc", "roundhouse-test-engine:1"});
    constexpr int refused = 125; // by the daemon (docker-run(1))
    return ran.code == refused ? "runsc cannot run here: " + ran.output : std::string{};
}

} // namespace

TEST_CASE("an engine in gVisor is restarted, paused and destroyed like any other") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    if (on_podman()) ROUNDHOUSE_SKIP("Podman ignores the runtime of a container");
    if (const auto reason = no_gvisor(); !reason.empty()) ROUNDHOUSE_SKIP(reason);
    const docker_place place;
    running_server server(place.with({{"ORCH_ENGINE_RUNTIME", "runsc"}}));
    const auto made = server.post("/engines/provision", R"({"user_id":"ann"})");
    const auto name = container_of(made);
    CHECK(inspected(name, "{{.HostConfig.Runtime}}") == "runsc");
    CHECK(executions(server.get("/engines/ann")) == 1);

    server.post("/engines/ann/stop");
    CHECK(inspected(name, "{{.State.Status}}") == "exited");
    server.post("/engines/ann/start");
    CHECK(executions(server.get("/engines/ann")) == 2);
    CHECK(inspected(name, "{{.HostConfig.Runtime}}") == "runsc");

    REQUIRE(docker({"pause", name}).code == 0);
    CHECK(becomes(server, "ann", "sleeping"));
    CHECK(member(server.post("/engines/ann/admit", R"({"auto_wake":true})"), "admitted") == "true");
    CHECK(executions(server.get("/engines/ann")) == 3);

    REQUIRE(docker({"kill", name}).code == 0);
    CHECK(eventually([&] { return rows(server, "auto_restart_success") == 1; }));
    CHECK(executions(server.get("/engines/ann")) == 4);
    CHECK(server.client.Delete("/engines/ann")->status == 200);
    CHECK(docker({"inspect", name}).code != 0);
}

#endif
