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

/// Lets at most `limit` calls through in any 60 seconds (SPEC §4 `rate_limit_rpm`).
///
/// Calls are counted in buckets of a second. A bucket leaves the window 60 s after its last call,
/// so that a wait is never decided shorter than it is, and never more than a second longer. Not
/// thread-safe: one lock per product.
class rate_limiter {
public:
    static constexpr duration window = std::chrono::seconds{60};

    /// Takes a place at `now` (steady time), or tells how long to wait until there is one. A limit
    /// of 0 lets nothing through, and the wait is the whole window.
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

    /// Until enough of the oldest buckets have left that a call fits: several, after the limit was
    /// lowered.
    [[nodiscard]] duration wait(std::uint64_t limit, duration now) const noexcept {
        if (limit == 0) return window;
        auto left = in_window_;
        for (std::size_t i = oldest_;; i = (i + 1) % buckets_.size()) {
            left -= buckets_[i].count;
            if (left < limit || i == newest_) return buckets_[i].last + window - now;
        }
    }

    // 60 s touch at most 61 whole seconds; one more is being filled.
    std::array<bucket, 62> buckets_{};
    std::size_t oldest_ = 0;
    std::size_t newest_ = 0;
    std::uint64_t in_window_ = 0;
};

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
