#pragma once

#include <roundhouse/core/events.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>

#include <algorithm>
#include <string_view>

/// How the log presents what was decided about an engine.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// How severe a decision is for operators, and what they can do about it.
struct notice {
    log_level level = log_level::info;
    std::string_view remedy; ///< Empty if nothing needs to be done.
};

/// Returns the notice of a decision. `after` is the row that it led to, null if it is gone.
[[nodiscard]] inline notice notice_of(const decision& decided, engine_status before,
                                      const engine_record* after) {
    const bool gave_up = std::ranges::any_of(decided.audit, [](const audit_entry& row) {
        return row.action == audit_action::auto_restart_gave_up;
    });
    if (gave_up)
        return {log_level::error, "It is not restarted any more: mend the cause, and start it"};
    const auto failure = decided.settled ? decided.settled->failure : std::nullopt;
    if (failure && failure->code == errc::port_exhaustion)
        return {log_level::error, "Destroy engines, or widen ORCH_PORT_MIN-ORCH_PORT_MAX"};
    const bool has_failed = after != nullptr && after->status == engine_status::failed &&
                            before != engine_status::failed;
    if (has_failed && after->restart_at)
        return {log_level::warning, "It is restarted; its output may tell the cause"};
    if (has_failed)
        return {log_level::warning, "Restarts are off (ORCH_RESTART_MAX_ATTEMPTS): mend the cause, "
                                    "which its output may tell, and start it"};
    if (failure && failure->code == errc::upgrade_failed)
        return {log_level::warning, "The output of its new version may tell the cause"};
    if (failure && (failure->code == errc::backend_error || failure->code == errc::backend_away))
        return {log_level::warning, "Check the backend if this keeps happening"};
    return {};
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
