#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/call_types.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

// The engine object in the answers of the API: which members it has, and where.

using roundhouse::instant;
using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using namespace std::chrono_literals;

namespace {

const std::string members_of_admits =
    R"("engine_id":"11111111-2222-4333-8444-555555555555","user_id":"u1","status":"running",)"
    R"("url":"http://127.0.0.1:9001","api_key":"sk-sept-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",)"
    R"("engine_version":"engine:1","created_at":"2023-11-14T22:13:20.123Z","last_health_at":"2023-11-14T22:14:20.000Z")";
const std::string no_settings_shown =
    R"("metadata":{},"limits":{"memory_mb":null,"cpus":null,"pids":null},"sleep":{"after_s":1800,"deep_after_s":0,"pinned":false},"stop_grace_s":30,"env_names":[],"settings_revision":1,"pending":[],"upgrade":null)";

const std::string admitted_engine = "{" + members_of_admits + "}";
const std::string whole_engine_with_key =
    "{" + members_of_admits +
    R"(,"failure":null,"sleeps_at":null,"busy_until":null,"booted_at":null,"restarts":0,)"
    R"("sleep_mode":null,"sleeping_since":null,)" +
    no_settings_shown + "}";

} // namespace

TEST_CASE("provisioning answers with the whole engine, with its url and key") {
    api_harness api;
    const auto reply = api.ask("POST", "/engines/provision",
                               R"({"user_id":"u1","engine_version":"engine:1"})");
    CHECK(reply.status == 200);
    CHECK(json_of(reply) == whole_engine_with_key);
    CHECK(api.fake().calls == std::vector<std::string>{"provision u1 engine:1"});
}

TEST_CASE("starting answers with the whole engine, with the url that it has now") {
    api_harness api;
    api.fake().started->url = "http://127.0.0.1:9002";
    auto shown = whole_engine_with_key;
    shown.replace(shown.find("9001"), 4, "9002");
    CHECK(json_of(api.ask("POST", "/engines/u1/start")) == shown);
    CHECK(api.fake().calls == std::vector<std::string>{"start u1"});
}

