#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/http/api.hpp>
#include <roundhouse/http/rate_limit_fields.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace http = roundhouse::http;
using roundhouse::errc;
using roundhouse::instant;
using namespace roundhouse_tests;
using Catch::Matchers::EndsWith;
using namespace std::chrono_literals;

namespace {

/// Every call of the api that needs a platform key, with a body that makes it succeed.
struct product_call {
    std::string_view method, target, body;
};
constexpr product_call product_calls[] = {
    {"POST", "/engines/provision", R"({"user_id":"u1"})"},
    {"DELETE", "/engines/u1", ""},
    {"POST", "/engines/u1/start", ""},
    {"POST", "/engines/u1/stop", ""},
    {"POST", "/engines/u1/sleep", ""},
    {"POST", "/engines/u1/wake", ""},
    {"POST", "/engines/u1/upgrade", R"({"engine_version":"v2"})"},
    {"POST", "/engines/u1/rotate-key", ""},
    {"GET", "/engines/u1", ""},
    {"POST", "/engines/u1/admit", ""},
    {"POST", "/engines/u1/activity", ""},
    {"GET", "/engines/by-id/11111111-2222-4333-8444-555555555555", ""},
    {"POST", "/engines/lookup", R"({"user_ids":["u1"]})"},
    {"GET", "/engines", ""},
    {"GET", "/status", ""},
    {"GET", "/metrics", ""},
    {"GET", "/engines/u1/logs", ""},
    {"GET", "/engines/u1/explain", ""},
    {"GET", "/audit", ""},
};
constexpr product_call admin_calls[] = {
    {"POST", "/products/register", R"({"slug":"demo","display_name":"Demo"})"},
    {"GET", "/products", ""},
    {"GET", "/products/demo", ""},
    {"PATCH", "/products/demo", R"({"display_name":"The Demo"})"},
    {"DELETE", "/products/demo?cascade=true", ""},
    {"GET", "/products/demo/policy", ""},
    {"PUT", "/products/demo/policy", R"({"policy":{}})"},
    {"GET", "/products/demo/defaults", ""},
    {"PUT", "/products/demo/defaults", R"({"defaults":{}})"},
    {"POST", "/products/demo/rotate-platform-key", ""},
    {"DELETE", "/products/demo/keys/1", ""},
};

} // namespace

TEST_CASE("registering a product answers with its id and its key") {
    api_harness api;
    const auto reply = api.ask(
        "POST", "/products/register",
        R"({"slug":"demo","display_name":"The Demo","policy":{"max_engines":3},"x":1})");
    CHECK(reply.status == 200);
    CHECK(reply.content_type == "application/json");
    CHECK(json_of(reply) ==
          R"({"product_id":"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee","slug":"demo",)"
          R"("platform_api_key":"pk-sept-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"})");
    CHECK(api.fake().calls == std::vector<std::string>{"register demo The Demo"});
    CHECK(api.fake().policy_given->max_engines == 3U);
}

TEST_CASE("registering a slug that exists is a 409") {
    api_harness api;
    api.fake().registered = fail(errc::product_slug_exists, "Product 'demo' exists already.");
    CHECK(told(api.ask("POST", "/products/register", R"({"slug":"demo","display_name":"D"})")) ==
          "409 PRODUCT_SLUG_EXISTS");
}

TEST_CASE("registering with a bad slug, name or policy is a 400 that names it") {
    api_harness api;
    const auto message = [&](std::string_view body) {
        const auto reply = api.ask("POST", "/products/register", body);
        CHECK(told(reply) == "400 INVALID_REQUEST");
        return reply.body;
    };
    CHECK(message(R"({"slug":"Demo","display_name":"D"})").find("slug: ") != std::string::npos);
    CHECK(message(R"({"slug":"demo","display_name":""})").find("display_name: ") !=
          std::string::npos);
    CHECK(message(R"({"slug":"demo","display_name":"D","policy":{"max_engine":1}})")
              .find("policy.max_engine: ") != std::string::npos);
    CHECK(message(R"({"slug":"demo","display_name":"D","policy":null})").find("policy: ") !=
          std::string::npos);
    CHECK(api.fake().calls.empty());
}

