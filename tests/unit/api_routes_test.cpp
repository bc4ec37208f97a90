#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/http/routes.hpp>

#include <string>
#include <vector>

namespace http = roundhouse::http;
using roundhouse::instant;
using namespace roundhouse_tests;
using namespace std::chrono_literals;

namespace {

/// The call that the fake orchestrator got for GET /engines/{segment}; the body of the reply if it
/// got none.
std::string found_user(std::string_view segment) {
    api_harness api;
    const auto reply = api.ask("GET", "/engines/" + std::string(segment));
    return api.fake().calls.empty() ? reply.body : api.fake().calls.back();
}

/// Whether a user_id in a path is refused with a message that names it.
bool names_user_id(std::string_view segment) {
    api_harness api;
    const auto reply = api.ask("POST", "/engines/" + std::string(segment) + "/admit");
    return told(reply) == "400 INVALID_REQUEST" &&
           reply.body.find("\"message\":\"user_id: ") != std::string::npos &&
           api.fake().calls.empty();
}

/// The message of the 400 that a query leads to; empty if the query is accepted.
std::string complaint(std::string_view method, std::string_view target) {
    api_harness api;
    const auto reply = api.ask(method, target);
    if (reply.status == 200) return {};
    CHECK(told(reply) == "400 INVALID_REQUEST");
    CHECK(api.fake().calls.empty());
    constexpr std::string_view start = R"("message":")";
    const auto body = json_of(reply);
    const auto at = body.find(start) + start.size();
    return body.substr(at, body.size() - at - 3);
}

} // namespace

TEST_CASE("unknown paths are a 404 and need no key") {
    api_harness api;
    api.request.platform_key = {};
    api.request.admin_key = {};
    for (const std::string_view path : {"/",
                                        "",
                                        "*",
                                        "//",
                                        "/nowhere",
                                        "/engines/",
                                        "/engines/u1/",
                                        "/engines/u1/admit/",
                                        "/engines/u1/nowhere",
                                        "/engines//",
                                        "/engines/u1//admit",
                                        "/engines/a/b/admit",
                                        "/engines/by-id/u1",
                                        "/Engines",
                                        "/engines/u1/ADMIT",
                                        "/health/",
                                        "/status/",
                                        "/metrics/x",
                                        "/products/",
                                        "/products/register/",
                                        "/products/demo/",
                                        "/products/demo/nowhere",
                                        "/products/demo/keys",
                                        "/products/demo/keys/",
                                        "/products/demo/keys/1/",
                                        "/products/demo/rotate-platform-key/",
                                        "/products/demo/policy/",
                                        "/products/a/b/policy",
                                        "/v1/engines",
                                        "engines",
                                        "/engine",
                                        "/healthz",
                                        "/%68ealth",
                                        "http://host"}) {
        INFO(path);
        for (const std::string_view method : {"GET", "POST", "DELETE", "OPTIONS", "NONSENSE", ""})
            CHECK(told(api.ask(method, path)) == "404 NOT_FOUND");
    }
    CHECK(api.fake().calls.empty());
}

