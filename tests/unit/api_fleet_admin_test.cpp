// What administrators may ask of engines, through the HTTP API.

#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/http/idempotency.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

using roundhouse::errc;
using roundhouse::fail;
using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

namespace {

/// An api whose requests carry the admin key alone.
struct admin_api : api_harness {
    admin_api() { request.platform_key = {}; }
};

struct engine_call {
    std::string_view method, target, body;
};
/// Every call about engines but admit.
constexpr engine_call engine_calls[] = {
    {"POST", "/engines/provision", R"({"user_id":"u1"})"},
    {"GET", "/engines/u1", ""},
    {"GET", "/engines/by-id/11111111-2222-4333-8444-555555555555", ""},
    {"POST", "/engines/lookup", R"({"user_ids":["u1"]})"},
    {"POST", "/engines/u1/start", ""},
    {"POST", "/engines/u1/stop", ""},
    {"POST", "/engines/u1/sleep", ""},
    {"POST", "/engines/u1/wake", ""},
    {"POST", "/engines/u1/upgrade", R"({"engine_version":"engine:2"})"},
    {"POST", "/engines/u1/rotate-key", ""},
    {"PATCH", "/engines/u1", R"({"metadata":{"plan":"pro"}})"},
    {"GET", "/engines/u1/explain", ""},
    {"POST", "/engines/u1/activity", ""},
    {"GET", "/engines/u1/logs", ""},
    {"DELETE", "/engines/u1", ""},
};
constexpr std::string_view fleet_paths[] = {"/engines", "/status", "/metrics", "/audit"};

std::string about_demo(std::string_view target) { return std::string(target) + "?product=demo"; }

} // namespace

TEST_CASE("an administrator makes every engine call but admit for the product that is named") {
    for (const auto& [method, target, body] : engine_calls) {
        INFO(method << " " << target);
        admin_api api;
        CHECK(told(api.ask(method, target, body)) == "401 INVALID_PLATFORM_KEY");
        CHECK(told(api.ask(method, std::string(target) + "?product=", body)) ==
              "401 INVALID_PLATFORM_KEY");
        CHECK(told(api.ask(method, std::string(target) + "?product=gone", body)) ==
              "404 PRODUCT_NOT_FOUND");
        CHECK(told(api.ask(method, std::string(target) + "?product=No%20slug", body)) ==
              "404 PRODUCT_NOT_FOUND");
        CHECK(told(api.ask(method, about_demo(target) + "&product=demo", body)) ==
              "400 INVALID_REQUEST");
        CHECK(api.fake().calls.empty());
        const auto reply = api.ask(method, about_demo(target), body);
        CHECK(reply.status == 200);
        CHECK(reply.ignored.empty());
        CHECK(api.fake().calls.size() == 1);
        CHECK_THAT(reply.body, !Contains("api_key") && !Contains("sk-sept-"));
        CHECK(api.ask(method, std::string(target) + "?product=AAAAAAAA-bbbb-4ccc-8ddd-eeeeeeeeeeee",
                      body)
                  .status == 200);
    }
}

TEST_CASE("an administrator who chooses how long to wait sees no key either") {
    for (const engine_call& call :
         {engine_call{"POST", "/engines/provision?wait_s=1", R"({"user_id":"u1"})"},
          engine_call{"POST", "/engines/u1/start?wait_s=1", ""},
          engine_call{"POST", "/engines/u1/wake?wait_s=1", ""},
          engine_call{"POST", "/engines/u1/rotate-key?wait_s=1", ""},
          engine_call{"GET", "/engines/u1?wait_for=running", ""}}) {
        INFO(call.method << " " << call.target);
        admin_api api;
        const auto reply = api.ask(call.method, std::string(call.target) + "&product=demo",
                                   call.body);
        CHECK((reply.status == 200 || reply.status == 202));
        CHECK(api.fake().calls.size() == 1);
        CHECK_THAT(reply.body, !Contains("api_key") && !Contains("sk-sept-"));
    }
}

