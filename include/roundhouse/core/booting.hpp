#pragma once

#include <roundhouse/core/events.hpp>
#include <roundhouse/core/transition.hpp>
#include <roundhouse/core/upgrading.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

/// What becomes of an engine that boots.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core::detail {

inline decision stale(std::string_view why = "not what is under way") {
    return transition::ignore(why);
}

/// A running or sleeping engine is not what it should be.
inline transition lost(const engine_record& engine, const context& context,
                       const std::string& reason) {
    transition out(engine, context);
    out.fail(reason);
    auto& row = out.audit_transition(audit_action::health_failed, false);
    row.metadata.emplace_back("reason", reason);
    return out;
}

inline bool booting(const engine_record& engine) noexcept { return engine.intent == intent::boot; }

/// Which row tells the end of a boot, by why it began.
inline audit_action boot_action(boot_reason reason, bool healthy) noexcept {
    switch (reason) {
    case boot_reason::first: return audit_action::provision;
    case boot_reason::start: return audit_action::start;
    case boot_reason::restart:
        return healthy ? audit_action::auto_restart_success : audit_action::auto_restart_failed;
    case boot_reason::rotate:
        return healthy ? audit_action::rotate_key : audit_action::health_failed;
    case boot_reason::settings: return audit_action::start;
    case boot_reason::wake: return audit_action::wake;
    case boot_reason::upgrade: return audit_action::start;
    case boot_reason::revert:
        return healthy ? audit_action::upgrade_reverted : audit_action::health_failed;
    case boot_reason::recover:
        return healthy ? audit_action::recovered : audit_action::health_failed;
    }
    return audit_action::health_failed;
}

inline bool asked_for(boot_reason reason) noexcept {
    return reason == boot_reason::first || reason == boot_reason::start ||
           reason == boot_reason::rotate || reason == boot_reason::settings ||
           reason == boot_reason::wake || reason == boot_reason::upgrade;
}

/// The reason of a boot or wake that was not healthy in time, with what its last probe got.
inline std::string not_healthy_in_time(const context& context) {
    std::string reason = "it was not healthy in time.";
    if (!context.last_probe.empty()) reason.append(" Last probe: ").append(context.last_probe);
    return reason;
}

/// The boot under way has failed after the workload was started: not healthy in time, or exited.
inline decision boot_failed(const engine_record& engine, const context& context,
                            const std::string& reason, std::string_view why) {
    if (engine.boot == boot_reason::upgrade)
        return give_up_version(engine, context, boot_failure::timeout, reason, {},
                               "the new version did not boot: the old one is booted again");
    const bool reverts = engine.boot == boot_reason::revert;
    transition out(engine, context);
    const auto took = out.elapsed();
    out.fail(reverts ? both_reasons(engine, reason) : reason);
    auto& row = out.audit_transition(boot_action(engine.boot, false), asked_for(engine.boot));
    row.metadata = {{"outcome", "boot_timeout"}, {"reason", reason}};
    if (engine.boot == boot_reason::restart)
        row.metadata.emplace_back("attempt", static_cast<std::int64_t>(engine.restart_attempts));
    row.took = took;
    out.audit_if_given_up();
    if (reverts) return out.forget_upgrade().settle(nothing_boots(engine, reason)).take(why);
    error timeout{errc::boot_timeout, "Engine of user '" + engine.user_id + "' did not boot: " +
                                          reason + (reason.ends_with('.') ? "" : ".") +
                                          (out.next().restart_at ? " It is restarted automatically."
                                                                 : " Call start to try again.")};
    timeout.details = error_details{boot_failure::timeout};
    return out.settle(std::move(timeout)).take(why);
}

/// As if the engine had never been asked for.
inline transition& undo_creation(transition& out, const std::string& reason) {
    const auto took = out.elapsed();
    auto& row = out.audit_transition(audit_action::provision_failed, true);
    row.metadata.emplace_back("reason", reason);
    row.took = took;
    return out.erase(row_change::undo)
        .settle(error{errc::backend_error, "Nothing could be started: " + reason});
}

