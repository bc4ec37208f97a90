#include "catch.hpp"

#include <roundhouse/core/rate_limit.hpp>

#include <deque>
#include <random>

using namespace roundhouse;
using namespace std::chrono_literals;

TEST_CASE("as many calls as the limit are admitted at once, and no more") {
    core::rate_limiter limiter;
    int admitted = 0;
    for (int i = 0; i < 100; ++i) admitted += limiter.take(30, 5s) ? 0 : 1;
    CHECK(admitted == 30);
}

TEST_CASE("a refused call is admitted after the wait that it was given, and not before") {
    core::rate_limiter limiter;
    for (int i = 0; i < 3; ++i) REQUIRE_FALSE(limiter.take(3, 5'400ms));
    const auto delay = limiter.take(3, 7'000ms);
    REQUIRE(delay);
    CHECK(*delay == 58'400ms);
    CHECK(limiter.take(3, 7'000ms + *delay - 1ms));
    CHECK_FALSE(limiter.take(3, 7'000ms + *delay));
}

TEST_CASE("a limit of zero admits no call") {
    core::rate_limiter limiter;
    CHECK(limiter.take(0, 1s) == core::rate_limiter::window);
}

TEST_CASE("a lowered limit counts the calls that were admitted before") {
    core::rate_limiter limiter;
    for (int i = 0; i < 10; ++i) REQUIRE_FALSE(limiter.take(10, 1s * i));
    const auto delay = limiter.take(2, 10s);
    REQUIRE(delay);
    CHECK_FALSE(limiter.take(2, 10s + *delay));
}

TEST_CASE("no more calls than the limit are admitted in any 60 seconds, whatever the pattern") {
    std::mt19937 random(7);
    core::rate_limiter limiter;
    std::deque<duration> admitted;
    duration now{0};
    for (int i = 0; i < 20'000; ++i) {
        now += duration{std::uniform_int_distribution<>(0, i % 3 == 0 ? 4'000 : 150)(random)};
        if (!limiter.take(50, now)) admitted.push_back(now);
        while (!admitted.empty() && admitted.front() <= now - 60s) admitted.pop_front();
        REQUIRE(admitted.size() <= 50);
    }
}

TEST_CASE("after a pause longer than the window the whole limit is available again") {
    core::rate_limiter limiter;
    for (int i = 0; i < 5; ++i) REQUIRE_FALSE(limiter.take(5, 1s));
    CHECK(limiter.take(5, 2s));
    for (int i = 0; i < 5; ++i) CHECK_FALSE(limiter.take(5, 1000s));
    CHECK(limiter.take(5, 1000s));
}