TEST_CASE("starting an engine whose key cannot be read answers without the key") {
    api_harness api;
    api.fake().started->api_key.clear();
    const auto reply = api.ask("POST", "/engines/u1/start");
    CHECK(reply.status == 200);
    CHECK(reply.body.find("api_key") == std::string::npos);
    CHECK(reply.body.find(R"("url":"http://127.0.0.1:9001")") != std::string::npos);
}

TEST_CASE("an engine is shown with its key, and with null before its first health check") {
    api_harness api;
    CHECK(json_of(api.ask("GET", "/engines/u1")) == whole_engine_with_key);
    api.fake().engine->last_health_at.reset();
    CHECK(api.ask("GET", "/engines/u1").body.find(R"("last_health_at":null,)") !=
          std::string::npos);
    CHECK(api.fake().calls == std::vector<std::string>{"find u1", "find u1"});
}

TEST_CASE("a sleeping engine is shown with its sleep_reason") {
    api_harness api;
    roundhouse::engine_record asleep(*api.fake().engine->record);
    asleep.status = roundhouse::engine_status::sleeping;
    asleep.reason = "idle";
    api.fake().engine->record = std::make_shared<const roundhouse::engine_record>(asleep);
    CHECK(api.ask("GET", "/engines/u1").body.find(R"("sleep_reason":"idle","failure":null,)") !=
          std::string::npos);
}

TEST_CASE("an engine shows why it is down, without paths of the host, and when it is restarted") {
    api_harness api;
    const instant noon{1'700'000'000'000ms};
    api.fake().engine->failure = roundhouse::engine_failure{
        "cannot open /srv/fleet/engines/x: No space left.", {{}, 9, true}, 2, noon, false};
    api.fake().engine->restarts = 5;
    CHECK_THAT(json_of(api.ask("GET", "/engines/u1")),
               EndsWith(R"(","exit_code":null,"signal":9,"out_of_memory":true,"attempts":2,)"
                        R"("restart_at":"2023-11-14T22:13:20.000Z","gave_up":false},)"
                        R"("sleeps_at":null,"busy_until":null,"booted_at":null,"restarts":5,)"
                        R"("sleep_mode":null,"sleeping_since":null,)" +
                        no_settings_shown + "}"));
    CHECK(api.ask("GET", "/engines/u1").body.find("/srv/fleet") == std::string::npos);
    api.fake().engine->failure = roundhouse::engine_failure{
        "it exited.", {3, {}, false}, 8, {}, true};
    CHECK(api.ask("GET", "/engines/u1")
              .body.find(
                  R"("failure":{"reason":"it exited.","exit_code":3,"signal":null,)"
                  R"("out_of_memory":false,"attempts":8,"restart_at":null,"gave_up":true},)") !=
          std::string::npos);
}

TEST_CASE("an engine shows when it sleeps, until when it is busy, and when it had booted") {
    api_harness api;
    const instant noon{1'700'000'000'000ms};
    api.fake().engine->sleeps_at = noon + 2s;
    api.fake().engine->busy_until = noon + 1s;
    api.fake().engine->booted_at = noon;
    CHECK_THAT(json_of(api.ask("GET", "/engines/u1")),
               EndsWith(R"("failure":null,"sleeps_at":"2023-11-14T22:13:22.000Z",)"
                        R"("busy_until":"2023-11-14T22:13:21.000Z",)"
                        R"("booted_at":"2023-11-14T22:13:20.000Z","restarts":0,)"
                        R"("sleep_mode":null,"sleeping_since":null,)" +
                        no_settings_shown + "}"));
}

TEST_CASE("an engine is shown with its settings, and with the names of its variables alone") {
    api_harness api;
    roundhouse::engine_settings settings;
    api.fake().engine->env_names = {"TOKEN"};
    settings.env_names = {"TOKEN"};
    settings.sealed_env = "sealed-environment";
    settings.metadata = {{"a \"b\"", "\xC3\xA4"}, {"plan", "pro"}};
    auto record = *api.fake().engine->record;
    record.settings = std::make_shared<const roundhouse::engine_settings>(settings);
    api.fake().engine->record = std::make_shared<const roundhouse::engine_record>(record);
    api.fake().engine->limits = {.memory_mb = 512, .cpus = 0.25};
    api.fake().engine->stop_grace = 1'500ms;
    const auto* const shown =
        R"("sleeping_since":null,"metadata":{"a \"b\"":"ä","plan":"pro"},"limits":{"memory_mb":512,"cpus":0.25,"pids":null},)"
        R"("sleep":{"after_s":1800,"deep_after_s":0,"pinned":false},"stop_grace_s":1.5,"env_names":["TOKEN"],)"
        R"("settings_revision":1,"pending":[],"upgrade":null})";
    for (const auto& reply :
         {api.ask("GET", "/engines/u1"),
          api.ask("GET", "/engines/by-id/11111111-2222-4333-8444-555555555555")}) {
        CHECK_THAT(json_of(reply), EndsWith(shown));
        CHECK_THAT(reply.body, !Contains("sealed-environment"));
    }
}

TEST_CASE("a running engine is admitted at once") {
    api_harness api;
    const auto reply = api.ask("POST", "/engines/u1/admit");
    CHECK(reply.status == 200);
    CHECK(json_of(reply) == "{\"admitted\":true,\"engine\":" + admitted_engine + "}");
    CHECK(api.answered_later == 0);
    CHECK(api.fake().calls == std::vector<std::string>{"try_admit u1"});
}

