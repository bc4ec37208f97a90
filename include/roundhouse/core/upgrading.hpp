#pragma once

#include <roundhouse/core/events.hpp>
#include <roundhouse/core/transition.hpp>
#include <roundhouse/core/upgrade_state.hpp>
#include <roundhouse/engine_upgrade.hpp>

#include <string>
#include <string_view>
#include <utility>

/// What becomes of an engine that is upgraded (SPEC §3): its old version is ended and its data copied,
/// the new one boots and is watched; and if that fails, the data is put back and the old one boots.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core::detail {

/// What is told a call whose upgrade has failed. `outcome` says what the engine is now.
inline error upgrade_failed(const engine_record& engine, bool reverted, std::string_view outcome) {
    const auto& upgrade = *engine.upgrade;
    error out{errc::upgrade_failed, "The upgrade of the engine of user '" + engine.user_id +
                                        "' to version '" + upgrade.to_version +
                                        "' has failed: " + upgrade.failure};
    if (!upgrade.failure.ends_with('.')) out.message += '.';
    out.message.append(" Version '" + upgrade.from_version + "' ").append(outcome);
    out.details = error_details{upgrade.cause, upgrade.exit, reverted};
    return out;
}

/// Notes why the new version is given up.
inline void note_failure(transition& out, boot_failure cause, const std::string& reason,
                         const exit_status& exit = {}) {
    out.amend_upgrade([&](engine_upgrade& upgrade) {
        upgrade.failure = reason;
        upgrade.cause = cause;
        upgrade.exit = exit;
    });
}

/// Begins the way back: the new version is ended, and the data put back.
inline decision give_up_version(const engine_record& engine, const context& context,
                                boot_failure cause, const std::string& reason,
                                const exit_status& exit, std::string_view why) {
    transition out(engine, context);
    note_failure(out, cause, reason, exit);
    out.upgrade_is_at(upgrade_step::restore);
    out.to(engine_status::provisioning, intent::restore)
        .begin(intent::restore, command::restore_data);
    out.next().healthy_since.reset();
    return out.take(why);
}

inline void tell_versions(audit_entry& row, const engine_upgrade& upgrade) {
    row.metadata.emplace_back("from_version", upgrade.from_version);
    row.metadata.emplace_back("to_version", upgrade.to_version);
}

/// The old version serves, again or still.
inline void audit_way_back(transition& out) {
    const auto& upgrade = *out.next().upgrade;
    auto& row = out.audit_transition(audit_action::upgrade_reverted, true);
    tell_versions(row, upgrade);
    row.metadata.emplace_back("reason", upgrade.failure);
}

/// Both versions have failed.
inline std::string both_reasons(const engine_record& engine, const std::string& reason) {
    const auto& upgrade = *engine.upgrade;
    std::string out = "its upgrade to version '" + upgrade.to_version +
                      "' failed: " + upgrade.failure;
    if (!out.ends_with('.')) out += '.';
    return out + " And version '" + upgrade.from_version + "' did not boot again: " + reason;
}

inline error nothing_boots(const engine_record& engine, const std::string& reason) {
    return upgrade_failed(engine, false, "did not boot again: " + reason);
}

/// The new version has been healthy for as long as it was watched.
inline decision upgraded(transition& out) {
    tell_versions(out.audit_transition(audit_action::upgrade, true), *out.next().upgrade);
    return out.end_upgrade().settle().take("the new version holds: the upgrade is done");
}

/// The new version has booted. `out` runs.
inline decision new_version_booted(transition& out) {
    if (out.next().upgrade->healthy_for <= duration{0}) return upgraded(out);
    return out.upgrade_is_at(upgrade_step::watch)
        .begin(intent::watch, command::watch)
        .settle()
        .take("the new version serves, and is watched");
}

/// The old version has booted again. `out` runs.
inline decision old_version_booted(transition& out) {
    auto failure = upgrade_failed(out.next(), true, "runs again.");
    return out.end_upgrade().settle(std::move(failure)).take("the old version serves again");
}

inline decision not_under_way() { return transition::ignore("not what is under way"); }

