#include "../../../reference-server/transport/warning_limiter.hpp"
#include "catch.hpp"

#include <chrono>
#include <cstddef>
#include <optional>

using namespace roundhouse::server;
using namespace std::chrono_literals;

TEST_CASE("a warning is written once a minute, with the number of those that were not") {
    warning_limiter warnings;
    const warning_limiter::time_point start{}; // also the clock's first moment is one
    const auto admit = [&](std::chrono::seconds at) {
        return warnings.admit(warning_kind::all_taken, start + at);
    };
    CHECK(admit(0s) == std::optional<std::size_t>(0));
    CHECK_FALSE(admit(0s));
    CHECK_FALSE(admit(59s));
    CHECK(admit(60s) == std::optional<std::size_t>(2));
    CHECK_FALSE(admit(119s));
    CHECK(admit(600s) == std::optional<std::size_t>(1));
    CHECK(admit(660s) == std::optional<std::size_t>(0));
}

TEST_CASE("no kind of warning silences another") {
    warning_limiter warnings;
    const warning_limiter::time_point start{};
    constexpr auto count = static_cast<std::size_t>(warning_kind::cut_off_reply) + 1;
    for (std::size_t flooding = 0; flooding < count; ++flooding) {
        const auto now = start + 1h * static_cast<int>(flooding);
        CHECK(warnings.admit(static_cast<warning_kind>(flooding), now));
        for (int i = 0; i < 1'000; ++i)
            CHECK_FALSE(warnings.admit(static_cast<warning_kind>(flooding), now + 1s));
        for (std::size_t other = 0; other < count; ++other)
            if (other != flooding)
                CHECK(warnings.admit(static_cast<warning_kind>(other), now + 2s));
    }
}
