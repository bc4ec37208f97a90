#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

namespace roundhouse::server {

/// What a loop warns of.
enum class warning_kind : std::uint8_t {
    not_accepted, ///< The system accepts no connection.
    not_set_up,   ///< A connection was accepted, and could not be set up.
    all_taken,    ///< There are as many connections as there may be.
    share_taken,  ///< One client has as many as it may have.
    failed_call,
    cut_off_reply, ///< The last: `warning_limiter` counts by it.
};

/// Lets one line of each kind through in a minute, so that many connections do not flood the log, and
/// no kind silences another. Not thread-safe.
class warning_limiter {
public:
    using time_point = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::minutes span{1};

    /// Whether a line may be written: how many of its kind were not since the last one, or nothing
    /// if this one may not.
    [[nodiscard]] std::optional<std::size_t> admit(warning_kind kind, time_point now) noexcept {
        auto& [last, suppressed] = kinds_[static_cast<std::size_t>(kind)];
        if (last && now - *last < span) {
            ++suppressed;
            return std::nullopt;
        }
        last = now;
        return std::exchange(suppressed, 0);
    }

private:
    struct written {
        std::optional<time_point> last;
        std::size_t suppressed = 0;
    };
    std::array<written, static_cast<std::size_t>(warning_kind::cut_off_reply) + 1> kinds_;
};

} // namespace roundhouse::server
