#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/http/bodies.hpp>
#include <roundhouse/http/parameters.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using namespace std::chrono_literals;
namespace http = roundhouse::http;

namespace {

using texts = std::map<std::string, std::optional<std::string>>;

} // namespace

TEST_CASE("a merge patch of an engine's settings is taken as it is meant") {
    api_harness api;
    const auto reply = api.ask(
        "PATCH", "/engines/u1",
        R"({"env":{"TOKEN":"t","OLD":null},"metadata":null,"limits":{"memory_mb":64,"cpus":null},)"
        R"("sleep":{"after_s":0.5,"deep_after_s":2,"pinned":null},"stop_grace_s":null})");
    CHECK(reply.status == 200);
    CHECK(api.fake().calls == std::vector<std::string>{"change_settings u1"});
    const auto& change = api.fake().change_given.value();
    CHECK(change.env.texts == texts{{"OLD", std::nullopt}, {"TOKEN", "t"}});
    CHECK_FALSE(change.env.remove_all);
    CHECK(change.metadata.remove_all);
    CHECK(change.memory_mb.value == 64);
    CHECK(change.cpus.remove);
    CHECK_FALSE(change.pids.any());
    CHECK(change.sleep_after.value == 500ms);
    CHECK(change.deep_sleep_after.value == 2s);
    CHECK(change.pinned.remove);
    CHECK(change.stop_grace.remove);
    CHECK_FALSE(api.fake().change_options_given->restart);
    CHECK_FALSE(api.fake().change_options_given->if_revision);
}

TEST_CASE("null in place of an object of a merge patch removes all of its members") {
    const auto change = http::read_settings_body(R"({"env":null,"limits":null,"sleep":null})");
    REQUIRE(change);
    CHECK(change->env.remove_all);
    CHECK((change->memory_mb.remove && change->cpus.remove && change->pids.remove));
    CHECK((change->sleep_after.remove && change->pinned.remove));
    CHECK(change->deep_sleep_after.remove);
    CHECK_FALSE(change->metadata.any());
    CHECK_FALSE(change->stop_grace.any());
}

TEST_CASE("a merge patch of the wrong type is refused by the name of its member") {
    const std::vector<std::pair<std::string_view, std::string_view>> table{
        {R"({"env":[]})", "env: must be an object of strings and nulls, or null."},
        {R"({"env":{"A":1}})", "env.A: must be a string, or null."},
        {R"({"metadata":{"a":"b","a":null}})", "metadata.a: is given twice."},
        {R"({"limits":{"memory_mb":"64"}})", "limits.memory_mb: must be a whole number"},
        {R"({"limits":{"cpus":null,"cpus":1}})", "limits.cpus: is given twice."},
        {R"({"sleep":{"after_s":-1}})", "sleep.after_s: must be a number from 0 to 31622400"},
        {R"({"sleep":{"deep_after_s":31622401}})",
         "sleep.deep_after_s: must be a number from 0 to 31622400"},
        {R"({"sleep":{"pinned":1}})", "sleep.pinned: must be true or false"},
        {R"({"stop_grace_s":3601})", "stop_grace_s: must be a number from 0 to 3600"}};
    for (const auto& [body, complaint] : table) {
        INFO(body);
        api_harness api;
        const auto reply = api.ask("PATCH", "/engines/u1", body);
        CHECK(reply.status == 400);
        CHECK_THAT(reply.body, Contains(std::string(complaint)));
        CHECK(api.fake().calls.empty());
    }
}

TEST_CASE("a change restarts the engine, and depends on its revision, if it says so") {
    api_harness api;
    api.request.if_match = "\"12\"";
    CHECK(api.ask("PATCH", "/engines/u1?restart=true", "{}").status == 200);
    CHECK(api.fake().change_options_given->restart);
    CHECK(api.fake().change_options_given->if_revision == 12);
    CHECK(api.ask("PATCH", "/engines/u1?restart=maybe", "{}").status == 400);
}

TEST_CASE("If-Match names one revision between quotes, or is *") {
    const auto revision = [](std::string_view value) { return http::read_if_match(value); };
    CHECK(revision("\"3\"").value() == 3);
    CHECK(revision("*").value() == std::nullopt);
    // Tags that no engine has.
    for (const auto* const other :
         {"\"\"", "\"x\"", "\"3x\"", "\"03\"", "\"-1\"", "\"99999999999999999999\""})
        CHECK(revision(other).value() == 0);
    for (const auto* const wrong : {"", "3", "W/\"3\"", "\"3", "\"", "\"3\", \"4\"", "**"}) {
        INFO(wrong);
        const auto refused = revision(wrong);
        REQUIRE_FALSE(refused);
        CHECK_THAT(refused.error().message, Contains("If-Match must be one settings_revision"));
    }
}

TEST_CASE("names that a merge patch does not know are told, or refused") {
    api_harness api;
    const std::string body = R"({"metadatas":{},"sleep":{"after_":1},"limits":{"memory":1}})";
    const auto reply = api.ask("PATCH", "/engines/u1?restarts=true", body);
    CHECK(reply.status == 200);
    for (const auto* const nearest : {"metadata", "sleep.after_s", "restart"})
        CHECK_THAT(reply.ignored, Contains("nearest=\"" + std::string(nearest) + '"'));
    api.request.strict = true;
    CHECK(api.ask("PATCH", "/engines/u1", body).status == 400);
}

TEST_CASE("what an admit gives the engine that it creates is read like a provision") {
    api_harness api;
    api.fake().admitted_now.reset();
    api.ask("POST", "/engines/u1/admit",
            R"({"auto_provision":true,"provision":{"engine_version":"v2","env":{"A":"b"},)"
            R"("metadata":{"plan":"pro"},"limits":{"pids":9},"sleep":{"pinned":true},)"
            R"("stop_grace_s":1}})");
    REQUIRE(api.fake().admit_given);
    REQUIRE(api.fake().admit_given->provision);
    const auto& given = *api.fake().admit_given->provision;
    CHECK(given.version == "v2");
    CHECK(given.env == roundhouse::named_texts{{"A", "b"}});
    CHECK(given.metadata == roundhouse::named_texts{{"plan", "pro"}});
    CHECK(given.limits.pids == 9);
    CHECK(given.sleep.pinned == true);
    CHECK(given.stop_grace == 1s);
    const auto refused = api.ask("POST", "/engines/u1/admit",
                                 R"({"provision":{"env":{"PATH":"x"}}})");
    CHECK(refused.status == 400);
    CHECK_THAT(refused.body, Contains("provision.env.PATH: is set by the server"));
}

TEST_CASE("an engine shows its revision, and which settings wait for its next boot") {
    api_harness api;
    roundhouse::engine_settings settings;
    settings.revision = 4;
    settings.pending = {.env = true, .limits = true, .stop_grace = true, .sealed_env = "sealed"};
    api.fake().engine->pinned = true;
    api.fake().engine->pending = settings.pending;
    auto record = *api.fake().engine->record;
    record.settings = std::make_shared<const roundhouse::engine_settings>(settings);
    api.fake().engine->record = std::make_shared<const roundhouse::engine_record>(record);
    api.fake().engine->sleep_after = 1'500ms;
    api.fake().engine->deep_sleep_after = 1h;
    const auto reply = api.ask("GET", "/engines/u1");
    CHECK_THAT(
        reply.body,
        Contains(R"("sleep":{"after_s":1.5,"deep_after_s":3600,"pinned":true},)") &&
            Contains(R"("settings_revision":4,"pending":["limits","stop_grace_s","env"],)") &&
            !Contains("sealed"));
}