TEST_CASE("an administrator admits nobody") {
    admin_api api;
    CHECK(told(api.ask("POST", "/engines/u1/admit")) == "401 INVALID_PLATFORM_KEY");
    CHECK(told(api.ask("POST", "/engines/u1/admit?product=demo")) == "401 INVALID_PLATFORM_KEY");
    CHECK(api.fake().calls.empty());
}

TEST_CASE("a wrong admin key is refused and counted where an administrator may call") {
    admin_api api;
    api.request.client = "192.0.2.7";
    api.request.admin_key = "wrong";
    for (const auto path : fleet_paths) {
        INFO(path);
        const auto reply = api.ask("GET", path);
        CHECK(told(reply) == "401 INVALID_ADMIN_KEY");
        CHECK(reply.delay.count() > 0);
    }
    CHECK(told(api.ask("GET", "/engines/u1?product=demo")) == "401 INVALID_ADMIN_KEY");
    const auto reply = api.ask("GET", "/engines/u1");
    CHECK(told(reply) == "401 INVALID_PLATFORM_KEY");
    CHECK(reply.delay.count() == 0);
    CHECK(api.fake().calls.empty());
}

TEST_CASE("a request with a platform key is its product's, whatever else it carries") {
    api_harness api;
    const auto reply = api.ask("GET", "/engines/u1?product=other");
    CHECK(reply.status == 200);
    CHECK_THAT(reply.body, Contains("sk-sept-") && !Contains(R"("product")"));
    CHECK_THAT(reply.ignored, Contains(R"("product";in=query)"));
    CHECK(api.ask("GET", "/engines?product=other").status == 200);
    CHECK_FALSE(api.fake().engines_asked->all_products);
    api.request.platform_key = "pk-sept-wrong";
    CHECK(told(api.ask("GET", "/engines?product=demo")) == "401 INVALID_PLATFORM_KEY");
}

TEST_CASE("an administrator's lists cover all products unless one is named") {
    admin_api api;
    CHECK(api.ask("GET", "/engines?status=running&limit=7&q=u&metadata.plan=pro").status == 200);
    REQUIRE(api.fake().engines_asked);
    CHECK(api.fake().engines_asked->all_products);
    CHECK(api.fake().engines_asked->limit == 7);
    CHECK(api.fake().engines_asked->user_prefix == "u");
    CHECK(api.fake().engines_asked->metadata.at("plan") == "pro");
    CHECK(api.ask("GET", "/audit?action=destroy&user_id=u1").status == 200);
    CHECK(api.fake().audit_asked->all_products);
    CHECK(api.fake().audit_asked->user_id == "u1");
    CHECK(api.ask("GET", "/status").status == 200);
    CHECK(api.ask("GET", "/metrics").status == 200);
    CHECK(api.fake().calls ==
          std::vector<std::string>{"list", "audit", "status_of_all", "metrics_of_all"});
    api.fake().calls.clear();
    CHECK(api.ask("GET", "/engines?limit=7&product=demo&q=u").status == 200);
    CHECK_FALSE(api.fake().engines_asked->all_products);
    CHECK(api.fake().engines_asked->product_id == api.fake().product()->id);
    CHECK(api.fake().engines_asked->user_prefix == "u");
    CHECK(api.ask("GET", "/audit?product=demo").status == 200);
    CHECK_FALSE(api.fake().audit_asked->all_products);
    CHECK(api.ask("GET", "/status?product=demo").status == 200);
    CHECK(api.ask("GET", "/metrics?product=demo").status == 200);
    CHECK(api.fake().calls == std::vector<std::string>{"list", "audit", "status", "metrics"});
    CHECK(told(api.ask("GET", "/engines?limit=x")) == "400 INVALID_REQUEST");
    CHECK_THAT(api.ask("GET", "/status?prodct=demo").ignored, Contains(R"("prodct";in=query)"));
}