TEST_CASE("an admit that has to wait is answered later, with the same options") {
    api_harness api;
    api.fake().admitted_now.reset();
    const auto reply = api.ask("POST", "/engines/u1/admit",
                               R"({"auto_provision":true,"auto_wake":true})");
    CHECK(json_of(reply) == "{\"admitted\":true,\"engine\":" + admitted_engine + "}");
    CHECK(api.answered_later == 1);
    CHECK(api.fake().calls ==
          std::vector<std::string>{"try_admit u1 provision wake", "async_admit u1 provision wake"});
}

TEST_CASE("a listing shows engines without their keys, and the number of matches") {
    api_harness api;
    CHECK(json_of(api.ask("GET", "/engines")) == R"({"engines":[],"total":0,"next":null})");
    CHECK(api.fake().engines_asked->limit == 100);
    CHECK(api.fake().engines_asked->offset == 0);
    CHECK_FALSE(api.fake().engines_asked->status);
    CHECK(api.fake().engines_asked->product_id == api.fake().product()->id);

    // A key is not shown even if the orchestrator returns it.
    api.fake().listed->engines = {fake_engine(), fake_engine()};
    api.fake().listed->total = 7;
    const auto body = json_of(api.ask("GET", "/engines"));
    auto shown = whole_engine_with_key;
    shown.erase(shown.find("\"api_key\""),
                shown.find("\"engine_version\"") - shown.find("\"api_key\""));
    CHECK(body == "{\"engines\":[" + shown + "," + shown + "],\"total\":7,\"next\":null}");

    api.fake().listed->next = 12;
    CHECK_THAT(json_of(api.ask("GET", "/engines?after=3")),
               EndsWith("\"total\":7,\"next\":\"12\"}"));
    CHECK(api.fake().engines_asked->after == 3U);
    CHECK(told(api.ask("GET", "/engines?after=x")) == "400 INVALID_REQUEST");
}

TEST_CASE("an engine is found by its id, with its key") {
    api_harness api;
    const auto reply = api.ask("GET", "/engines/by-id/C7A290F5-d7d9-455f-9e96-3d2f31170c25");
    CHECK(json_of(reply) == whole_engine_with_key);
    CHECK(api.fake().calls ==
          std::vector<std::string>{"find_by_id c7a290f5-d7d9-455f-9e96-3d2f31170c25"});
    // A user may have this name.
    CHECK(api.ask("GET", "/engines/by-id").status == 200);
    CHECK(api.ask("POST", "/engines/by-id/start").status == 200);
    CHECK(told(api.ask("GET", "/engines/by-id/c7a290f5")) == "404 NOT_FOUND");
    CHECK(api.fake().calls.size() == 3);
}

TEST_CASE("engines of several users are looked up at once, without their keys") {
    api_harness api;
    const auto reply = api.ask("POST", "/engines/lookup", R"({"user_ids":["u1","u2","u1"]})");
    CHECK(reply.status == 200);
    CHECK(api.fake().calls == std::vector<std::string>{"look_up u1 u2"});
    CHECK(reply.body.find("api_key") == std::string::npos);
    CHECK(reply.body.starts_with(R"({"engines":[{"engine_id":)"));
    CHECK(json_of(api.ask("POST", "/engines/lookup", R"({"user_ids":[]})")) == R"({"engines":[]})");
    // A user may have this name.
    CHECK(json_of(api.ask("GET", "/engines/lookup")) == whole_engine_with_key);
}

TEST_CASE("a user_id is escaped as JSON requires") {
    api_harness api;
    auto record = *fake_engine().record;
    record.user_id = "a\"b\\c/\xC3\xA4";
    api.fake().engine->record = std::make_shared<const roundhouse::engine_record>(record);
    CHECK(api.ask("GET", "/engines/u1").body.find("\"user_id\":\"a\\\"b\\\\c/\xC3\xA4\"") !=
          std::string::npos);
}