inline decision on_event(const event::copied& what, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::copy) return not_under_way();
    transition out(engine, context);
    out.amend_upgrade([&](engine_upgrade& upgrade) {
        upgrade.step = upgrade_step::boot;
        upgrade.has_copy = what.made;
        // One that none was asked for leaves what an earlier upgrade may have left.
        if (upgrade.keep_copy.value_or(true)) upgrade.drops_copy = what.made;
    });
    out.next().version = engine.upgrade->to_version;
    return out.begin_boot(boot_reason::upgrade)
        .take("the old version is ended: the new one is booted on its data");
}

inline decision on_event(const event::copy_failed& what, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::copy) return not_under_way();
    return give_up_version(engine, context, boot_failure::copy,
                           "its data could not be copied: " + what.cause.message, {},
                           "its data could not be copied: the old version is booted again");
}

/// The old version could not be ended, or not all of it.
inline decision upgrade_called_off(const engine_record& engine, const context& context,
                                   const error& cause) {
    transition out(engine, context);
    note_failure(out, boot_failure::copy, "the old version could not be ended: " + cause.message);
    auto failure = upgrade_failed(out.next(), true, "was left as it was.");
    out.to(engine_status::running, intent::none); // its probes tell whether it still does
    audit_way_back(out);
    out.forget_upgrade().to(engine_status::running, intent::none);
    return out.settle(std::move(failure)).take("the old version could not be ended");
}

inline decision on_event(const event::watched&, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::watch) return not_under_way();
    transition out(engine, context);
    out.to(engine_status::running, intent::none);
    out.next().last_health_at = context.now;
    return upgraded(out);
}

inline decision on_event(const event::watch_failed& what, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::watch) return not_under_way();
    // It may be the backend that fails, and with it the way back would.
    if (context.backend_away)
        return transition(engine, context)
            .retry_later()
            .settle({errc::backend_error, "The backend is away: the engine of user '" +
                                              engine.user_id + "' runs version '" + engine.version +
                                              "', which is watched again once it is back."})
            .take("the backend is away: watched on");
    return give_up_version(engine, context, boot_failure::unhealthy, what.reason, {},
                           "the new version is not healthy: the old one is booted again");
}

inline decision on_event(const event::restored&, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::restore) return not_under_way();
    transition out(engine, context);
    out.amend_upgrade([](engine_upgrade& upgrade) {
        upgrade.step = upgrade_step::revert;
        upgrade.has_copy = false;
    });
    out.next().version = engine.upgrade->from_version;
    return out.begin_boot(boot_reason::revert)
        .take("the new version is ended: the old one is booted again");
}

inline decision on_event(const event::restore_failed& what, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::restore) return not_under_way();
    auto failure = upgrade_failed(engine, false,
                                  "cannot be booted again yet: " + what.cause.message +
                                      " That is tried again.");
    return transition(engine, context)
        .retry_later()
        .settle(std::move(failure))
        .take("the way back to the old version is tried again");
}

inline decision on_event(const event::copy_dropped&, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::drop_copy) return not_under_way();
    transition out(engine, context);
    out.next().upgrade.reset();
    return out.to(engine_status::running, intent::none)
        .settle()
        .take("nothing of the upgrade is left");
}

/// It serves whether its copy is dropped or not.
inline decision on_event(const event::drop_failed&, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::drop_copy) return not_under_way();
    return transition(engine, context)
        .to(engine_status::running, intent::none)
        .settle()
        .take("the copy of its data could not be dropped: tried again");
}

/// An operation of an upgrade has not ended in time.
inline decision upgrade_step_late(const engine_record& engine, const context& context) {
    const error late{errc::backend_error, "The backend has not done it in time."};
    switch (engine.intent) {
    case intent::copy: return on_event(event::copy_failed{late}, engine, context);
    case intent::drop_copy: return on_event(event::drop_failed{late}, engine, context);
    case intent::restore:
        return transition(engine, context)
            .retry_now()
            .ask(command::restore_data)
            .settle(
                upgrade_failed(engine, false, "cannot be booted again yet. That is tried again."))
            .take("the way back to the old version is tried again");
    default:
        return transition(engine, context)
            .retry_now()
            .ask(command::watch)
            .take("the new version is watched again");
    }
}

} // namespace core::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
