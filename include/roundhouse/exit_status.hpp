#pragma once

#include <roundhouse/version.hpp>

#include <cstdint>
#include <optional>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// How a workload ended, as far as that is known: by default nothing is. Kept small, because each
/// engine's record has one.
struct exit_status {
    std::optional<std::int32_t> exit_code; ///< Set if it exited by itself.
    std::optional<std::uint8_t> signal;    ///< Set if a signal ended it.
    bool out_of_memory = false;            ///< The kernel ended it for want of memory.

    friend bool operator==(const exit_status&, const exit_status&) = default;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
