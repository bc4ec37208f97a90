#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/http/credentials.hpp>
#include <roundhouse/http/key_failures.hpp>

#include <chrono>
#include <string>

using namespace roundhouse_tests;
using namespace std::chrono_literals;
using roundhouse::http::bearer_token;
using roundhouse::http::key_failures;

namespace {

const key_failures::clock::time_point start{1h};

/// Counts wrong keys, a second apart.
key_failures::verdict note(key_failures& failures, std::string_view client, int count,
                           key_failures::clock::time_point from) {
    key_failures::verdict last;
    for (int i = 0; i < count; ++i) last = failures.note(client, from + i * 1s);
    return last;
}

} // namespace

TEST_CASE("a client may send twenty wrong keys a minute, each with a longer delay") {
    key_failures failures;
    CHECK(failures.note("a", start).delay == 50ms);
    CHECK(failures.note("a", start + 1s).delay == 100ms);
    const auto twentieth = note(failures, "a", 18, start + 2s);
    CHECK_FALSE(twentieth.too_many);
    CHECK(twentieth.delay == 1s);
    const auto next = failures.note("a", start + 20s);
    CHECK(next.too_many);
    CHECK(next.delay == 1s);
    CHECK(failures.too_many("a", start + 20s));
    CHECK_FALSE(failures.too_many("b", start + 20s));
    CHECK_FALSE(failures.note("b", start + 20s).too_many);
}

TEST_CASE("a client with too many wrong keys has to keep quiet for a minute") {
    key_failures failures;
    REQUIRE(note(failures, "a", 21, start).too_many);
    CHECK(failures.note("a", start + 79s).too_many);
    CHECK(failures.note("a", start + 138s).too_many);
    CHECK_FALSE(failures.note("a", start + 198s).too_many);
}

TEST_CASE("wrong keys that are seldom enough are never too many") {
    key_failures failures;
    for (int i = 0; i < 200; ++i) CHECK_FALSE(failures.note("a", start + i * 4s).too_many);
}

TEST_CASE("wrong keys are logged at most once a minute, with their number") {
    key_failures failures;
    CHECK(failures.note("192.0.2.7", start).unreported == 1);
    for (int i = 1; i < 60; ++i) CHECK(failures.note({}, start + i * 1s).unreported == 0);
    CHECK(failures.note({}, start + 60s).unreported == 60);
}

TEST_CASE("so many clients are remembered, and no more") {
    key_failures failures;
    REQUIRE(note(failures, "first", 21, start).too_many);
    for (std::size_t i = 1; i < key_failures::most_clients; ++i)
        (void)failures.note(std::to_string(i), start + 21s);
    CHECK(failures.too_many("first", start + 21s));
    (void)failures.note("one more", start + 21s);
    CHECK_FALSE(failures.too_many("first", start + 21s));
}

TEST_CASE("a bearer token is what follows the scheme") {
    CHECK(bearer_token("Bearer abc") == "abc");
    CHECK(bearer_token("bEARER   abc") == "abc");
    for (const auto* const other : {"", "Bearer", "Bearer ", "Bearerabc", "Basic abc", "abc"})
        CHECK(bearer_token(other).empty());
}

TEST_CASE("a key may come as a bearer token") {
    api_harness api;
    const auto platform = "Bearer " + std::string(fake_platform_key);
    const auto admin = "Bearer " + std::string(test_admin_key);
    api.request.platform_key = api.request.admin_key = {};
    api.request.authorization = platform;
    CHECK(api.ask("GET", "/status").status == 200);
    CHECK(told(api.ask("PUT", "/products/demo/policy", R"({"policy":{}})")) ==
          "401 INVALID_ADMIN_KEY");
    api.request.authorization = admin;
    CHECK(api.ask("PUT", "/products/demo/policy", R"({"policy":{}})").status == 200);
    CHECK(api.ask("GET", "/status").status == 200);
    CHECK(told(api.ask("GET", "/engines/u1")) == "401 INVALID_PLATFORM_KEY");
    CHECK(api.ask("GET", "/engines/u1?product=demo").status == 200);
    api.request.authorization = "Basic YTpi";
    CHECK(told(api.ask("GET", "/status")) == "401 INVALID_PLATFORM_KEY");
}

TEST_CASE("a bearer token beside a key header is ignored, unless it is a key too") {
    api_harness api;
    api.request.authorization = "Bearer some.other.token";
    CHECK(api.ask("GET", "/status").status == 200);
    const auto platform = "Bearer " + std::string(fake_platform_key);
    const auto admin = "Bearer " + std::string(test_admin_key);
    for (const auto& key : {platform, admin}) {
        api.request.authorization = key;
        CHECK(told(api.ask("GET", "/status")) == "400 INVALID_REQUEST");
    }
}

TEST_CASE("the admin key cannot be guessed by tokens beside a right key") {
    api_harness api;
    api.request.client = "192.0.2.7";
    api.request.authorization = "Bearer wrong";
    for (unsigned i = 0; i <= key_failures::most_a_minute; ++i)
        REQUIRE(api.ask("GET", "/status").status == 200);
    const auto admin = "Bearer " + std::string(test_admin_key);
    api.request.authorization = admin;
    CHECK(api.ask("GET", "/status").status == 200);
}

TEST_CASE("too many wrong keys are a 429, and a right key is served at once") {
    api_harness api;
    const auto right = api.request;
    api.request.client = "192.0.2.7";
    api.request.platform_key = "pk-sept-wrong";
    for (unsigned i = 0; i < key_failures::most_a_minute; ++i) {
        const auto reply = api.ask("GET", "/status");
        REQUIRE(told(reply) == "401 INVALID_PLATFORM_KEY");
        CHECK(reply.challenge == "Bearer realm=\"roundhouse\"");
        CHECK(reply.delay > 0ms);
    }
    const auto refused = api.ask("GET", "/status");
    CHECK(told(refused) == "429 TOO_MANY_FAILURES");
    CHECK(refused.retry_after_s == 0);
    api.request.admin_key = "wrong";
    CHECK(told(api.ask("PUT", "/products/demo/policy", R"({"policy":{}})")) ==
          "429 TOO_MANY_FAILURES");
    CHECK(told(api.ask("GET", "/health")) == "429 TOO_MANY_FAILURES");
    CHECK(api.logged.size() == 1);

    api.request.platform_key = right.platform_key;
    const auto served = api.ask("GET", "/status");
    CHECK(served.status == 200);
    CHECK(served.delay == 0ms);
    api.request.platform_key = {};
    api.request.admin_key = {};
    CHECK(told(api.ask("GET", "/status")) == "401 INVALID_PLATFORM_KEY"); // missing is no guess
    api.request.platform_key = "pk-sept-wrong";
    api.request.client = "192.0.2.8";
    CHECK(told(api.ask("GET", "/status")) == "401 INVALID_PLATFORM_KEY");
}

TEST_CASE("health tells the causes of trouble to administrators only") {
    api_harness api;
    api.fake().condition.backend_trouble = "no daemon at unix:///var/run/docker.sock";
    api.fake().condition.store_trouble = "the disk is full";
    CHECK(api.ask("GET", "/health").body.find("/var/run") != std::string::npos);
    api.request.admin_key = {};
    const auto reply = api.ask("GET", "/health");
    CHECK(reply.status == 200);
    CHECK(
        json_of(reply).ends_with(R"("degraded":["backend is in trouble","store is in trouble"]})"));
    api.request.admin_key = "wrong";
    CHECK(told(api.ask("GET", "/health")) == "401 INVALID_ADMIN_KEY");
}
