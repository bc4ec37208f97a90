#include "api_harness.hpp"
#include "catch.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using namespace std::chrono_literals;
using roundhouse::errc;

namespace {

/// The calls that take `wait_s`, but admit.
const std::vector<std::pair<std::string, std::string>> bounded_calls{
    {"/engines/provision", R"({"user_id":"u1"})"},
    {"/engines/u1/start", ""},
    {"/engines/u1/stop", ""},
    {"/engines/u1/sleep", ""},
    {"/engines/u1/wake", ""},
    {"/engines/u1/rotate-key", ""},
    {"/engines/u1/upgrade", R"({"engine_version":"v2"})"},
};

} // namespace

TEST_CASE("a call whose caller has waited long enough is a 202 with the engine") {
    for (const auto& [path, body] : bounded_calls) {
        INFO(path);
        api_harness api;
        api.fake().progress->done = false;
        const auto reply = api.ask("POST", path + "?wait_s=1.5", body);
        CHECK(reply.status == 202);
        CHECK_THAT(reply.body, StartsWith(R"({"engine_id":"11111111-)"));
        REQUIRE(api.fake().calls.size() == 1);
        CHECK_THAT(api.fake().calls.front(), StartsWith("begin u1 ") && Contains(" for 1500"));
    }
}

TEST_CASE("a call that is done in time is answered as without a wait") {
    for (const auto& [path, body] : bounded_calls) {
        INFO(path);
        api_harness api;
        const auto waited = api.ask("POST", path + "?wait_s=600", body);
        CHECK(waited.status == 200);
        CHECK(waited.body == api.ask("POST", path, body).body);
    }
}

TEST_CASE("every call that takes wait_s knows its name") {
    for (const auto& [path, body] : bounded_calls) {
        INFO(path);
        api_harness api;
        api.request.strict = true;
        const auto reply = api.ask("POST", path + "?wait_s=600", body);
        CHECK(reply.status == 200);
        CHECK(reply.ignored.empty());
    }
}

TEST_CASE("what a caller waits for has the arguments of the call") {
    api_harness api;
    (void)api.ask("POST", "/engines/u1/stop?force=true&wait_s=0");
    REQUIRE(api.fake().begun_given);
    CHECK(std::get<roundhouse::engine_call::stop>(*api.fake().begun_given).force);
    (void)api.ask("POST", "/engines/u1/sleep?wait_s=0", R"({"mode":"stopped"})");
    CHECK(std::get<roundhouse::engine_call::sleep>(*api.fake().begun_given).mode ==
          roundhouse::sleep_mode::stopped);
    (void)api.ask("POST", "/engines/provision?wait_s=0",
                  R"({"user_id":"u1","engine_version":"v2"})");
    CHECK(std::get<roundhouse::engine_call::provision>(*api.fake().begun_given).options.version ==
          "v2");
    (void)api.ask("POST", "/engines/u1/upgrade?wait_s=0",
                  R"({"engine_version":"v2","healthy_for_s":3})");
    CHECK(std::get<roundhouse::engine_call::upgrade>(*api.fake().begun_given).options.healthy_for ==
          3s);
}

TEST_CASE("a wait that is none is refused, and nothing is done") {
    for (const auto* wait : {"601", "600.001", "-1", "+1", "1e2", "1.", ".5", "", "x", "0x1", "nan",
                             "1&wait_s=2", "99999999999999999999"})
        for (const auto& [path, body] : bounded_calls) {
            INFO(path << " " << wait);
            api_harness api;
            const auto refused = api.ask("POST", path + "?wait_s=" + wait, body);
            CHECK(told(refused) == "400 INVALID_REQUEST");
            CHECK_THAT(refused.body, Contains("wait_s"));
            CHECK(api.fake().calls.empty());
        }
}

TEST_CASE("a wait is rounded up to milliseconds") {
    api_harness api;
    for (const auto* wait : {"0.0001", "0.001", "0.12", "2.0000", "600.000"})
        (void)api.ask("POST", std::string("/engines/u1/start?wait_s=") + wait);
    CHECK(api.fake().calls == std::vector<std::string>{"begin u1 1 for 1", "begin u1 1 for 1",
                                                       "begin u1 1 for 120", "begin u1 1 for 2000",
                                                       "begin u1 1 for 600000"});
}

TEST_CASE("what a call is refused for is told at once, whatever its caller would wait") {
    api_harness api;
    api.fake().progress = fail(errc::engine_already_exists, "why");
    CHECK(told(api.ask("POST", "/engines/provision?wait_s=0", R"({"user_id":"u1"})")) ==
          "409 ENGINE_ALREADY_EXISTS");
}

TEST_CASE("a provision with an idempotency key takes no wait") {
    api_harness api;
    api.request.idempotency_key = "a-key";
    const auto refused = api.ask("POST", "/engines/provision?wait_s=1", R"({"user_id":"u1"})");
    CHECK(told(refused) == "400 INVALID_REQUEST");
    CHECK_THAT(refused.body, Contains("Idempotency-Key"));
    CHECK(api.fake().calls.empty());
}

TEST_CASE("an admit whose caller has waited long enough is a 202 that says when to ask again") {
    api_harness api;
    api.fake().admitted_now.reset();
    api.fake().admitted_later = roundhouse::admission{std::nullopt,
                                                      roundhouse::denial::engine_starting,
                                                      roundhouse::engine_status::provisioning, 1};
    const auto reply = api.ask("POST", "/engines/u1/admit?wait_s=2.5", R"({"auto_wake":true})");
    CHECK(reply.status == 202);
    CHECK(json_of(reply) == R"({"admitted":false,"engine":null,"reason":"engine_starting",)"
                            R"("status":"provisioning","retry_after_s":1})");
    CHECK(reply.retry_after_s == 1);
    REQUIRE(api.fake().admit_given);
    CHECK(api.fake().admit_given->wait == 2'500ms);
    CHECK(told(api.ask("POST", "/engines/u1/admit?wait_s=601")) == "400 INVALID_REQUEST");
    (void)api.ask("POST", "/engines/u1/admit");
    CHECK_FALSE(api.fake().admit_given->wait);
}

TEST_CASE("a look-up waits for the states that it names") {
    using enum roundhouse::engine_status;
    api_harness api;
    CHECK(api.ask("GET", "/engines/u1?wait_for=running").status == 200);
    CHECK(*api.fake().wanted_given == roundhouse::engine_statuses(running));
    api.fake().progress->done = false;
    CHECK(api.ask("GET", "/engines/u1?wait_s=2&wait_for=stopped,failed").status == 202);
    CHECK(*api.fake().wanted_given == roundhouse::engine_statuses{stopped, failed});
    CHECK(api.fake().calls ==
          std::vector<std::string>{"wait_for u1 for 30000", "wait_for u1 for 2000"});
    api.fake().progress = fail(errc::engine_not_found, "why");
    CHECK(told(api.ask("GET", "/engines/u1?wait_for=running")) == "404 ENGINE_NOT_FOUND");
}

TEST_CASE("states that are none are refused, and a wait for none is an unknown name") {
    api_harness api;
    for (const auto* states : {"gone", "running,", ",running", "running,,failed", "Running"})
        CHECK(told(api.ask("GET", std::string("/engines/u1?wait_for=") + states)) ==
              "400 INVALID_REQUEST");
    CHECK(told(api.ask("GET", "/engines/u1?wait_for=running&wait_s=x")) == "400 INVALID_REQUEST");
    CHECK(api.fake().calls.empty());
    const auto reply = api.ask("GET", "/engines/u1?wait_s=2");
    CHECK(reply.status == 200);
    CHECK_THAT(reply.ignored, Contains("wait_s"));
    CHECK(api.fake().calls == std::vector<std::string>{"find u1"});
}

TEST_CASE("the 404 of a creation that was undone tells why, without paths of the host") {
    api_harness api;
    roundhouse::error gone{errc::engine_not_found, "why"};
    gone.details = roundhouse::error_details{.cause = roundhouse::boot_failure::provision_failed,
                                             .reason = "the image in /var/images/one is broken",
                                             .at = roundhouse::instant{1'700'000'000'123ms}};
    api.fake().engine = roundhouse::unexpected(gone);
    CHECK(json_of(api.ask("GET", "/engines/u1")) ==
          R"({"error":{"code":"ENGINE_NOT_FOUND","message":"why","details":)"
          R"({"cause":"provision_failed","reason":"the image in one is broken",)"
          R"("at":"2023-11-14T22:13:20.123Z"}}})");
}
