#include "catch.hpp"
#include "running_server.hpp"

#include <csignal>
#include <optional>
#include <string>
#include <utility>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;

namespace {

/// What provisions an engine whose boot takes this long.
std::string slow(const std::string& user, const std::string& milliseconds) {
    return R"({"user_id":")" + user + R"(","env":{"DEMO_ENGINE_BOOT_DELAY_MS":")" + milliseconds +
           "\"}}";
}

const std::string never = "86400000";

} // namespace

TEST_CASE("a provision is answered before its engine has booted, which can be waited for") {
    const temporary_folder folder;
    running_server server(options(folder.path()));
    const auto begun = server.post("/engines/provision?wait_s=0", slow("ada", "1000"), 202);
    CHECK(member(begun, "status") == "provisioning");
    const auto booted = server.get("/engines/ada?wait_for=running,failed&wait_s=60");
    CHECK(member(booted, "status") == "running");
    CHECK(member(booted, "engine_id") == member(begun, "engine_id"));
    CHECK(member(booted, "api_key") == member(begun, "api_key"));
    CHECK(answers(member(booted, "url")));
    server.post("/engines/provision?wait_s=0", slow("ada", "0"), 409);
    server.post("/engines/ada/start?wait_s=0", "", 409);
    server.post("/engines/ada/stop?wait_s=60");
    const auto started = server.post("/engines/ada/start?wait_s=60", "");
    CHECK(member(started, "status") == "running");
}

TEST_CASE("who waits for less long than a boot takes is told how far it is") {
    const temporary_folder folder;
    running_server server(options(folder.path()));
    const auto begun = server.post("/engines/provision?wait_s=0.1", slow("ada", never), 202);
    CHECK(member(begun, "status") == "provisioning");
    const auto waited = server.get("/engines/ada?wait_for=running&wait_s=0.1", 202);
    CHECK(member(waited, "status") == "provisioning");
    const auto answer = server.client.Post("/engines/ada/admit?wait_s=0.1", "{}",
                                           "application/json");
    REQUIRE(answer);
    CHECK(answer->status == 202);
    CHECK(member(answer->body, "reason") == "engine_starting");
    CHECK(member(answer->body, "status") == "provisioning");
    CHECK(answer->get_header_value("Retry-After") == member(answer->body, "retry_after_s"));
    server.get("/engines/bob?wait_for=running", 404);
    server.get("/engines/ada?wait_for=gone", 400);
}

TEST_CASE("what was asked for before a 202 is done by a server that was killed after it") {
    const temporary_folder folder;
    std::optional<running_server> server(std::in_place, options(folder.path()));
    const auto begun = server->post("/engines/provision?wait_s=0", slow("ada", "500"), 202);
    server->process.signal(SIGKILL);
    REQUIRE(server->process.wait() == -SIGKILL);
    server.emplace(options(folder.path()));
    const auto booted = server->get("/engines/ada?wait_for=running&wait_s=60");
    CHECK(member(booted, "engine_id") == member(begun, "engine_id"));
}

#endif
