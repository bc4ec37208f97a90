#include "../catch.hpp"
#include "docker_fixture.hpp"

#include <filesystem>
#include <fstream>
#include <string>

// The options of containers. The two macros are defined only if the programs are built: see
// tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using Catch::Matchers::Contains;
using Catch::Matchers::Equals;
using namespace roundhouse_tests;

TEST_CASE(
    "a container has the catalog, its own variables and those passed through, and no others") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    const scratch_folder catalog;
    std::ofstream(catalog.path() + "/entry") << "one";
    running_server server(place.with({{"ORCH_CATALOG_MOUNT_PATH", catalog.path()},
                                      {"MODEL", "large"},
                                      {"UNASKED", "no"},
                                      {"ORCH_ENGINE_ENV_PASSTHROUGH", "MODEL"}}));
    const auto made = server.post("/engines/provision", R"({"user_id":"ann"})");
    const auto name = container_of(made);
    const auto environment = inspected(name, "{{json .Config.Env}}");
    CHECK_THAT(
        environment,
        Contains("\"ENGINE_ID=" + member(made, "engine_id") + "\"") &&
            Contains("\"ENGINE_KEY_HASH=") && Contains("\"ENGINE_HOST=0.0.0.0\"") &&
            Contains("\"ENGINE_PORT=8000\"") && Contains("\"SQLITE_DB_PATH=/data/brain.sqlite\"") &&
            Contains("\"ENGINE_USER_ID=ann\"") && Contains("\"ENGINE_PRODUCT=demo\"") &&
            Contains("\"ENGINE_VERSION=" + member(made, "engine_version") + "\"") &&
            Contains("\"CATALOG_DIR=/catalog\"") && Contains("\"MODEL=large\"") &&
            !Contains("UNASKED") && !Contains("ORCH_") && !Contains(member(made, "api_key")));
    CHECK(inspected(name, "{{range .Mounts}}{{.Source}}:{{.Destination}}:{{.RW}} {{end}}")
              .find(catalog.path() + ":/catalog:false ") != std::string::npos);
    CHECK_THAT(httplib::Client(member(made, "url")).Get("/health")->body,
               Contains(R"("catalog":"ok")"));
    CHECK_THAT(inspected(name, "{{json .Config.Labels}}"),
               Contains(R"("dev.roundhouse.user":"ann")") &&
                   Contains(R"("dev.roundhouse.generation":"1")") &&
                   Contains(R"("dev.roundhouse.engine":")" + member(made, "engine_id")) &&
                   Contains("dev.roundhouse.instance") && Contains("dev.roundhouse.product"));
    server.client.Delete("/engines/ann");
}

TEST_CASE("an engine that is advertised by its network has no port of the host") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    running_server server(place.with({{"ORCH_ENGINE_ADVERTISE", "network"}}));
    const auto made = server.post("/engines/provision", R"({"user_id":"ann"})");
    const auto name = container_of(made);
    CHECK(member(made, "url") == "http://" + name + ":8000");
    CHECK(docker({"port", name}).output.empty());
    if (!on_podman()) CHECK(traffic_on(place.network()) == "true");
    REQUIRE(docker({"kill", name}).code == 0);
    CHECK(eventually([&] { return rows(server, "auto_restart_success") == 1; }));
    server.client.Delete("/engines/ann");
}

TEST_CASE("each right that is taken from containers can be given back") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    running_server server(place.with(
        {{"ORCH_ENGINE_RELAX", "capabilities, new-privileges,writable-root,no-init,traffic"},
         {"ORCH_ENGINE_PIDS", "0"},
         {"ORCH_ENGINE_USER", "0:0"}}));
    const auto made = server.post("/engines/provision", R"({"user_id":"ann"})");
    const auto host = [&](const std::string& field) {
        return inspected(container_of(made), "{{json .HostConfig." + field + "}}");
    };
    CHECK_THAT(status_of(container_of(made), "CapEff"), !Equals(no_capabilities) && !Equals(""));
    CHECK(status_of(container_of(made), "NoNewPrivs") == "0");
    CHECK(host("ReadonlyRootfs") == "false");
    CHECK(host("Init") != "true");
    CHECK(inspected(container_of(made), "{{.Config.User}}") == "0:0");
    if (!on_podman()) {
        CHECK(host("PidsLimit") == "null");
        CHECK(traffic_on(place.network()) == "true");
    }
    server.client.Delete("/engines/ann");
}

TEST_CASE("a container is made anew with changed ceilings and variables, on its data and port") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const docker_place place;
    running_server server(place.with({}));
    const auto made = server.post("/engines/provision",
                                  R"({"user_id":"ann","limits":{"memory_mb":64}})");
    const auto name = container_of(made);
    CHECK(executions(made) == 1);
    const auto memory = [&] { return inspected(name, "{{.HostConfig.Memory}}"); };
    CHECK(memory() == std::to_string(64 * 1024 * 1024));
    CHECK_THAT(server.patch("/engines/ann", R"({"limits":{"memory_mb":96},"env":{"MODE":"b"}})"),
               Contains(R"("pending":["limits","env"])"));
    CHECK(memory() == std::to_string(64 * 1024 * 1024));
    const auto after = server.patch("/engines/ann?restart=true", "{}");
    CHECK_THAT(after, Contains(R"("pending":[])"));
    CHECK(member(after, "url") == member(made, "url"));
    CHECK(memory() == std::to_string(96 * 1024 * 1024));
    CHECK_THAT(inspected(name, "{{json .Config.Env}}"), Contains("MODE=b"));
    CHECK(executions(after) == 2);
    server.client.Delete("/engines/ann");
}

#endif
