#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

/// The fields `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers), which tell
/// clients their rate limit and what is left of it.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

inline constexpr std::string_view rate_limit_policy_header = "RateLimit-Policy";
inline constexpr std::string_view rate_limit_header = "RateLimit";

namespace detail {

/// Appends a parameter whose value is an integer of structured fields, which has at most 15 digits
/// (RFC 9651 §3.3.1).
inline void append_parameter(std::string& out, std::string_view name, std::uint64_t value) {
    constexpr std::uint64_t most = 999'999'999'999'999;
    std::array<char, 16> digits; // NOLINT: to_chars writes what is read
    const auto end =
        std::to_chars(digits.data(), digits.data() + digits.size(), std::min(value, most)).ptr;
    out.append(";").append(name).append("=").append(digits.data(), end);
}

[[nodiscard]] inline std::uint64_t seconds_of(duration span) noexcept {
    return static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(span).count());
}

/// Appends an item for each bound: its name, and what `append` appends of it.
template <class Append>
void append_bounds(std::string& out, const rate_limit_status& limits, Append append) {
    append(out.append("\"default\""), limits.minute);
    if (limits.burst) append(out.append(", \"burst\""), *limits.burst);
}

} // namespace detail

/// Appends the value of `RateLimit-Policy`: `q` admits in `w` seconds.
inline void append_rate_limit_policy(std::string& out, const rate_limit_status& limits) {
    detail::append_bounds(out, limits, [](std::string& to, const rate_quota& bound) {
        detail::append_parameter(to, "q", bound.most);
        detail::append_parameter(to, "w", detail::seconds_of(bound.window));
    });
}

/// Appends the value of `RateLimit`: `r` admits are left, and more will be in `t` seconds.
inline void append_rate_limit(std::string& out, const rate_limit_status& limits) {
    detail::append_bounds(out, limits, [](std::string& to, const rate_quota& bound) {
        detail::append_parameter(to, "r", bound.left);
        detail::append_parameter(to, "t", detail::seconds_of(bound.more_in));
    });
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