TEST_CASE("a policy is set by slug or by product_id and returned as given") {
    api_harness api;
    const std::string body =
        R"({"policy":{"max_total_memory_mb":4096,"max_cpus":0.5,"allow_env":false}})";
    const auto reply = api.ask("PUT", "/products/demo/policy", body);
    CHECK(reply.status == 200);
    CHECK(json_of(reply) == body);
    CHECK(json_of(api.ask("PUT", "/products/AAAAAAAA-bbbb-4ccc-8ddd-eeeeeeeeeeee/policy",
                          R"({"policy":{}})")) == R"({"policy":{}})");
    CHECK(api.fake().calls ==
          std::vector<std::string>{"set_policy demo",
                                   "set_policy aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"});
}

TEST_CASE("setting the policy of an unknown product is a 404") {
    api_harness api;
    api.fake().policy_failure = roundhouse::error{errc::product_not_found,
                                                  "There is no product 'gone'."};
    CHECK(told(api.ask("PUT", "/products/gone/policy", R"({"policy":{}})")) ==
          "404 PRODUCT_NOT_FOUND");
    // A name that no product can have is not looked up.
    api.fake().calls.clear();
    CHECK(told(api.ask("PUT", "/products/Gone%20/policy", R"({"policy":{}})")) ==
          "404 PRODUCT_NOT_FOUND");
    CHECK(told(api.ask("PUT", "/products/%zz/policy", R"({"policy":{}})")) ==
          "404 PRODUCT_NOT_FOUND");
    CHECK(api.fake().calls.empty());
}

TEST_CASE("provisioning without a version leaves the choice to the orchestrator") {
    api_harness api;
    CHECK(api.ask("POST", "/engines/provision", R"({"user_id":"u1"})").status == 200);
    CHECK(api.fake().calls == std::vector<std::string>{"provision u1"});
}

TEST_CASE("destroying answers with the engine's id") {
    api_harness api;
    CHECK(json_of(api.ask("DELETE", "/engines/u1")) ==
          R"({"status":"destroyed","engine_id":"11111111-2222-4333-8444-555555555555"})");
    CHECK(api.fake().calls == std::vector<std::string>{"destroy u1"});
}

TEST_CASE("a stop is forced only with force=true") {
    api_harness api;
    CHECK(json_of(api.ask("POST", "/engines/u1/stop")) == R"({"status":"stopped"})");
    CHECK(api.ask("POST", "/engines/u1/stop?force=false").status == 200);
    CHECK(api.ask("POST", "/engines/u1/stop?force=true").status == 200);
    CHECK(api.fake().calls == std::vector<std::string>{"stop u1", "stop u1", "stop u1 by force"});
}

TEST_CASE("rotating answers with the new key") {
    api_harness api;
    CHECK(json_of(api.ask("POST", "/engines/u1/rotate-key")) == R"({"new_api_key":"sk-sept-new"})");
    CHECK(api.fake().calls == std::vector<std::string>{"rotate_key u1"});
}

