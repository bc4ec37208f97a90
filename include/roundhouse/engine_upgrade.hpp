#pragma once

#include <roundhouse/enum_table.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/exit_status.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// How far an upgrade is.
enum class upgrade_step : std::uint8_t {
    copy,    ///< The old version is ended, and its data copied where that is wanted.
    boot,    ///< The new version boots.
    watch,   ///< The new version serves, and is watched.
    restore, ///< The new version has failed: it is ended, and the data put back if there is a copy.
    revert,  ///< The old version boots again.
    drop,    ///< It is over, and a copy is left that is still to be dropped.
};

namespace detail {

inline constexpr std::array<name_row<upgrade_step>, 6> upgrade_step_names{{
    {upgrade_step::copy, "copy"},
    {upgrade_step::boot, "boot"},
    {upgrade_step::watch, "watch"},
    {upgrade_step::restore, "restore"},
    {upgrade_step::revert, "revert"},
    {upgrade_step::drop, "drop"},
}};

} // namespace detail

inline constexpr auto all_upgrade_steps = detail::values_of(detail::upgrade_step_names);
static_assert(detail::lists_every_enumerator<all_upgrade_steps>(), "a row is missing or misplaced");

[[nodiscard]] constexpr std::string_view name_of(upgrade_step step) noexcept {
    return detail::name_in(detail::upgrade_step_names, step);
}

/// An upgrade of an engine that runs (SPEC §3). It is stored with the engine's record, so that it is
/// finished or taken back whatever happens to the server.
struct engine_upgrade {
    upgrade_step step = upgrade_step::copy;
    std::string from_version;
    std::string to_version;
    duration healthy_for{};             ///< How long the new version is watched.
    std::optional<bool> keep_copy = {}; ///< Nothing: if there is little data.
    bool has_copy = false;              ///< All of the data from before it has been copied.
    /// A copy, or a part of one, may be there, and is dropped when the upgrade is over.
    bool drops_copy = false;
    // Why the new version was given up; set from `restore` on.
    std::string failure = {};
    boot_failure cause = boot_failure::timeout;
    exit_status exit = {};

    friend bool operator==(const engine_upgrade&, const engine_upgrade&) = default;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