TEST_CASE("the error of a boot that failed tells programs whether the engine exited or was slow") {
    api_harness api;
    roundhouse::error failure{roundhouse::errc::boot_timeout, "why"};
    failure.details = roundhouse::error_details{roundhouse::boot_failure::exited, {3, {}, false}};
    api.fake().engine = roundhouse::unexpected(failure);
    const auto exited = api.ask("POST", "/engines/provision", R"({"user_id":"u1"})");
    CHECK(exited.status == 504);
    CHECK(json_of(exited) == R"({"error":{"code":"BOOT_TIMEOUT","message":"why","details":)"
                             R"({"cause":"exited","exit_code":3,"signal":null,)"
                             R"("out_of_memory":false}}})");
    const auto told_at_start = [&] {
        api.fake().started = roundhouse::unexpected(failure);
        return json_of(api.ask("POST", "/engines/u1/start"));
    };
    failure.details = roundhouse::error_details{roundhouse::boot_failure::timeout, {}};
    CHECK(told_at_start() ==
          R"({"error":{"code":"BOOT_TIMEOUT","message":"why","details":{"cause":"timeout"}}})");
    failure.details.reset();
    CHECK(told_at_start() == R"({"error":{"code":"BOOT_TIMEOUT","message":"why"}})");
}

TEST_CASE("an engine is explained: why it is in its state, what comes next, what used it last") {
    api_harness api;
    auto& told = *api.fake().explained;
    const instant noon{1'700'000'000'000ms};
    told.last_used_at = noon;
    const std::string nothing_set =
        R"("settings":{"engine_version":"engine","metadata":null,)"
        R"("limits":{"memory_mb":null,"cpus":null,"pids":null},)"
        R"("sleep":{"after_s":"server","deep_after_s":"server","pinned":null},"stop_grace_s":"server","env":{}}})";
    const std::string engine =
        R"({"engine_id":"11111111-2222-4333-8444-555555555555","user_id":"u1","status":"running",)";
    CHECK(json_of(api.ask("GET", "/engines/u1/explain")) ==
          engine +
              R"("why":"It has booted, and serves.","next":null,)"
              R"("last_use":{"at":"2023-11-14T22:13:20.000Z","by":null},)" +
              nothing_set);
    CHECK(api.fake().calls == std::vector<std::string>{"explain u1"});
    told.why = "It has failed: /srv/fleet/run: not found.";
    told.last_used_by = roundhouse::engine_use::admit;
    told.next = roundhouse::engine_next{"restart", roundhouse::engine_status::provisioning, noon};
    CHECK(json_of(api.ask("GET", "/engines/u1/explain")) ==
          engine +
              R"("why":"It has failed: run: not found.","next":{"step":"restart",)"
              R"("becomes":"provisioning","at":"2023-11-14T22:13:20.000Z","by":null,)"
              R"("otherwise":null},)"
              R"("last_use":{"at":"2023-11-14T22:13:20.000Z","by":"admit"},)" +
              nothing_set);
    told.settings.memory_mb = roundhouse::setting_source::product;
    told.settings.env = {{"TOKEN", roundhouse::setting_source::engine}};
    CHECK_THAT(json_of(api.ask("GET", "/engines/u1/explain")),
               Contains(R"("limits":{"memory_mb":"product",)") &&
                   EndsWith(R"("env":{"TOKEN":"engine"}}})"));
    told.next = roundhouse::engine_next{
        "boot", roundhouse::engine_status::running, {}, noon, roundhouse::engine_status::failed};
    CHECK(api.ask("GET", "/engines/u1/explain")
              .body.find(R"("next":{"step":"boot","becomes":"running","at":null,)"
                         R"("by":"2023-11-14T22:13:20.000Z","otherwise":"failed"})") !=
          std::string::npos);
    api.fake().explained = fail(roundhouse::errc::engine_not_found, "none");
    CHECK(roundhouse_tests::told(api.ask("GET", "/engines/u1/explain")) == "404 ENGINE_NOT_FOUND");
}
