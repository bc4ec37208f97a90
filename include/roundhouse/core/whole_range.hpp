#pragma once

#include <roundhouse/version.hpp>

#include <cstdint>
#include <limits>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// The whole numbers that a field of a request, or a member of a policy, may be.
struct whole_range {
    std::uint64_t least = 0;
    std::uint64_t most = std::numeric_limits<std::uint64_t>::max();

    [[nodiscard]] constexpr bool holds(std::uint64_t number) const noexcept {
        return number >= least && number <= most;
    }

    /// For messages, behind "must be": "a whole number, 1 or more" or "a whole number from 1 to 9".
    [[nodiscard]] std::string text() const {
        if (most == std::numeric_limits<std::uint64_t>::max())
            return "a whole number, " + std::to_string(least) + " or more";
        return "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
    }
};

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