TEST_CASE("a wrong method is a 405 that lists the methods of the path, and needs no key") {
    struct line {
        std::string_view path, allow, wrong;
    };
    constexpr line table[] = {
        {"/health", "GET, HEAD", "POST"},
        {"/engines", "GET, HEAD", "POST"},
        {"/status", "GET, HEAD", "DELETE"},
        {"/metrics", "GET, HEAD", "PUT"},
        {"/audit", "GET, HEAD", "DELETE"},
        {"/products", "GET, HEAD", "POST"},
        {"/products/register", "GET, HEAD, POST, PATCH, DELETE", "PUT"},
        {"/products/demo", "GET, HEAD, PATCH, DELETE", "POST"},
        {"/products/demo/policy", "GET, HEAD, PUT", "PATCH"},
        {"/products/register/policy", "GET, HEAD, PUT", "POST"},
        {"/products/demo/defaults", "GET, HEAD, PUT", "PATCH"},
        {"/products/demo/rotate-platform-key", "POST", "GET"},
        {"/products/demo/keys/1", "DELETE", "GET"},
        {"/engines/u1", "GET, HEAD, PATCH, DELETE", "POST"},
        {"/engines/provision", "GET, HEAD, POST, PATCH, DELETE", "PUT"},
        {"/engines/lookup", "GET, HEAD, POST, PATCH, DELETE", "PUT"},
        {"/engines/by-id/c7a290f5-d7d9-455f-9e96-3d2f31170c25", "GET, HEAD", "DELETE"},
        {"/engines/u1/admit", "POST", "GET"},
        {"/engines/u1/start", "POST", "GET"},
        {"/engines/u1/stop", "POST", "HEAD"},
        {"/engines/u1/sleep", "POST", "GET"},
        {"/engines/u1/wake", "POST", "PUT"},
        {"/engines/u1/upgrade", "POST", "GET"},
        {"/engines/u1/rotate-key", "POST", "PUT"},
        {"/engines/u1/activity", "POST", "PATCH"},
        {"/engines/u1/logs", "GET, HEAD", "POST"},
        {"/engines/u1/explain", "GET, HEAD", "POST"},
    };
    for (const auto& [path, allow, wrong] : table) {
        INFO(path);
        api_harness api;
        api.request.platform_key = {};
        for (const std::string_view method :
             {wrong, std::string_view("OPTIONS"), std::string_view("get")}) {
            const auto reply = api.ask(method, path);
            CHECK(told(reply) == "405 METHOD_NOT_ALLOWED");
            CHECK(reply.allow == allow);
        }
        CHECK(api.ask("GET", "/nowhere").allow.empty());
    }
}

TEST_CASE("HEAD is answered like GET") {
    api_harness api;
    for (const std::string_view path :
         {"/health", "/engines", "/status", "/metrics", "/audit", "/engines/u1", "/engines/u1/logs",
          "/products", "/products/demo", "/products/demo/policy"}) {
        INFO(path);
        const auto head = api.ask("HEAD", path);
        CHECK(head.status == 200);
        CHECK(head.body == api.ask("GET", path).body);
    }
}

TEST_CASE("a user may be called provision") {
    api_harness api;
    CHECK(api.ask("GET", "/engines/provision").status == 200);
    CHECK(api.ask("DELETE", "/engines/provision").status == 200);
    CHECK(api.ask("POST", "/engines/provision/admit").status == 200);
    CHECK(api.ask("POST", "/engines/provision", R"({"user_id":"provision"})").status == 200);
    CHECK(api.fake().calls == std::vector<std::string>{"find provision", "destroy provision",
                                                       "try_admit provision",
                                                       "provision provision"});
}

TEST_CASE("a target in absolute form means the same as its path") {
    api_harness api;
    CHECK(api.ask("GET", "http://example.com:8000/engines/u1").status == 200);
    CHECK(api.ask("GET", "https://example.com/engines?limit=5").status == 200);
    CHECK(api.fake().calls == std::vector<std::string>{"find u1", "list"});
    CHECK(api.fake().engines_asked->limit == 5);
    CHECK(told(api.ask("GET", "http://example.com")) == "404 NOT_FOUND");
    CHECK(told(api.ask("GET", "http://example.com?x=/health")) == "404 NOT_FOUND");
}

TEST_CASE("the user_id of a path is percent-decoded") {
    CHECK(found_user("u1") == "find u1");
    CHECK(found_user("a%20b") == "find a b");
    CHECK(found_user("a%2Fb%2fc") == "find a/b/c");
    CHECK(found_user("a+b") == "find a+b");
    CHECK(found_user("100%25") == "find 100%");
    CHECK(found_user("%2525") == "find %25");
    CHECK(found_user("%C3%A4@example.com") == "find \xC3\xA4@example.com");
    CHECK(found_user("\xC3\xA4") == "find \xC3\xA4");
    CHECK(found_user("%F0%9F%98%80") == "find \xF0\x9F\x98\x80");
    CHECK(found_user("a%3Fb%23c") == "find a?b#c");
    CHECK(found_user("...") == "find ...");
    CHECK(found_user("a;b=c,d") == "find a;b=c,d");
    CHECK(found_user("%61dmit") == "find admit");
}

