#pragma once

#include <roundhouse/engine_upgrade.hpp>
#include <roundhouse/types.hpp>

/// What a record tells of its engine's upgrade.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// Whether an upgrade of the engine is under way. One that is over may leave a copy to be dropped.
[[nodiscard]] inline bool is_upgraded(const engine_record& engine) noexcept {
    return engine.upgrade && engine.upgrade->step != upgrade_step::drop;
}

/// Whether nothing but a copy of its data is left of an engine's upgrade.
[[nodiscard]] inline bool has_copy_to_drop(const engine_record& engine) noexcept {
    return engine.upgrade && engine.upgrade->step == upgrade_step::drop;
}

/// Whether a decision begins an upgrade.
[[nodiscard]] inline bool begins_upgrade(const engine_record& before,
                                         const engine_record& after) noexcept {
    return before.intent != intent::copy && after.intent == intent::copy;
}

/// Whether a decision gives up the new version of an engine that is upgraded.
[[nodiscard]] inline bool gives_up_upgrade(const engine_record& before,
                                           const engine_record& after) noexcept {
    return before.intent != intent::restore && after.intent == intent::restore;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