TEST_CASE("engines and audit rows name their products to administrators") {
    admin_api api;
    auto engine = fake_engine();
    engine.product = "demo";
    api.fake().engine = engine;
    api.fake().listed = roundhouse::engine_view_page{{engine}, 1, {}};
    const std::string_view named = R"("user_id":"u1","product":"demo","status":"running")";
    CHECK_THAT(api.ask("GET", "/engines").body, Contains(std::string(named)));
    CHECK_THAT(api.ask("GET", "/engines/u1?product=demo").body, Contains(std::string(named)));
    roundhouse::audit_page rows;
    rows.entries.resize(3);
    rows.entries[0].product_id = api.fake().product()->id;
    rows.entries[1].product_id = roundhouse::uuid{};
    rows.slugs[*rows.entries[0].product_id] = "demo";
    api.fake().audited = rows;
    const auto shown = api.ask("GET", "/audit").body;
    CHECK_THAT(shown, Contains(R"("product_id":"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee",)"
                               R"("product":"demo","user_id")"));
    CHECK_THAT(shown, Contains(R"("product_id":"00000000-0000-0000-0000-000000000000",)"
                               R"("product":null,"user_id")"));
    CHECK_THAT(shown, Contains(R"("product_id":null,"product":null,"user_id")"));
}

TEST_CASE("the status of all products names those whose brakes are on") {
    admin_api api;
    CHECK_THAT(json_of(api.ask("GET", "/status")), EndsWith(R"("unhealthy_count":0,"brakes":[]})"));
    const roundhouse::instant since{std::chrono::milliseconds{1'700'000'000'123}};
    api.fake().fleet->brakes = {{{}, "demo", {since, 3, 4}}};
    CHECK_THAT(json_of(api.ask("GET", "/status")),
               EndsWith(R"("brakes":[{"product":"demo","since":"2023-11-14T22:13:20.123Z",)"
                        R"("failing":3,"running":4}]})"));
}

TEST_CASE("the actor of an administrator's calls is the administrator") {
    admin_api api;
    CHECK(json_of(api.ask("POST", "/engines/u1/rotate-key?product=demo")) ==
          R"({"status":"rotated"})");
    CHECK(api.fake().caller_given == "admin");
    CHECK(api.ask("PATCH", "/products/demo", R"({"display_name":"D"})").status == 200);
    CHECK(api.fake().actor_given == "admin");
    const std::string jo = "the-key-of-jo-that-has-32-letters";
    api.request.admin_key = jo;
    CHECK(told(api.ask("GET", "/engines")) == "401 INVALID_ADMIN_KEY");
    api.replace_named_admins({{"jo", jo}, {"sam", jo + "-not"}});
    CHECK(api.ask("DELETE", "/engines/u1?product=demo").status == 200);
    CHECK(api.fake().caller_given == "admin:jo");
    for (const engine_call& call :
         {engine_call{"POST", "/products/register", R"({"slug":"a","display_name":"A"})"},
          engine_call{"PATCH", "/products/demo", R"({"display_name":"D"})"},
          engine_call{"PUT", "/products/demo/policy", R"({"policy":{}})"},
          engine_call{"PUT", "/products/demo/defaults", R"({"defaults":{}})"},
          engine_call{"POST", "/products/demo/rotate-platform-key", ""},
          engine_call{"DELETE", "/products/demo/keys/1", ""}}) {
        INFO(call.method << " " << call.target);
        api.fake().actor_given.reset();
        CHECK(api.ask(call.method, call.target, call.body).status == 200);
        CHECK(api.fake().actor_given == "admin:jo");
    }
    api.replace_named_admins({{"sam", jo + "-not"}});
    CHECK(told(api.ask("GET", "/engines")) == "401 INVALID_ADMIN_KEY");
    api.request.admin_key = test_admin_key;
    CHECK(api.ask("GET", "/engines").status == 200);
}

TEST_CASE("an administrator's idempotency key is none of the product's") {
    using roundhouse::http::digest_of;
    using roundhouse::http::viewer;
    roundhouse::http::request asked;
    asked.method = "POST";
    asked.target = "/engines/provision";
    CHECK(digest_of(asked, viewer::admin) != digest_of(asked, viewer::product));
    admin_api api;
    api.request.idempotency_key = "one";
    const auto reply = api.ask("POST", "/engines/provision?product=demo", R"({"user_id":"u1"})");
    CHECK(reply.status == 200);
    CHECK_THAT(reply.body, Contains(R"("engine_id")") && !Contains("api_key"));
}