TEST_CASE("an encoded slash is part of a user_id") {
    api_harness api;
    CHECK(api.ask("POST", "/engines/a%2Fadmit/start").status == 200);
    CHECK(api.ask("GET", "/engines/u1%2Flogs").status == 200);
    CHECK(api.fake().calls == std::vector<std::string>{"start a/admit", "find u1/logs"});
}

TEST_CASE("an invalid user_id in a path is a 400 that names it") {
    for (const std::string_view bad :
         {"",    ".",      "..",        "%2e",    "%2E%2e",       "%",     "%2",     "%zz",
          "%2g", "a%",     "%+1",       "%00",    "%1F",          "%7F",   "%C2%80", "%C2%9f",
          "%FF", "%C0%AE", "%ED%A0%80", "%E2%82", "%F4%90%80%80", "a%0Ab", "%0d%0a"}) {
        INFO(bad);
        CHECK(names_user_id(bad));
    }
    CHECK(names_user_id(std::string(257, 'x')));
    CHECK_FALSE(names_user_id(std::string(256, 'x')));
    CHECK_FALSE(names_user_id("%C2%A0"));
    std::string encoded;
    for (int i = 0; i < 256; ++i) encoded += "%2F";
    CHECK_FALSE(names_user_id(encoded)); // 256 bytes once decoded
    CHECK(names_user_id(encoded + "%2F"));
}

TEST_CASE("a user_id in a body has the same rules") {
    api_harness api;
    for (const std::string_view bad :
         {R"("")", R"(".")", R"("..")", R"("a\u0000")", R"("\u0085")", R"("\u007f")"}) {
        const auto reply = api.ask("POST", "/engines/provision",
                                   "{\"user_id\":" + std::string(bad) + "}");
        CHECK(told(reply) == "400 INVALID_REQUEST");
        CHECK(reply.body.find("user_id: ") != std::string::npos);
    }
    CHECK(api.ask("POST", "/engines/provision", R"({"user_id":"a/b ä"})").status == 200);
    CHECK(api.fake().calls == std::vector<std::string>{"provision a/b \xC3\xA4"});
}

