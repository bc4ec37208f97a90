#include "catch.hpp"

#include <roundhouse/core/rate_limit.hpp>

#include <deque>
#include <limits>
#include <random>

using namespace roundhouse;
using namespace std::chrono_literals;

namespace {

bool admits(core::burst_limiter& limiter, core::burst_limiter::limits held, duration now) {
    if (limiter.wait(held, now)) return false;
    limiter.take();
    return true;
}

} // namespace

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

TEST_CASE("as many calls as the burst are admitted at once, and then each when it becomes due") {
    core::burst_limiter limiter;
    for (int i = 0; i < 5; ++i) CHECK(admits(limiter, {5, 60}, 1h));
    CHECK(limiter.wait({5, 60}, 1h) == 1s);
    CHECK_FALSE(admits(limiter, {5, 60}, 1h + 999ms));
    CHECK(admits(limiter, {5, 60}, 1h + 1s));
    CHECK_FALSE(admits(limiter, {5, 60}, 1h + 1s));
    for (int i = 0; i < 3; ++i) CHECK(admits(limiter, {5, 60}, 1h + 4s));
    CHECK_FALSE(admits(limiter, {5, 60}, 1h + 4s));
}

TEST_CASE("after a pause the whole burst is available again, and no more") {
    core::burst_limiter limiter;
    for (const auto now : {duration{1h}, duration{1h + 5s}, duration{9h}}) {
        for (int i = 0; i < 5; ++i) CHECK(admits(limiter, {5, 60}, now));
        CHECK_FALSE(admits(limiter, {5, 60}, now));
    }
}

TEST_CASE("the wait for a burst is exact where the rate does not divide a minute") {
    core::burst_limiter limiter;
    REQUIRE(admits(limiter, {1, 7}, 1h));
    CHECK(limiter.wait({1, 7}, 1h) == 8'572ms); // 60 s / 7 is 8,571.4 ms
    CHECK(limiter.wait({1, 7}, 1h + 8'571ms) == 1ms);
    int admitted = 0;
    for (auto now = duration{1h}; now < 2h; now += 1ms) admitted += admits(limiter, {1, 7}, now);
    CHECK(admitted == 7 * 60 - 1);
}

TEST_CASE("a lowered burst counts the calls that were admitted before") {
    core::burst_limiter limiter;
    for (int i = 0; i < 10; ++i) REQUIRE(admits(limiter, {10, 60}, 1h));
    CHECK(limiter.wait({2, 60}, 1h) == 9s);
    CHECK(limiter.wait({2, 600}, 1h) == 900ms);
}

TEST_CASE("the largest numbers of a burst are no different from large ones") {
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    core::burst_limiter limiter;
    for (int i = 0; i < 1'000; ++i) REQUIRE(admits(limiter, {most, most}, 1h));
    REQUIRE(admits(limiter, {1, most}, 1h + 1ms));
    CHECK(limiter.wait({1, most}, 1h + 1ms) == 1ms);
}

TEST_CASE("no more calls than the burst and those due are admitted in any time") {
    std::mt19937 random(11);
    core::burst_limiter limiter;
    std::deque<duration> admitted;
    duration now{1h};
    for (int i = 0; i < 20'000; ++i) {
        now += duration{std::uniform_int_distribution<>(0, i % 5 == 0 ? 4'000 : 100)(random)};
        if (admits(limiter, {20, 90}, now)) admitted.push_back(now);
        while (!admitted.empty() && admitted.front() <= now - 10s) admitted.pop_front();
        REQUIRE(admitted.size() <= 20 + 15);
    }
}

TEST_CASE("what is left of a rate is what would be admitted, and grows when it is said to") {
    core::rate_limiter limiter;
    CHECK(limiter.left(3, 1s).left == 3);
    CHECK(limiter.left(3, 1s).more_in == duration{0});
    REQUIRE_FALSE(limiter.take(3, 1s));
    REQUIRE_FALSE(limiter.take(3, 21s));
    CHECK(limiter.left(3, 21s).left == 1);
    CHECK(limiter.left(3, 21s).more_in == 40s);
    REQUIRE_FALSE(limiter.take(3, 21s));
    CHECK(limiter.left(3, 21s).left == 0);
    CHECK(limiter.left(3, 21s).more_in == limiter.wait(3, 21s));
    CHECK(limiter.left(2, 21s).more_in == limiter.wait(2, 21s));
    CHECK(limiter.left(3, 61s).left == 1);
    CHECK(limiter.left(0, 61s).left == 0);
}

TEST_CASE("what is left of a burst is what would be admitted, and grows when it is said to") {
    core::burst_limiter limiter;
    CHECK(limiter.left({5, 60}, 1h).left == 5);
    CHECK(limiter.left({5, 60}, 1h).window == 5s);
    CHECK(limiter.left({5, 60}, 1h).more_in == duration{0});
    for (int i = 0; i < 3; ++i) REQUIRE(admits(limiter, {5, 60}, 1h));
    CHECK(limiter.left({5, 60}, 1h).left == 2);
    CHECK(limiter.left({5, 60}, 1h + 400ms).left == 2);
    CHECK(limiter.left({5, 60}, 1h + 400ms).more_in == 600ms);
    CHECK(limiter.left({5, 60}, 1h + 1s).left == 3);
    CHECK(limiter.left({1, 60}, 1h + 1s).left == 0);
    CHECK(limiter.left({1, 60}, 1h + 1s).more_in == limiter.wait({1, 60}, 1h + 1s));
}