inline decision on_event(const event::boot_healthy& what, const engine_record& engine,
                         const context& context) {
    if (!booting(engine)) return stale();
    transition out(engine, context);
    const auto took = out.elapsed();
    out.run();
    if (what.defaults_revision) out.next().defaults_revision = *what.defaults_revision;
    if (engine.boot == boot_reason::revert) {
        audit_way_back(out);
        out.audit(audit_action::health_check);
        return old_version_booted(out);
    }
    auto& row = out.audit_transition(boot_action(engine.boot, true), asked_for(engine.boot));
    row.took = took;
    if (engine.boot == boot_reason::first) row.metadata.emplace_back("outcome", "running");
    if (engine.boot == boot_reason::restart)
        row.metadata.emplace_back("attempt", static_cast<std::int64_t>(engine.restart_attempts));
    if (engine.boot == boot_reason::rotate) row.metadata.emplace_back("recreated", true);
    if (engine.boot == boot_reason::settings) row.metadata.emplace_back("restarted", true);
    if (engine.boot == boot_reason::wake) row.metadata.emplace_back("booted", true);
    if (engine.boot == boot_reason::upgrade) row.metadata.emplace_back("upgrading", true);
    out.audit(audit_action::health_check);
    if (engine.boot == boot_reason::upgrade) return new_version_booted(out);
    return out.settle().take("healthy: it serves");
}

inline decision on_event(const event::boot_refused& what, const engine_record& engine,
                         const context& context) {
    if (!booting(engine)) return stale();
    transition out(engine, context);
    const auto& cause = what.cause.message;
    // Of a boot that is repeated, the first try may have come to something.
    const bool untouched = what.cause.code == errc::backend_away && engine.retries == 0;
    switch (engine.boot) {
    case boot_reason::upgrade:
        return give_up_version(engine, context, boot_failure::refused, cause, {},
                               "the new version could not be started: the old one is booted again");
    case boot_reason::revert: {
        out.fail(both_reasons(engine, cause));
        auto& row = out.audit_transition(audit_action::health_failed, false);
        row.metadata = {{"outcome", "backend_error"}, {"reason", cause}};
        out.audit_if_given_up().forget_upgrade();
        return out.settle(nothing_boots(engine, cause))
            .take("the old version could not be started either: it is restarted");
    }
    case boot_reason::first:
        if (untouched)
            return undo_creation(out, cause).take("the backend is away: nothing was made");
        out.to(engine_status::destroying, intent::undo).begin(intent::undo, command::destroy);
        out.next().reason = cause;
        return out.take("nothing could be started: the creation is undone");
    case boot_reason::start: {
        if (engine.origin == engine_status::failed) out.fail(cause, !untouched);
        else if (untouched) out.to(engine.origin, intent::none);
        else out.to(engine.origin, intent::end).begin(intent::end, command::end);
        auto& row = out.audit_transition(audit_action::start, true);
        row.metadata = {{"outcome", "backend_error"}, {"reason", cause}};
        return out.settle(what.cause)
            .take("nothing could be started: back where it was, and ended if something was after "
                  "all");
    }
    case boot_reason::wake: {
        out.rest(sleep_mode::stopped);
        if (!untouched) out.begin_deep_sleep();
        auto& row = out.audit_transition(audit_action::wake, true);
        row.metadata = {{"outcome", "backend_error"}, {"reason", cause}};
        return out.settle(what.cause)
            .take("nothing could be started: it sleeps on, and what was started after all is "
                  "ended");
    }
    default: {
        const bool restarts = engine.boot == boot_reason::restart;
        // An away backend is no attempt of the engine's.
        if (untouched && restarts) out.next().restart_attempts -= 1;
        // A lost reply looks like a refusal, and leaves a workload; and what is booted for another
        // reason may still run as it was. It is ended.
        out.fail(cause, !(untouched && restarts));
        auto& row = out.audit_transition(boot_action(engine.boot, false), asked_for(engine.boot));
        row.metadata = {{"outcome", "backend_error"}, {"reason", cause}};
        if (restarts)
            row.metadata.emplace_back("attempt",
                                      static_cast<std::int64_t>(engine.restart_attempts));
        return out.audit_if_given_up()
            .settle(what.cause)
            .take("nothing could be started: that was an attempt too");
    }
    }
}

} // namespace core::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
