#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/http/idempotency.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
namespace http = roundhouse::http;

TEST_CASE("an idempotency key is a string of structured fields, or the same without quotes") {
    const std::vector<std::pair<std::string, std::string>> table{
        {R"("8e03978e-40d5")", "8e03978e-40d5"},
        {"8e03978e-40d5", "8e03978e-40d5"},
        {R"("a\"b\\\\c")", R"(a"b\\c)"},
        {R"(a"b)", R"(a"b)"},
        {std::string(255, 'k'), std::string(255, 'k')}};
    for (const auto& [value, key] : table) {
        INFO(value);
        CHECK(http::read_idempotency_key(value) == key);
    }
    for (const auto& wrong :
         {std::string(), std::string(R"("")"), std::string(R"(")"), std::string(R"("a)"),
          std::string(R"("a"b")"), std::string(R"("a\b")"), std::string(R"("a\")"),
          std::string(R"("a";p=1)"), std::string("a b"), std::string(R"("a b")"),
          std::string("a\tb"), std::string("\xC3\xA9"), std::string(256, 'k')}) {
        INFO(wrong);
        const auto refused = http::read_idempotency_key(wrong);
        REQUIRE_FALSE(refused);
        CHECK_THAT(refused.error().message, Contains("Idempotency-Key: must be 1 to 255"));
    }
}

TEST_CASE("a provision with an idempotency key is made once, and answers as one without") {
    api_harness api;
    const auto without = api.ask("POST", "/engines/provision", R"({"user_id":"u1"})");
    api.request.idempotency_key = R"("k1")";
    const auto with = api.ask("POST", "/engines/provision", R"({"user_id":"u1"})");
    CHECK(with.status == 200);
    CHECK(with.body == without.body);
    CHECK(with.content_type == without.content_type);
    CHECK(api.fake().once_given->key == "k1");
    CHECK(api.fake().calls == std::vector<std::string>{"provision u1", "provision_once u1"});
}

TEST_CASE("the answer that is kept has the status and the body of the first") {
    api_harness api;
    api.request.idempotency_key = "k1";
    roundhouse::error failure{roundhouse::errc::boot_timeout, "It did not boot."};
    failure.details.emplace();
    api.fake().engine = roundhouse::unexpected(failure);
    const auto first = api.ask("POST", "/engines/provision", R"({"user_id":"u1"})");
    CHECK(first.status == 504);
    const auto kept = api.fake().once_given->write_answer(api.fake().engine);
    api.fake().engine = fake_engine();
    api.fake().repeated = kept;
    const auto again = api.ask("POST", "/engines/provision", R"({"user_id":"u1"})");
    CHECK(again.status == 504);
    CHECK(again.body == first.body);
    CHECK(again.request_id != first.request_id);
    CHECK_FALSE(again.request_id.empty());
}

TEST_CASE("requests with another body are other requests for an idempotency key") {
    api_harness api;
    api.request.idempotency_key = "k1";
    const auto digest = [&](std::string_view target, std::string_view body) {
        CHECK(api.ask("POST", target, body).status == 200);
        return api.fake().once_given->request;
    };
    const auto first = digest("/engines/provision", R"({"user_id":"u1"})");
    CHECK(digest("/engines/provision", R"({"user_id":"u1"})") == first);
    CHECK(digest("http://host/engines/provision", R"({"user_id":"u1"})") == first);
    CHECK(digest("/engines/provision", R"({"user_id":"u2"})") != first);
    CHECK(digest("/engines/provision", R"({"user_id": "u1"})") != first);
}

TEST_CASE("a registration with an idempotency key is made once, and answers as one without") {
    api_harness api;
    const std::string body = R"({"slug":"demo","display_name":"The Demo","policy":{"weight":3}})";
    const auto without = api.ask("POST", "/products/register", body);
    api.request.idempotency_key = R"("k1")";
    const auto with = api.ask("POST", "/products/register", body);
    CHECK(with.status == 200);
    CHECK(with.body == without.body);
    CHECK_THAT(with.body, Contains(std::string(fake_platform_key)));
    CHECK(api.fake().policy_given->weight == 3);
    const auto first = *api.fake().registration_once_given;
    CHECK(first.key == "k1");
    api.fake().repeated = first.write_answer(*api.fake().registered);
    api.fake().registered->platform_key = "pk-sept-another";
    CHECK(api.ask("POST", "/products/register", body).body == with.body);
    CHECK(api.fake().registration_once_given->request == first.request);
    api.ask("POST", "/products/register", R"({"slug":"demo","display_name":"Another"})");
    CHECK(api.fake().registration_once_given->request != first.request);
    CHECK(api.fake().calls == std::vector<std::string>{"register demo The Demo",
                                                       "register_once demo", "register_once demo",
                                                       "register_once demo"});
    api.request.admin_key = "another-key";
    CHECK(told(api.ask("POST", "/products/register", body)) == "401 INVALID_ADMIN_KEY");
}

TEST_CASE("a malformed idempotency key is a 400, and nothing is done") {
    for (const std::string_view wrong : {"", "\"a", "a b"}) {
        INFO(wrong);
        api_harness api;
        api.request.idempotency_key = wrong;
        const auto reply = api.ask("POST", "/engines/provision", R"({"user_id":"u1"})");
        CHECK(told(reply) == "400 INVALID_REQUEST");
        CHECK(told(api.ask("POST", "/products/register",
                           R"({"slug":"demo","display_name":"The Demo"})")) ==
              "400 INVALID_REQUEST");
        CHECK(api.fake().calls.empty());
    }
}

TEST_CASE("a call that does not read an idempotency key ignores it") {
    api_harness api;
    api.request.idempotency_key = "a b";
    api.request.strict = true;
    const auto reply = api.ask("POST", "/engines/u1/start");
    CHECK(reply.status == 200);
    CHECK(reply.ignored.empty());
}

TEST_CASE("what is ignored of a repeated call is told again") {
    api_harness api;
    api.request.idempotency_key = "k1";
    const auto reply = api.ask("POST", "/engines/provision", R"({"user_id":"u1","x":1})");
    CHECK(reply.status == 200);
    CHECK_THAT(reply.ignored, Contains("\"x\""));
}
