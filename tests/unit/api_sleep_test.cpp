#include "api_harness.hpp"
#include "catch.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using namespace std::chrono_literals;

TEST_CASE("an engine is put to sleep in the mode of the body, paused without one") {
    api_harness api;
    CHECK(api.ask("POST", "/engines/u1/sleep", "").status == 200);
    CHECK(api.ask("POST", "/engines/u1/sleep", R"({"mode":"paused"})").status == 200);
    CHECK(api.ask("POST", "/engines/u1/sleep", R"({"mode":"stopped"})").status == 200);
    CHECK(api.fake().calls ==
          std::vector<std::string>{"sleep u1 paused", "sleep u1 paused", "sleep u1 stopped"});
}

TEST_CASE("a mode that is none is refused, and nothing is done") {
    api_harness api;
    const auto refused = api.ask("POST", "/engines/u1/sleep", R"({"mode":"deep"})");
    CHECK(refused.status == 400);
    CHECK_THAT(refused.body, Contains("mode: must be \\\"paused\\\" or \\\"stopped\\\""));
    CHECK(api.ask("POST", "/engines/u1/sleep", R"({"mode":1})").status == 400);
    CHECK(api.fake().calls.empty());
}

TEST_CASE("waking answers with the whole engine and its key") {
    api_harness api;
    const auto reply = api.ask("POST", "/engines/u1/wake", "");
    CHECK(reply.status == 200);
    CHECK_THAT(reply.body, Contains(R"("api_key":)"));
    CHECK(api.fake().calls == std::vector<std::string>{"wake u1"});
}

TEST_CASE("an engine that sleeps is shown with how it does, and since when") {
    api_harness api;
    auto record = *api.fake().engine->record;
    record.status = roundhouse::engine_status::sleeping;
    record.reason = "idle";
    api.fake().engine->record = std::make_shared<const roundhouse::engine_record>(record);
    api.fake().engine->sleep_mode = roundhouse::sleep_mode::stopped;
    api.fake().engine->sleeping_since = roundhouse::instant{1'700'000'000'000ms};
    CHECK_THAT(api.ask("GET", "/engines/u1").body,
               Contains(R"("sleep_mode":"stopped","sleeping_since":"2023-11-14T22:13:20.000Z",)"));
}
