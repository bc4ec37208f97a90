#include "../catch.hpp"
#include "docker_fixture.hpp"

#include <signal.h>

#include <string>

// The two macros are defined only if the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using Catch::Matchers::Contains;
using namespace roundhouse_tests;

TEST_CASE("an engine runs in a container from its provision to its end, and leaves nothing") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    running_server server(place.with());
    const auto made = server.post("/engines/provision", R"({"user_id":"ann"})");
    const auto name = container_of(made);
    const auto engine = [&] { return server.get("/engines/ann"); };
    CHECK(executions(engine()) == 1);

    server.post("/engines/ann/stop");
    CHECK(inspected(name, "{{.State.Status}}") == "exited");
    server.post("/engines/ann/start");
    CHECK(executions(engine()) == 2);
    server.post("/engines/ann/rotate-key");
    CHECK(executions(engine()) == 3);
    CHECK_THAT(server.get("/engines/ann/logs"), Contains("execution 3"));

    REQUIRE(docker({"kill", name}).code == 0);
    REQUIRE(eventually([&] { return rows(server, "auto_restart_success") == 1; }));
    CHECK(executions(engine()) == 4);
    REQUIRE(docker({"rm", "--force", name}).code == 0);
    REQUIRE(eventually([&] { return rows(server, "auto_restart_success") == 2; }));
    CHECK(executions(engine()) == 5);
    CHECK(rows(server, "health_failed") == 2);

    REQUIRE(server.client.Delete("/engines/ann")->status == 200);
    CHECK(docker({"inspect", name}).code != 0);
    CHECK(docker({"volume", "inspect", volume_of(made)}).code != 0);
}

TEST_CASE("a container has no more rights than an engine needs") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    running_server server(place.with({{"ORCH_ENGINE_MEMORY_MB", "256"},
                                      {"ORCH_ENGINE_CPUS", "0.5"},
                                      {"ORCH_ENGINE_PIDS", "100"}}));
    const auto made = server.post("/engines/provision", R"({"user_id":"ann"})");
    const auto host = [&](const std::string& field) {
        return inspected(container_of(made), "{{json .HostConfig." + field + "}}");
    };
    CHECK(status_of(container_of(made), "CapEff") == no_capabilities);
    CHECK(status_of(container_of(made), "NoNewPrivs") == "1");
    CHECK(host("ReadonlyRootfs") == "true");
    CHECK_THAT(host("Tmpfs"), Contains("/tmp"));
    CHECK(host("Init") == "true");
    CHECK(host("PidsLimit") == "100");
    CHECK(host("Memory") == std::to_string(256 * 1024 * 1024));
    CHECK(host("NanoCpus") == "500000000");
    CHECK_THAT(host("RestartPolicy"), Contains(R"("Name":"no")"));
    CHECK_THAT(host("PortBindings"), Contains(R"("HostIp":"127.0.0.1")"));
    CHECK(inspected(container_of(made),
                    "{{(index .Mounts 0).Name}}:{{(index .Mounts 0).Destination}}") ==
          volume_of(made) + ":/data");
    if (!on_podman()) CHECK(traffic_on(place.network()) == "false");
    server.client.Delete("/engines/ann");
}

TEST_CASE("an idle container is paused, also without its server, and is resumed by an admit") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    std::string made;
    {
        running_server server(place.with({{"ORCH_SLEEP_AFTER_S", "0.1"}}));
        made = server.post("/engines/provision", R"({"user_id":"ann"})");
        REQUIRE(becomes(server, "ann", "sleeping"));
        CHECK(inspected(container_of(made), "{{.State.Status}}") == "paused");
        server.process.signal(SIGKILL);
        server.process.wait();
    }
    running_server server(place.with());
    CHECK(member(server.get("/engines/ann"), "status") == "sleeping");
    CHECK(member(server.post("/engines/ann/admit", R"({"auto_wake":true})"), "admitted") == "true");
    CHECK(executions(server.get("/engines/ann")) == 1);
    server.client.Delete("/engines/ann");
}

TEST_CASE("the next server finds containers that ended, and leaves those that run") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    std::string ann;
    std::string bob;
    {
        running_server server(place.with());
        ann = server.post("/engines/provision", R"({"user_id":"ann"})");
        bob = server.post("/engines/provision", R"({"user_id":"bob"})");
        server.process.signal(SIGKILL);
        server.process.wait();
    }
    const auto bobs = inspected(container_of(bob), "{{.State.Pid}}");
    REQUIRE(docker({"rm", "--force", container_of(ann)}).code == 0);
    running_server server(place.with());
    CHECK(becomes(server, "ann", "running"));
    CHECK(rows(server, "health_failed") == 1);
    CHECK(inspected(container_of(bob), "{{.State.Pid}}") == bobs);
    for (const auto* const user : {"ann", "bob"})
        CHECK(server.client.Delete(std::string("/engines/") + user)->status == 200);
}

TEST_CASE("two servers on one daemon do not touch each other's containers") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place here;
    const docker_place there;
    running_server first(here.with());
    const auto made = first.post("/engines/provision", R"({"user_id":"ann"})");
    {
        running_server second(there.with());
        const auto other = second.post("/engines/provision", R"({"user_id":"ann"})");
        CHECK(inspected(container_of(made), "{{.State.Status}}") == "running");
        CHECK(second.client.Delete("/engines/ann")->status == 200);
    }
    CHECK(executions(first.get("/engines/ann")) == 1);
    first.client.Delete("/engines/ann");
}

TEST_CASE("an image that cannot be pulled is a 502 that says so, and leaves nothing") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    running_server server(place.with({{"ORCH_ENGINE_IMAGE", "localhost:1/no/such:image"}}));
    // Other tests have volumes at the same daemon, of other users.
    const std::string user = "user-without-image";
    const auto answer = server.post("/engines/provision", R"({"user_id":")" + user + R"("})", 502);
    CHECK_THAT(answer, Contains("BACKEND_ERROR") && Contains("localhost:1/no/such:image"));
    CHECK(member(server.get("/status"), "total") == "0");
    CHECK(volumes_of(user).empty());
}

#endif
