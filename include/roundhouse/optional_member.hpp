#pragma once

#include <roundhouse/version.hpp>

#include <cstdint>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The members that a backend may have beside those of its concept. It lists those that it has: `static constexpr auto optional_members = optional_member::prepare | ...;`.
enum class optional_member : std::uint8_t {
    none = 0,
    prepare = 1,
    discard = 2,
    on_pause = 4,
    boot_logs = 8,
    open_logs = 16,
    isolation = 32,
    limits = 64,
    data_copy = 128, ///< `copy_data`, `restore_data` and `drop_copy`.
};

[[nodiscard]] constexpr optional_member operator|(optional_member a, optional_member b) noexcept {
    return static_cast<optional_member>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
