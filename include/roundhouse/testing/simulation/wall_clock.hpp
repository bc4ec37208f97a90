#pragma once

#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// The wall clock of the machine, which may be set while virtual time goes on.
class wall_clock {
public:
    explicit wall_clock(const timeline& time) : time_(time) {}

    [[nodiscard]] instant now() const noexcept { return time_.now() + offset_; }

    /// Sets the clock forward, or back with a negative duration.
    void shift(duration by) noexcept {
        offset_ += by;
        ++shifts_;
    }
    /// How often the clock was set.
    [[nodiscard]] std::uint64_t shifts() const noexcept { return shifts_; }

private:
    const timeline& time_;
    duration offset_{};
    std::uint64_t shifts_ = 0;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