TEST_CASE("replies to admits tell the rate limit of products that have one, and no others do") {
    api_harness api;
    CHECK_FALSE(api.ask("POST", "/engines/u1/admit").rate_limit);
    api.fake().rate = roundhouse::rate_limit_status{{100, 60s, 50, 29'001ms}, std::nullopt};
    const auto left = [&] {
        const auto told = api.ask("POST", "/engines/u1/admit").rate_limit;
        return told ? std::optional(told->minute.left) : std::nullopt;
    };
    CHECK(left() == 50U);
    api.fake().admitted_now = result<roundhouse::admission>(fail(errc::rate_limited, "why", 30));
    CHECK(left() == 50U);
    api.fake().admitted_now.reset(); // answered later
    CHECK(left() == 50U);
    api.fake().admitted_later = fail(errc::boot_timeout, "why");
    CHECK(left() == 50U);
    CHECK_FALSE(api.ask("GET", "/engines/u1").rate_limit);
    CHECK_FALSE(api.ask("POST", "/engines/u1/admit", "{").rate_limit);
}

TEST_CASE("the fields of a rate limit are lists of structured fields") {
    roundhouse::rate_limit_status limits{{100, 60s, 50, 29'001ms}, std::nullopt};
    const auto shown = [&] {
        std::string out;
        http::append_rate_limit_policy(out, limits);
        http::append_rate_limit(out += " | ", limits);
        return out;
    };
    CHECK(shown() == R"("default";q=100;w=60 | "default";r=50;t=30)");
    limits.burst = roundhouse::rate_quota{10, 6s, 0, 600ms};
    CHECK(shown() ==
          R"("default";q=100;w=60, "burst";q=10;w=6 | "default";r=50;t=30, "burst";r=0;t=1)");
    limits = {{18'446'744'073'709'551'615U, 60s, 1'000'000'000'000'000, 0ms}, std::nullopt};
    CHECK(shown() == R"("default";q=999999999999999;w=60 | "default";r=999999999999999;t=0)");
}

TEST_CASE("a denied admit gives its reason") {
    api_harness api;
    for (const auto reason :
         {roundhouse::denial::engine_not_found, roundhouse::denial::engine_sleeping,
          roundhouse::denial::engine_unhealthy}) { // `engine_starting` is told as a 202
        api.fake().admitted_now = roundhouse::admission{std::nullopt, reason};
        const auto reply = api.ask("POST", "/engines/u1/admit", "{}");
        CHECK(reply.status == 200);
        CHECK(reply.retry_after_s == 0);
        CHECK(json_of(reply) == R"({"admitted":false,"engine":null,"reason":")" +
                                    std::string(name_of(reason)) + R"(","status":null})");
    }
}

TEST_CASE(
    "a denied admit gives the engine's status, and when to try again if a restart is planned") {
    api_harness api;
    api.fake().admitted_now = roundhouse::admission{
        std::nullopt, roundhouse::denial::engine_sleeping, roundhouse::engine_status::stopped};
    const auto stopped = api.ask("POST", "/engines/u1/admit", "{}");
    CHECK(json_of(stopped) ==
          R"({"admitted":false,"engine":null,"reason":"engine_sleeping","status":"stopped"})");
    CHECK(stopped.retry_after_s == 0);
    api.fake().admitted_now.reset();
    api.fake().admitted_later = roundhouse::admission{
        std::nullopt, roundhouse::denial::engine_unhealthy, roundhouse::engine_status::failed, 38};
    const auto failed = api.ask("POST", "/engines/u1/admit", "{}");
    CHECK(json_of(failed) == R"({"admitted":false,"engine":null,"reason":"engine_unhealthy",)"
                             R"("status":"failed","retry_after_s":38})");
    CHECK(failed.status == 200);
    CHECK(failed.retry_after_s == 38);
}

TEST_CASE("activity answers with the time at which the engine will sleep") {
    api_harness api;
    CHECK(json_of(api.ask("POST", "/engines/u1/activity")) == R"({"sleeps_at":null})");
    CHECK(*api.fake().busy_given == std::nullopt);
    api.fake().sleeps_at = std::optional(instant{1'700'000'000'000ms});
    CHECK(json_of(api.ask("POST", "/engines/u1/activity", R"({"busy_for_s":1.25})")) ==
          R"({"sleeps_at":"2023-11-14T22:13:20.000Z"})");
    CHECK(*api.fake().busy_given == 1'250ms);
}

TEST_CASE("a look-up names what is wrong with its users") {
    api_harness api;
    std::string many = "\"u\"";
    for (int i = 0; i < 500; ++i) many += ",\"u\"";
    for (const auto& [users, complaint] :
         {std::pair<std::string, std::string>{"", "user_ids: is missing."},
          {R"("user_ids":"u1")", "user_ids: must be a list of strings."},
          {R"("user_ids":["u1",".."])", "user_ids: "},
          {"\"user_ids\":[" + many + "]", "user_ids: must be at most 500 users."}}) {
        const auto reply = api.ask("POST", "/engines/lookup", "{" + users + "}");
        CHECK(told(reply) == "400 INVALID_REQUEST");
        CHECK(reply.body.find(complaint) != std::string::npos);
    }
    CHECK(api.fake().calls.empty());
}

TEST_CASE("status counts engines in every state") {
    api_harness api;
    api.fake().fleet->counts.by_status = {1, 2, 3, 4, 5, 6};
    api.fake().fleet->health = roundhouse::fleet_health::degraded;
    CHECK(
        json_of(api.ask("GET", "/status")) ==
        R"({"total":21,"by_status":{"provisioning":1,"running":2,"sleeping":3,"stopped":4,"failed":5,"destroying":6},)"
        R"("health":"degraded","unhealthy_count":5,"brake":null})");
}

TEST_CASE("status says since when the brake is on, and how many engines fail together") {
    api_harness api;
    api.fake().fleet->brake = {
        {roundhouse::instant{std::chrono::seconds{1'800'000'000}}, 250, 500}};
    CHECK_THAT(json_of(api.ask("GET", "/status")),
               Catch::Matchers::EndsWith(
                   R"("brake":{"since":"2027-01-15T08:00:00.000Z","failing":250,"running":500}})"));
}

TEST_CASE("metrics show the last hour and the lifetime") {
    api_harness api;
    api.fake().figures = roundhouse::fleet_metrics{1, 2, 3, 1'234.56789, 40, 5};
    CHECK(
        json_of(api.ask("GET", "/metrics")) ==
        R"({"provisions_1h":1,"crashes_1h":2,"restarts_1h":3,"avg_boot_ms":1234.568,"total_provisions":40,"total_destroys":5})");
}

TEST_CASE("logs are plain text, with invalid UTF-8 replaced") {
    api_harness api;
    const auto reply = api.ask("GET", "/engines/u1/logs?tail=5");
    CHECK(reply.content_type == "text/plain; charset=utf-8");
    CHECK(reply.body == "first\nsecond\n");
    CHECK(api.fake().calls == std::vector<std::string>{"logs u1 5"});
    api.fake().output = std::string("a\xFF\n");
    CHECK(api.ask("GET", "/engines/u1/logs").body == "a\xEF\xBF\xBD\n");
    CHECK(api.fake().calls.back() == "logs u1 100");
}

TEST_CASE("audit entries show null for values that are unknown") {
    api_harness api;
    CHECK(json_of(api.ask("GET", "/audit")) == R"({"entries":[],"next_before":null})");

    roundhouse::audit_entry full;
    full.id = 9;
    full.timestamp = instant{1'700'000'000'000ms};
    full.product_id = api.fake().product()->id;
    full.user_id = "u1";
    full.engine_id = fake_engine().record->id;
    full.action = roundhouse::audit_action::provision;
    full.actor = "demo";
    full.metadata = {{"outcome", "running"}, {"exit_code", std::int64_t{-9}}, {"forced", true}};
    full.took = 412ms;
    full.from = roundhouse::engine_status::provisioning;
    full.to = roundhouse::engine_status::running;
    roundhouse::audit_entry bare;
    bare.id = 8;
    bare.action = roundhouse::audit_action::recovered;
    bare.actor = "system";
    api.fake().audited = roundhouse::audit_page{{full, bare}, 8};
    CHECK(
        json_of(api.ask("GET", "/audit")) ==
        R"({"entries":[{"id":9,"timestamp":"2023-11-14T22:13:20.000Z","product_id":"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",)"
        R"("user_id":"u1","engine_id":"11111111-2222-4333-8444-555555555555","action":"provision","actor":"demo",)"
        R"("metadata":{"outcome":"running","exit_code":-9,"forced":true,"from":"provisioning","to":"running"},"duration_ms":412},)"
        R"({"id":8,"timestamp":"1970-01-01T00:00:00.000Z","product_id":null,"user_id":null,"engine_id":null,)"
        R"("action":"recovered","actor":"system","metadata":{},"duration_ms":null}],"next_before":8})");
}

TEST_CASE("health needs no key") {
    api_harness api;
    api.request.platform_key = {};
    api.request.admin_key = {};
    const auto reply = api.ask("GET", "/health");
    CHECK(reply.status == 200);
    CHECK(
        json_of(reply) ==
        R"({"status":"ok","version":"0.1.0","uptime_seconds":61,"backend":"memory","store":"lmdb"})");
}

TEST_CASE("health names the degraded parts and stays a 200") {
    api_harness api;
    api.fake().condition.backend_trouble = "no daemon at unix:///var/run/docker.sock";
    api.fake().condition.store_trouble = "the disk is full";
    const auto reply = api.ask("GET", "/health");
    CHECK(reply.status == 200);
    CHECK(
        json_of(reply) ==
        R"({"status":"degraded","version":"0.1.0","uptime_seconds":61,"backend":"memory","store":"lmdb",)"
        R"("degraded":["backend: no daemon at unix:///var/run/docker.sock","store: the disk is full"]})");
}

TEST_CASE("while the orchestrator is starting every call is a 503 with Retry-After") {
    api_harness api;
    const auto expect_starting = [](const http::reply& reply) {
        CHECK(told(reply) == "503 STARTING");
        CHECK(reply.retry_after_s == 1);
    };
    api.fake().is_starting = true;
    api.fake().condition.starting = true;
    for (const auto& [method, target, body] : product_calls)
        expect_starting(api.ask(method, target, body));
    for (const auto& [method, target, body] : admin_calls)
        expect_starting(api.ask(method, target, body));
    expect_starting(api.ask("GET", "/health"));
    CHECK(told(api.ask("GET", "/nowhere")) == "404 NOT_FOUND");
    CHECK(api.fake().calls.empty());
}

TEST_CASE("every product call needs the platform key") {
    for (const auto& [method, target, body] : product_calls) {
        INFO(method << " " << target);
        api_harness api;
        CHECK(api.ask(method, target, body).status == 200);
        api.fake().calls.clear();
        api.request.platform_key = api.request.admin_key = {};
        CHECK(told(api.ask(method, target, body)) == "401 INVALID_PLATFORM_KEY");
        api.request.platform_key = "pk-sept-wrong";
        CHECK(told(api.ask(method, target, body)) == "401 INVALID_PLATFORM_KEY");
        CHECK(api.fake().calls.empty());
    }
}

TEST_CASE("every admin call needs the admin key and no other") {
    for (const auto& [method, target, body] : admin_calls) {
        INFO(method << " " << target);
        api_harness api;
        api.request.platform_key = {};
        CHECK(api.ask(method, target, body).status == 200);
        api.fake().calls.clear();
        for (const std::string_view key :
             {std::string_view(), test_admin_key.substr(1), fake_platform_key}) {
            api.request.admin_key = key;
            CHECK(told(api.ask(method, target, body)) == "401 INVALID_ADMIN_KEY");
        }
        CHECK(api.fake().calls.empty());
    }
}

TEST_CASE("an api without an admin key refuses every admin call") {
    api_harness api("");
    for (const std::string_view key : {std::string_view(), test_admin_key}) {
        api.request.admin_key = key;
        CHECK(told(api.ask("PUT", "/products/demo/policy", R"({"policy":{}})")) ==
              "401 INVALID_ADMIN_KEY");
    }
}

TEST_CASE("the key is checked before the path and the body") {
    api_harness api;
    api.request.platform_key = {};
    api.request.admin_key = {};
    CHECK(told(api.ask("POST", "/engines/provision", "not json")) == "401 INVALID_PLATFORM_KEY");
    CHECK(told(api.ask("GET", "/engines/%zz")) == "401 INVALID_PLATFORM_KEY");
    CHECK(told(api.ask("GET", "/engines?limit=x")) == "401 INVALID_PLATFORM_KEY");
    CHECK(told(api.ask("POST", "/products/register", "not json")) == "401 INVALID_ADMIN_KEY");
    api.request.platform_key = fake_platform_key;
    api.request.admin_key = test_admin_key;
    CHECK(told(api.ask("POST", "/engines/provision", "not json")) == "400 INVALID_REQUEST");
    CHECK(told(api.ask("GET", "/engines/%zz")) == "400 INVALID_REQUEST");
    CHECK(told(api.ask("GET", "/engines?limit=x")) == "400 INVALID_REQUEST");
    CHECK(told(api.ask("POST", "/products/register", "not json")) == "400 INVALID_REQUEST");
}

TEST_CASE("a body over the limit is a 413, and a body of exactly the limit is read") {
    api_harness api;
    const auto padded = [](std::size_t size) {
        std::string body = R"({"user_id":"u1"})";
        return body.append(size - body.size(), ' ');
    };
    CHECK(api.ask("POST", "/engines/provision", padded(64 * 1024)).status == 200);
    CHECK(told(api.ask("POST", "/engines/provision", padded(64 * 1024 + 1))) ==
          "413 PAYLOAD_TOO_LARGE");
    CHECK(api.fake().calls.size() == 1);
}

TEST_CASE("a body that the transport did not read to its end is a 413") {
    api_harness api;
    api.request.body_too_large = true;
    CHECK(told(api.ask("POST", "/engines/u1/admit", "{}")) == "413 PAYLOAD_TOO_LARGE");
    CHECK(told(api.ask("POST", "/nowhere", "{}")) == "404 NOT_FOUND");
    CHECK(api.fake().calls.empty());
}

TEST_CASE("every error of the orchestrator has its documented status and code") {
    struct row {
        errc code;
        std::string_view status_and_code;
    };
    constexpr row table[] = {
        {errc::invalid_request, "400 INVALID_REQUEST"},
        {errc::invalid_platform_key, "401 INVALID_PLATFORM_KEY"},
        {errc::invalid_admin_key, "401 INVALID_ADMIN_KEY"},
        {errc::policy_denied, "403 POLICY_DENIED"},
        {errc::product_not_found, "404 PRODUCT_NOT_FOUND"},
        {errc::engine_not_found, "404 ENGINE_NOT_FOUND"},
        {errc::engine_already_exists, "409 ENGINE_ALREADY_EXISTS"},
        {errc::engine_not_running, "409 ENGINE_NOT_RUNNING"},
        {errc::engine_already_running, "409 ENGINE_ALREADY_RUNNING"},
        {errc::product_slug_exists, "409 PRODUCT_SLUG_EXISTS"},
        {errc::quota_exceeded, "429 QUOTA_EXCEEDED"},
        {errc::rate_limited, "429 RATE_LIMITED"},
        {errc::internal_error, "500 INTERNAL_ERROR"},
        {errc::backend_error, "502 BACKEND_ERROR"},
        {errc::port_exhaustion, "503 PORT_EXHAUSTION"},
        {errc::starting, "503 STARTING"},
        {errc::overloaded, "503 OVERLOADED"},
        {errc::store_unavailable, "503 STORE_UNAVAILABLE"},
        {errc::boot_timeout, "504 BOOT_TIMEOUT"},
        {errc::shutting_down, "503 OVERLOADED"},
        {errc::revision_conflict, "500 INTERNAL_ERROR"},
        {errc::short_id_taken, "500 INTERNAL_ERROR"},
    };
    for (const auto& [code, expected] : table) {
        api_harness api;
        api.fake().stopped = fail(code, "why \"so\"");
        api.fake().engine = fail(code, "why \"so\"");
        CHECK(told(api.ask("POST", "/engines/u1/stop")) == expected); // answered later
        CHECK(told(api.ask("GET", "/engines/u1")) == expected);       // answered at once
        if (http::http_status(code) != 500)
            CHECK(json_of(api.ask("GET", "/engines/u1")) ==
                  "{\"error\":{\"code\":\"" + std::string(code_name(code)) +
                      "\",\"message\":\"why \\\"so\\\"\"}}");
    }
}

TEST_CASE("Retry-After is sent with temporary errors only") {
    const auto retry_after = [](errc code, int retry_after_s) {
        api_harness api;
        api.fake().admitted_now = result<roundhouse::admission>(fail(code, "why", retry_after_s));
        return api.ask("POST", "/engines/u1/admit").retry_after_s;
    };
    CHECK(retry_after(errc::rate_limited, 42) == 42);
    CHECK(retry_after(errc::rate_limited, 0) == 1);
    CHECK(retry_after(errc::starting, 0) == 1);
    CHECK(retry_after(errc::overloaded, 0) == 1);
    CHECK(retry_after(errc::shutting_down, 0) == 1);
    CHECK(retry_after(errc::quota_exceeded, 42) == 0);
    CHECK(retry_after(errc::store_unavailable, 42) == 0);
    CHECK(retry_after(errc::boot_timeout, 0) == 0);
}

TEST_CASE("a valid request id is returned and any other is replaced") {
    api_harness api;
    for (const std::string& valid :
         {std::string("a"), std::string("Az09._-:"), std::string(128, 'x')}) {
        api.request.request_id = valid;
        CHECK(api.ask("GET", "/health").request_id == valid);
        CHECK(api.ask("GET", "/nowhere").request_id == valid);
        CHECK(api.ask("POST", "/engines/u1/start").request_id == valid);
    }
    for (const std::string& invalid :
         {std::string(), std::string(129, 'x'), std::string("a b"), std::string("a\r\nX: y"),
          std::string("\xC3\xA4"), std::string("a/b")}) {
        api.request.request_id = invalid;
        const auto made = api.ask("GET", "/health").request_id;
        CHECK(made.size() == 32);
        CHECK(http::is_sane_request_id(made));
        CHECK(made != api.ask("GET", "/health").request_id);
    }
}

TEST_CASE("an internal error hides its reason from the caller and logs it") {
    api_harness api;
    api.request.request_id = "req-7";
    api.fake().started = fail(errc::internal_error, "record 12 is damaged");
    const auto reply = api.ask("POST", "/engines/u1/start");
    CHECK(told(reply) == "500 INTERNAL_ERROR");
    CHECK(reply.body.find("damaged") == std::string::npos);
    CHECK(reply.body.find("req-7") != std::string::npos);
    CHECK(api.logged ==
          std::vector<std::string>{
              "error a request ended in an internal error. Report it with the reason, unless that "
              "tells what to do request_id=\"req-7\" reason=\"record 12 is damaged\""});
}

TEST_CASE("an exception from a call is an internal error and does not reach the transport") {
    api_harness api;
    api.request.request_id = "req-8";
    api.fake().trouble = [] { throw std::runtime_error("out of everything"); };
    CHECK(told(api.ask("GET", "/status")) == "500 INTERNAL_ERROR");
    CHECK_THAT(api.logged.back(), EndsWith("request_id=\"req-8\" reason=\"out of everything\""));
    api.fake().trouble = [] { throw 42; };
    CHECK(told(api.ask("GET", "/status")) == "500 INTERNAL_ERROR");
    api.fake().trouble = nullptr;
    CHECK(api.ask("GET", "/status").status == 200);
}

TEST_CASE("an exception from the transport at a late reply is logged") {
    api_harness api;
    CHECK_FALSE(api.begin("POST", "/engines/u1/start",
                          [](const http::reply&) { throw std::runtime_error("gone"); }));
    CHECK(api.fake().run() == 1);
    CHECK(api.logged.size() == 1);
}

TEST_CASE("an answer arrives even after the api is destroyed") {
    auto api = std::make_unique<api_harness>();
    auto post = std::make_shared<std::vector<std::function<void()>>>();
    api->fake().post = [post](std::function<void()> answer) { post->push_back(std::move(answer)); };
    std::optional<http::reply> late;
    CHECK_FALSE(api->begin("POST", "/engines/u1/start",
                           [&](http::reply reply) { late = std::move(reply); }));
    api.reset();
    REQUIRE(post->size() == 1);
    post->front()();
    CHECK(late->status == 200);
}
