#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/http/ignored_names.hpp>
#include <roundhouse/http/request.hpp>

#include <array>
#include <string>
#include <string_view>

namespace http = roundhouse::http;
using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

/// A request with names that its endpoint does not read, and what the reply says of them.
struct unread {
    std::string_view method, target, body, header;
};
constexpr unread requests[] = {
    {"POST", "/engines/provision", R"({"user_id":"u1","enigne_version":"1"})",
     R"("enigne_version";in=body;nearest="engine_version")"},
    {"POST", "/engines/provision", R"({"user_id":"u1","engineVersion":"1"})",
     R"("engineVersion";in=body;nearest="engine_version")"},
    {"POST", "/engines/u1/admit", R"({"auto_wake":true,"":1})", R"("";in=body)"},
    {"POST", "/engines/u1/activity", R"({"busy_for":1})",
     R"("busy_for";in=body;nearest="busy_for_s")"},
    {"POST", "/products/register", R"({"slug":"demo","display_name":"Demo","x":1})",
     R"("x";in=body)"},
    {"PUT", "/products/demo/policy?really=1", R"({"policy":{},"max_engines":1})",
     R"("really";in=query, "max_engines";in=body)"},
    {"PATCH", "/products/demo?a=1", R"({"display_nme":"Demo"})",
     R"("a";in=query, "display_nme";in=body;nearest="display_name")"},
    {"POST", "/products/demo/rotate-platform-key", R"({"overlap":5})",
     R"("overlap";in=body;nearest="overlap_s")"},
    {"DELETE", "/products/demo/keys/1?x", "", R"("x";in=query)"},
    {"GET", "/products?limt=5", "", R"("limt";in=query;nearest="limit")"},
    {"GET", "/products/demo?x", "", R"("x";in=query)"},
    {"DELETE", "/products/demo?cascad=1", "", R"("cascad";in=query;nearest="cascade")"},
    {"GET", "/products/demo/policy?x", "", R"("x";in=query)"},
    {"GET", "/engines?Status=running&limit=5", "", R"("Status";in=query;nearest="status")"},
    {"GET", "/engines?metadata=pro&Metadata.plan=pro&Q=a&qq=a", "",
     R"("metadata";in=query, "Metadata.plan";in=query, "Q";in=query, "qq";in=query;nearest="q")"},
    {"GET", "/audit?user=u1&untill=x", "", R"("user";in=query, "untill";in=query;nearest="until")"},
    {"GET", "/engines/u1/logs?tal=5", "", R"("tal";in=query;nearest="tail")"},
    {"POST", "/engines/u1/stop?forse=true", "", R"("forse";in=query;nearest="force")"},
    {"POST", "/engines/u1/stop", R"({"force":true})", R"("force";in=body)"},
    {"POST", "/engines/u1/start?a=1&&b", "", R"("a";in=query, "b";in=query)"},
    {"GET", "/health?x", "", R"("x";in=query)"},
    {"GET", "/status?a%20b=%", "", R"("a b";in=query)"},
    {"DELETE", "/engines/u1?%zz=1", "", R"("%zz";in=query)"},
};

} // namespace

TEST_CASE("names that nothing reads are ignored, and told with the nearest known name") {
    api_harness api;
    for (const auto& [method, target, body, header] : requests) {
        const auto reply = api.ask(method, target, body);
        INFO(target << ' ' << body);
        CHECK(reply.status == 200);
        CHECK(reply.ignored == header);
        CHECK_FALSE(reply.strict);
    }
}

TEST_CASE("with strict handling a name that nothing reads is a 400, and nothing is done") {
    api_harness api;
    api.request.strict = true;
    for (const auto& [method, target, body, header] : requests) {
        const auto reply = api.ask(method, target, body);
        INFO(target << ' ' << body);
        CHECK(told(reply) == "400 INVALID_REQUEST");
        // The first of them is enough to refuse the request.
        CHECK_FALSE(reply.ignored.empty());
        CHECK(header.starts_with(reply.ignored));
        CHECK(reply.strict);
    }
    CHECK(api.fake().calls.empty());
    CHECK_THAT(
        api.ask("POST", "/engines/provision", R"({"user_id":"u1","enigne_version":"1"})").body,
        Contains("enigne_version: is not known here. Did you mean engine_version?"));
    CHECK_THAT(api.ask("GET", "/status?x=1").body,
               Contains("x: is not known here. Check its spelling."));
    CHECK(told(api.ask("POST", "/engines/u1/admit", R"({"auto_wake":1,"x":1})")) ==
          "400 INVALID_REQUEST");
}

TEST_CASE("a request without unknown names has no such header, strict or not") {
    api_harness api;
    for (const bool strict : {false, true}) {
        api.request.strict = strict;
        for (const auto& reply :
             {api.ask("POST", "/engines/u1/admit", R"({"auto_wake":true,"auto_provision":true})"),
              api.ask("POST", "/engines/u1/admit"), api.ask("GET", "/engines?limit=1&&status="),
              api.ask("GET", "/engines?q=a&metadata.plan=pro&metadata.of%20it=&after="),
              api.ask("POST", "/engines/u1/start", "no JSON")}) {
            CHECK(reply.status == 200);
            CHECK(reply.ignored.empty());
            CHECK(reply.strict == strict);
        }
    }
}

TEST_CASE("the key is checked before the names") {
    api_harness api;
    api.request.strict = true;
    api.request.platform_key = "pk-sept-wrong";
    const auto reply = api.ask("GET", "/engines?x=1");
    CHECK(reply.status == 401);
    CHECK(reply.ignored.empty());
}

TEST_CASE("at most eight ignored names are told, and how many more there are") {
    std::string members;
    for (int i = 0; i < 3'000; ++i) members += ",\"" + std::string(i == 0 ? 500 : 1, 'n') + "\":1";
    api_harness api;
    const auto reply = api.ask("POST", "/engines/u1/admit", "{\"auto_wake\":true" + members + "}");
    std::string expected = '"' + std::string(64, 'n') + "\";in=body";
    for (int i = 1; i < 8; ++i) expected += ", \"n\";in=body";
    CHECK(reply.ignored == expected + ", 2992");
}

TEST_CASE("ignored names cannot leave their quotes in the header") {
    http::ignored_names names;
    constexpr std::array<std::string_view, 1> known{"name"};
    names.add(http::ignored_names::in_body, "policy.", "a\"\\\r\n\xC3\xA4\x7F", known);
    CHECK(names.header() == R"("policy.a\"\\?????";in=body)");
}

TEST_CASE("the preference for strict handling is read as RFC 7240 writes it") {
    for (const std::string_view strict :
         {"handling=strict", "Handling = strict", "respond-async, handling=strict",
          "handling=strict;a=b", "handling=\"strict\"", "x=\"a,b\", handling=strict",
          "x=\"\\\",\",handling=strict", "handling=strict, handling=lenient", ",, handling=strict"})
        CHECK(http::prefers_strict(strict));
    for (const std::string_view other :
         {"", "handling", "handling=lenient", "handling=lenient, handling=strict", "strict",
          "x=\"handling=strict\"", "x=\",handling=strict", "handling=strictly", "x;handling=strict",
          "=", ",", "handling="})
        CHECK_FALSE(http::prefers_strict(other));
}
