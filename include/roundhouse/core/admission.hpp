#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/core/spans.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <chrono>

/// Which engines a request may go to, and why not to the others. Whether an admit waits for an
/// engine to become admissible is decided with all other calls, in calls.hpp.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// Whether a request may go to this engine now.
[[nodiscard]] inline bool admissible(const engine_record& engine) noexcept {
    if (engine.status != engine_status::running) return false;
    return engine.intent == intent::none || engine.intent == intent::watch ||
           engine.intent == intent::drop_copy;
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

/// In how many whole seconds, at least 1, the planned restart of a failed engine is due, after which
/// an admit may succeed; 0 if no restart is planned.
[[nodiscard]] inline int retry_after_s(const engine_record& engine, const context& context) {
    // A stop under way ends its restarts.
    if (engine.status != engine_status::failed || engine.intent == intent::stop) return 0;
    const auto wait = restart_in(engine, context);
    if (!wait) return 0;
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(
        std::min(*wait, longest_restart_wait(engine, context.settings)));
    return static_cast<int>(std::max(seconds, std::chrono::seconds{1}).count());
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
