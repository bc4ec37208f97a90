#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/engine_upgrade.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using namespace std::chrono_literals;

namespace {

constexpr auto target = "/engines/u1/upgrade";

} // namespace

TEST_CASE("an upgrade names a version, and the rest has its defaults") {
    api_harness api;
    const auto reply = api.ask("POST", target, R"({"engine_version":"v2"})");
    CHECK(reply.status == 200);
    CHECK_THAT(reply.body, Contains(R"("api_key":)"));
    CHECK(api.fake().calls == std::vector<std::string>{"upgrade u1 v2"});
    const auto& given = api.fake().upgrade_given;
    CHECK(given.healthy_for == 10s);
    CHECK_FALSE(given.keep_copy);
    CHECK_FALSE(given.if_revision);
}

TEST_CASE("an upgrade is given how long to watch, whether to copy, and of which settings it is") {
    api_harness api;
    api.request.if_match = R"("7")";
    const auto* const body = R"({"engine_version":"v2","healthy_for_s":0.5,"keep_copy":false})";
    CHECK(api.ask("POST", target, body).status == 200);
    const auto& given = api.fake().upgrade_given;
    CHECK(given.healthy_for == 500ms);
    CHECK(given.keep_copy == false);
    CHECK(given.if_revision == 7U);
    api.request.if_match = "*";
    CHECK(api.ask("POST", target, body).status == 200);
    CHECK_FALSE(api.fake().upgrade_given.if_revision);
    api.request.if_match = "7";
    CHECK(api.ask("POST", target, body).status == 400);
}

TEST_CASE("an upgrade whose members are malformed is refused, and nothing is done") {
    api_harness api;
    for (const auto* const body : {"{}", R"({"engine_version":""})", R"({"engine_version":1})",
                                   R"({"engine_version":"v2","healthy_for_s":601})",
                                   R"({"engine_version":"v2","healthy_for_s":-1})",
                                   R"({"engine_version":"v2","keep_copy":"yes"})"}) {
        INFO(body);
        CHECK(api.ask("POST", target, body).status == 400);
    }
    CHECK(api.fake().calls.empty());
    CHECK(api.ask("POST", target, R"({"engine_version":"v2","healthy":1})").status == 200);
}

TEST_CASE("an upgrade that has failed tells its cause, and which version serves") {
    api_harness api;
    roundhouse::error failure{roundhouse::errc::upgrade_failed, "It has failed."};
    failure.details = roundhouse::error_details{
        roundhouse::boot_failure::exited, {3, {}, false}, true};
    api.fake().started = roundhouse::unexpected(failure);
    const auto reply = api.ask("POST", target, R"({"engine_version":"v2"})");
    CHECK(reply.status == 502);
    CHECK_THAT(
        reply.body,
        Contains(R"("code":"UPGRADE_FAILED")") &&
            Contains(
                R"("details":{"cause":"exited","exit_code":3,"signal":null,"out_of_memory":false,"reverted":true})"));
}

TEST_CASE("an engine that is upgraded is shown with its versions and its step") {
    api_harness api;
    roundhouse::engine_upgrade upgrade;
    upgrade.step = roundhouse::upgrade_step::watch;
    upgrade.from_version = "v1";
    upgrade.to_version = "v2";
    api.fake().engine->upgrade = std::make_shared<const roundhouse::engine_upgrade>(upgrade);
    api.fake().engine->pending.version = true;
    CHECK_THAT(
        api.ask("GET", "/engines/u1").body,
        Contains(
            R"("pending":["engine_version"],"upgrade":{"from":"v1","to":"v2","step":"watch"}})"));
}
