#pragma once

#include <roundhouse/types.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// Admits at most `limit` calls in any 60 seconds (SPEC §4 `rate_limit_rpm` and
/// `max_provisions_per_minute`).
///
/// Calls are counted in buckets of one second. A bucket leaves the window 60 s after its last call,
/// so the reported wait is never too short, and too long by less than a second. Not thread-safe.
class rate_limiter {
public:
    static constexpr duration window = std::chrono::seconds{60};

    /// Counts a call at `now` (steady time) and returns nothing, or returns the wait until a call
    /// would be admitted. A limit of 0 admits no call; the wait is then the whole window.
    [[nodiscard]] std::optional<duration> take(std::uint64_t limit, duration now) {
        forget_before(now - window);
        if (in_window_ >= limit) return wait(limit, now);
        const auto second = std::chrono::floor<std::chrono::seconds>(now).count();
        auto& newest = at(newest_);
        if (newest.count == 0 || newest.second != second) {
            if (newest.count != 0) newest_ = (newest_ + 1) % buckets_.size();
            at(newest_) = {second, now, 0};
        }
        at(newest_).last = now;
        ++at(newest_).count;
        ++in_window_;
        return std::nullopt;
    }

private:
    struct bucket {
        std::int64_t second = 0;
        duration last{};
        std::uint64_t count = 0;
    };

    bucket& at(std::size_t index) noexcept { return buckets_[index]; }

    void forget_before(duration horizon) noexcept {
        while (in_window_ > 0 && at(oldest_).last <= horizon) {
            in_window_ -= at(oldest_).count;
            at(oldest_).count = 0;
            if (oldest_ != newest_) oldest_ = (oldest_ + 1) % buckets_.size();
        }
    }

    /// Returns the time until enough of the oldest buckets have left the window for a call to fit.
    /// That is more than one bucket after the limit was lowered.
    [[nodiscard]] duration wait(std::uint64_t limit, duration now) const noexcept {
        if (limit == 0) return window;
        auto left = in_window_;
        for (std::size_t i = oldest_;; i = (i + 1) % buckets_.size()) {
            left -= buckets_[i].count;
            if (left < limit || i == newest_) return buckets_[i].last + window - now;
        }
    }

    // A window of 60 s overlaps at most 61 whole seconds; one more bucket is being filled.
    std::array<bucket, 62> buckets_{};
    std::size_t oldest_ = 0;
    std::size_t newest_ = 0;
    std::uint64_t in_window_ = 0;
};

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