TEST_CASE("a listing takes status, limit and offset") {
    api_harness api;
    CHECK(api.ask("GET", "/engines?status=sleeping&limit=1000&offset=12").status == 200);
    CHECK(api.fake().engines_asked->status == roundhouse::engine_status::sleeping);
    CHECK(api.fake().engines_asked->limit == 1'000);
    CHECK(api.fake().engines_asked->offset == 12);
    CHECK(api.ask("GET", "/engines?status=&limit=100&offset=0").status == 200);
    CHECK_FALSE(api.fake().engines_asked->status);
    for (const auto status : roundhouse::all_engine_statuses) {
        CHECK(api.ask("GET", "/engines?status=" + std::string(name_of(status))).status == 200);
        CHECK(api.fake().engines_asked->status == status);
    }
    CHECK(api.ask("GET", "/engines?offset=18446744073709551615").status == 200);
}

TEST_CASE("a listing takes the beginning of user_ids and members of metadata") {
    using members = roundhouse::named_texts;
    api_harness api;
    CHECK(api.ask("GET",
                  "/engines?q=J%C3%B6+%2B&metadata.plan=pro&metadata.team%3D=a%26b&status=failed")
              .status == 200);
    CHECK(api.fake().engines_asked->user_prefix == "J\xC3\xB6 +");
    CHECK(api.fake().engines_asked->metadata == members{{"plan", "pro"}, {"team=", "a&b"}});
    CHECK(api.fake().engines_asked->status == roundhouse::engine_status::failed);
    CHECK(api.ask("GET", "/engines?metadata.a.b=&metad%61ta.C&q=").status == 200);
    CHECK(api.fake().engines_asked->user_prefix.empty());
    CHECK(api.fake().engines_asked->metadata == members{{"a.b", ""}, {"C", ""}});
    CHECK(api.ask("GET", "/engines?metadata=x&q=J%C3").status == 200);
    CHECK(api.fake().engines_asked->user_prefix == "J\xC3");
    CHECK(api.fake().engines_asked->metadata.empty());
}

TEST_CASE("a listing refuses what no user_id and no metadata can be") {
    CHECK(complaint("GET", "/engines?q=a&q=b") == "q: is given twice.");
    CHECK(complaint("GET", "/engines?q=%4") ==
          "q: a % must be followed by two hexadecimal digits. Write %25 for a % itself.");
    CHECK(complaint("GET", "/engines?q=" + std::string(257, 'x')) ==
          "q: must have at most 256 bytes, as user_ids do, and has 257.");
    CHECK(complaint("GET", "/engines?q=" + std::string(256, 'x')).empty());

    CHECK(complaint("GET", "/engines?metadata.=x") ==
          "metadata.: its name must have 1 to 128 bytes, and has 0.");
    CHECK(complaint("GET", "/engines?metadata." + std::string(129, 'n') + "=x") ==
          "metadata." + std::string(64, 'n') + ": its name must have 1 to 128 bytes, and has 129.");
    CHECK(complaint("GET", "/engines?metadata." + std::string(128, 'n') + "=x").empty());
    CHECK(complaint("GET", "/engines?metadata.a%0A=x")
              .ends_with("its name must not hold control characters."));
    CHECK(complaint("GET", "/engines?metadata.%FF=x").ends_with("its name is not valid UTF-8."));
    CHECK(complaint("GET", "/engines?metadata.a=%FF") == "metadata.a: is not valid UTF-8.");
    CHECK(complaint("GET", "/engines?metadata.a=%00") ==
          "metadata.a: must not hold control characters.");
    CHECK(complaint("GET", "/engines?metadata.a=%4") ==
          "metadata.a: a % must be followed by two hexadecimal digits. Write %25 for a % itself.");
    CHECK(complaint("GET", "/engines?metadata.pl%zzan=a") ==
          "metadata.pl%zzan: a % must be followed by two hexadecimal digits. Write %25 for a % "
          "itself.");
    CHECK(complaint("GET", "/engines?metadata.plan=a&metadata.pl%61n=a") ==
          "metadata.plan: is given twice.");

    std::string many;
    for (int n = 0; n < 32; ++n) many += "metadata.m" + std::to_string(n) + "=x&";
    CHECK(complaint("GET", "/engines?" + many).empty());
    CHECK(complaint("GET", "/engines?" + many + "metadata.more=x") ==
          "metadata: must have at most 32 members, and has 33.");
}

TEST_CASE("invalid parameters of a listing are a 400 that names the parameter") {
    for (const std::string_view bad :
         {"0", "1001", "-1", "+1", "1.0", "1e2", "x", "", "%20", "99999999999999999999", "1%zz"}) {
        INFO(bad);
        CHECK(complaint("GET", "/engines?limit=" + std::string(bad)).starts_with("limit: "));
    }
    CHECK(complaint("GET", "/engines?limit").starts_with("limit: "));
    CHECK(complaint("GET", "/engines?limit=1&limit=2") == "limit: is given twice.");
    for (const std::string_view bad : {"-1", "x", "", "0x1", "18446744073709551616"})
        CHECK(complaint("GET", "/engines?offset=" + std::string(bad)).starts_with("offset: "));
    for (const std::string_view bad : {"Running", "runnin", "running ", "0"})
        CHECK(complaint("GET", "/engines?status=" + std::string(bad)).starts_with("status: "));
    CHECK(complaint("GET", "/engines?limit=1").empty());
}

TEST_CASE("unknown parameters are ignored, even if they are malformed") {
    CHECK(complaint("GET", "/engines?x=1&limt=0&%zz=%zz&&=&a=b=c&LIMIT=0").empty());
    CHECK(complaint("GET", "/status?limit=0").empty());
    CHECK(complaint("GET", "/engines?").empty());
}

TEST_CASE("names and values of parameters are percent-decoded, with + as a space") {
    api_harness api;
    CHECK(api.ask("GET", "/audit?us%65r_id=a+b%2B%2F%26").status == 200);
    CHECK(api.fake().audit_asked->user_id == "a b+/&");
}

TEST_CASE("logs take a tail of 1 to 10000 lines") {
    api_harness api;
    CHECK(api.ask("GET", "/engines/u1/logs?tail=1").status == 200);
    CHECK(api.ask("GET", "/engines/u1/logs?tail=10000").status == 200);
    CHECK(api.fake().calls == std::vector<std::string>{"logs u1 1", "logs u1 10000"});
    for (const std::string_view bad : {"0", "10001", "all", ""})
        CHECK(complaint("GET", "/engines/u1/logs?tail=" + std::string(bad)).starts_with("tail: "));
}

TEST_CASE("force is true or false and nothing else") {
    CHECK(complaint("POST", "/engines/u1/stop?force=true").empty());
    for (const std::string_view bad :
         {"?force=1", "?force=yes", "?force=True", "?force=", "?force"})
        CHECK(complaint("POST", "/engines/u1/stop" + std::string(bad)) ==
              "force: must be true or false.");
}

TEST_CASE("the audit log takes every filter") {
    api_harness api;
    CHECK(api.ask("GET",
                  "/audit?user_id=u1&engine_id=11111111-2222-4333-8444-555555555555&action=admit_"
                  "denied"
                  "&since=2023-11-14T22:13:20.123Z&until=2023-11-14T22:13:21Z&before=7&limit=5")
              .status == 200);
    const auto& asked = *api.fake().audit_asked;
    CHECK(asked.product_id == api.fake().product()->id);
    CHECK(asked.user_id == "u1");
    CHECK(asked.engine_id == fake_engine().record->id);
    CHECK(asked.action == roundhouse::audit_action::admit_denied);
    CHECK(asked.since == instant{1'700'000'000'123ms});
    CHECK(asked.until == instant{1'700'000'001'000ms});
    CHECK(asked.before == 7U);
    CHECK(asked.limit == 5);
}

TEST_CASE("audit filters without a value count as missing") {
    api_harness api;
    CHECK(api.ask("GET", "/audit?user_id=&engine_id=&action=&since=&until=&before=&limit=100")
              .status == 200);
    const auto& asked = *api.fake().audit_asked;
    CHECK_FALSE(asked.user_id);
    CHECK_FALSE(asked.engine_id);
    CHECK_FALSE(asked.action);
    CHECK_FALSE(asked.since);
    CHECK_FALSE(asked.until);
    CHECK_FALSE(asked.before);
    CHECK(asked.limit == 100);
}

TEST_CASE("invalid parameters of the audit log are a 400 that names the parameter") {
    const std::vector<std::pair<std::string, std::string>> bad{
        {"user_id", "%00"},
        {"user_id", ".."},
        {"user_id", "%ff"},
        {"engine_id", "u1"},
        {"engine_id", "11111111222243338444555555555555"},
        {"action", "Provision"},
        {"action", "everything"},
        {"since", "yesterday"},
        {"since", "2023-11-14"},
        {"until", "1700000000"},
        {"until", "2023-11-14T22:13:20+00:00"},
        {"before", "0"},
        {"before", "-1"},
        {"before", "x"},
        {"limit", "0"},
        {"limit", "1001"}};
    for (const auto& [name, value] : bad) {
        INFO(name << "=" << value);
        CHECK(complaint("GET", "/audit?" + name + "=" + value).starts_with(name + ": "));
    }
}

TEST_CASE("a route keeps its argument encoded") {
    STATIC_REQUIRE(http::find_route("GET", "/engines/a%2Fb").argument == "a%2Fb");
    STATIC_REQUIRE(http::find_route("POST", "/engines//admit").endpoint == http::endpoint::admit);
    STATIC_REQUIRE(http::find_route("POST", "/engines//admit").argument.empty());
}
