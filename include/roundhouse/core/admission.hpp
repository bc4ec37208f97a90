#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/types.hpp>

/// Which engines a request may go to, and why not to the others. Whether an admit waits for an
/// engine to become admissible is decided with all other calls, in calls.hpp.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// Whether a request may go to this engine now.
[[nodiscard]] inline bool admissible(const engine_record& engine) noexcept {
    return engine.status == engine_status::running && engine.intent == intent::none;
}

/// Why a request is not admitted to an engine that is not admissible, and is not waited for.
[[nodiscard]] inline denial why_denied(const engine_record& engine) noexcept {
    switch (engine.status) {
    case engine_status::sleeping:
    case engine_status::stopped: return denial::engine_sleeping;
    case engine_status::destroying: return denial::engine_not_found;
    case engine_status::provisioning:
    case engine_status::running:
    case engine_status::failed: break;
    }
    return denial::engine_unhealthy;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
