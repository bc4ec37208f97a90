#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
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
        if (const auto refused = wait(limit, now)) return refused;
        count(now);
        return std::nullopt;
    }

    /// The wait until a call at `now` would be admitted; nothing if it is.
    [[nodiscard]] std::optional<duration> wait(std::uint64_t limit, duration now) noexcept {
        forget_before(now - window);
        if (in_window_ >= limit) return until_below(limit, now);
        return std::nullopt;
    }

    /// What is left at `now`.
    [[nodiscard]] rate_quota left(std::uint64_t limit, duration now) noexcept {
        rate_quota out{limit, window, 0, {}};
        if (const auto refused = wait(limit, now)) {
            out.more_in = *refused;
        } else {
            out.left = limit - in_window_;
            if (in_window_ > 0) out.more_in = at(oldest_).last + window - now;
        }
        return out;
    }

    /// Counts a call at `now`, for which there was no wait.
    void count(duration now) noexcept {
        const auto second = std::chrono::floor<std::chrono::seconds>(now).count();
        auto& newest = at(newest_);
        if (newest.count == 0 || newest.second != second) {
            if (newest.count != 0) newest_ = (newest_ + 1) % buckets_.size();
            at(newest_) = {second, now, 0};
        }
        at(newest_).last = now;
        ++at(newest_).count;
        ++in_window_;
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
    [[nodiscard]] duration until_below(std::uint64_t limit, duration now) const noexcept {
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

/// Admits at most `burst` calls at once, and further ones as they become due: `per_minute`, evenly
/// spaced (SPEC §4 `rate_limit_burst`). A bucket of `burst` places: a call fills one, and `per_minute`
/// of them are emptied in each minute, to the millisecond. Not thread-safe.
class burst_limiter {
public:
    /// The numbers that hold at a call: neither is 0, and `burst` is at most `per_minute`.
    struct limits {
        std::uint64_t burst = 1;
        std::uint64_t per_minute = 1;
    };

    /// The wait until a call at `now` (steady time) would be admitted; nothing if it is.
    [[nodiscard]] std::optional<duration> wait(limits held, duration now) noexcept {
        held = bounded(held);
        drain(held, now);
        const auto room = (held.burst - 1) * place;
        if (filled_ <= room) return std::nullopt;
        return time_of(filled_ - room, held);
    }

    /// What is left at `now`. The window is the time in which the whole bucket is emptied.
    [[nodiscard]] rate_quota left(limits held, duration now) noexcept {
        rate_quota out{held.burst, {}, 0, {}};
        held = bounded(held);
        drain(held, now);
        out.window = time_of(held.burst * place, held);
        // A place that is not empty yet is no place.
        const auto used = (filled_ + place - 1) / place;
        out.left = out.most - std::min(used, held.burst);
        if (used > 0)
            out.more_in = time_of(filled_ - (std::min(used, held.burst) - 1) * place, held);
        return out;
    }

    /// Counts a call, for which there was no wait.
    void take() noexcept { filled_ += place; }

private:
    /// What one call fills: as many parts as a minute has milliseconds, of which `per_minute` are
    /// emptied in each.
    static constexpr std::uint64_t place = 60'000;
    static constexpr duration longest = std::chrono::milliseconds{place};

    /// More calls than these are not made in a minute. So no product overflows.
    static limits bounded(limits held) noexcept {
        constexpr std::uint64_t most = 100'000'000'000'000;
        return {std::min(held.burst, most), std::min(held.per_minute, most)};
    }

    void drain(const limits& held, duration now) noexcept {
        // In a minute at least `burst` places are emptied.
        const auto passed = std::clamp(now - drained_at_, duration{0}, longest);
        const auto emptied = static_cast<std::uint64_t>(passed.count()) * held.per_minute;
        filled_ -= std::min(filled_, emptied);
        drained_at_ = std::max(drained_at_, now);
    }

    static duration time_of(std::uint64_t parts, const limits& held) noexcept {
        return duration{
            static_cast<duration::rep>((parts + held.per_minute - 1) / held.per_minute)};
    }

    std::uint64_t filled_ = 0;
    duration drained_at_{};
};

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
