#pragma once

#include <roundhouse/core/booting.hpp>
#include <roundhouse/core/calls.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/core/failure.hpp>
#include <roundhouse/core/recovery.hpp>
#include <roundhouse/core/sleeping.hpp>
#include <roundhouse/core/spans.hpp>
#include <roundhouse/core/transition.hpp>
#include <roundhouse/core/upgrade_state.hpp>
#include <roundhouse/core/upgrading.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

/// The state machine of one engine (SPEC §2, §5): pure, so that all of its behaviour can be read
/// here and in booting.hpp, calls.hpp and recovery.hpp, tabled in tests, and run in simulations.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// Whether a healthy probe is to be stored and audited, so long after the last one was: not each of
/// them is.
[[nodiscard]] inline bool health_row_due(std::optional<duration> since_last,
                                         const settings& settings) {
    return !since_last || *since_last >= settings.health_row_interval;
}

namespace detail {

inline std::string describe(const workload_exit& what) {
    if (!what.reason.empty()) return what.reason;
    if (what.out_of_memory) return "it ran out of memory.";
    if (what.signal) return "it was ended by signal " + std::to_string(*what.signal) + ".";
    if (what.exit_code) return "it exited with code " + std::to_string(*what.exit_code) + ".";
    return "it ended.";
}

/// Notes how the workload ended: in the record, in the failure of the calls that wait, and in the
/// first of the audit rows.
inline void note_exit(decision& out, const workload_exit& what) {
    out.next.last_exit = exit_status_of(what);
    auto& details = out.settled->failure->details;
    if (!details || !details->reverted) // of an upgrade they tell why the new version was given up
        details = error_details{boot_failure::exited, out.next.last_exit};
    auto& row = out.audit.front();
    if (what.exit_code)
        row.metadata.emplace_back("exit_code", static_cast<std::int64_t>(*what.exit_code));
    if (what.signal) row.metadata.emplace_back("signal", static_cast<std::int64_t>(*what.signal));
    if (what.out_of_memory) row.metadata.emplace_back("out_of_memory", true);
}

// Stopping, and ending what failed

inline decision on_event(const event::stopped&, const engine_record& engine,
                         const context& context) {
    transition out(engine, context);
    if (engine.intent == intent::end) {
        out.next().intent = intent::none;
        out.keep().settle().continue_restart_wait();
        out.next().retries = 0;
        if (out.restart_due() && !context.backend_away)
            return out.restart().take("ended, and its restart is due");
        return out.take("ended: nothing of the failed workload is left");
    }
    if (engine.intent == intent::deep_sleep) return deeply_asleep(engine, context);
    if (engine.intent != intent::stop) return stale();
    const auto took = out.elapsed();
    out.to(engine_status::stopped, intent::none);
    out.next().restart_attempts = 0;
    out.next().healthy_since.reset();
    out.forget_failure();
    if (engine.origin == engine_status::provisioning && engine.boot == boot_reason::first) {
        auto& row = out.audit_transition(audit_action::provision, true);
        row.metadata = {{"outcome", "boot_timeout"}, {"reason", "stopped while booting"}};
    }
    // A stop of what recovery found running without a reason tells itself as `recovered`.
    const bool found = engine.status == engine_status::stopped;
    auto& row = out.audit_transition(found ? audit_action::recovered : audit_action::stop, !found);
    row.took = took;
    return out.settle().take("no process of it is left");
}

inline decision on_event(const event::stop_failed& what, const engine_record& engine,
                         const context& context) {
    if (engine.intent == intent::end)
        return transition(engine, context)
            .retry_later()
            .settle(what.cause)
            .take("what failed must be ended before it is restarted: try again");
    if (engine.intent == intent::deep_sleep)
        return transition(engine, context)
            .retry_later()
            .settle(what.cause)
            .take("some of it may be ended already: try again");
    if (engine.intent == intent::copy) return upgrade_called_off(engine, context, what.cause);
    if (engine.intent != intent::stop) return stale();
    transition out(engine, context);
    if (engine.status == engine_status::running)
        out.to(engine.status, intent::none); // its probes tell whether it still does
    else if (engine.status == engine_status::stopped ||
             (engine.status == engine_status::provisioning && context.backend_away))
        return out.retry_later()
            .settle(what.cause)
            .take("what should not run must be ended: try again");
    else if (engine.status == engine_status::sleeping &&
             (context.backend_away || engine.sleep_mode == sleep_mode::stopped))
        out.rest(engine.sleep_mode);
    else {
        out.fail(what.cause.message);
        if (engine.status == engine_status::provisioning) {
            auto& row = out.audit_transition(boot_action(engine.boot, false), true);
            row.metadata = {{"outcome", "boot_timeout"},
                            {"reason", "its boot was ended by a stop, which failed"}};
            out.audit_if_given_up();
        } else if (engine.status == engine_status::sleeping) {
            // Nothing probes it, so that nobody would see whether it was ended after all.
            auto& row = out.audit_transition(audit_action::health_failed, false);
            row.metadata.emplace_back("reason", what.cause.message);
            out.audit_if_given_up();
        }
    }
    return out.settle(what.cause).take("the backend could not stop it");
}

// Rotating the key

inline decision on_event(const event::key_swapped&, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::rotate) return stale();
    transition out(engine, context);
    const auto took = out.elapsed();
    out.adopt_next_key();
    out.to(engine_status::running, intent::none);
    out.audit_transition(audit_action::rotate_key, true).took = took;
    return out.settle().take("only the new key opens it now");
}

inline decision recreate_with_next_key(const engine_record& engine, const context& context,
                                       std::string_view why) {
    transition out(engine, context);
    out.adopt_next_key();
    return out.begin_boot(boot_reason::rotate).take(why);
}

inline decision keep_old_key(const engine_record& engine, const context& context, error why) {
    transition out(engine, context);
    out.forget_next_key();
    return out.to(engine_status::running, intent::none)
        .settle(std::move(why))
        .take("it keeps its old key");
}

inline decision on_event(const event::key_swap_unsupported&, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::rotate) return stale();
    // It is not ended for what cannot be made now.
    if (context.backend_away)
        return keep_old_key(
            engine, context,
            {errc::backend_error, "The backend is away: the engine of user '" + engine.user_id +
                                      "' keeps its key, because it can only get another anew."});
    return recreate_with_next_key(engine, context,
                                  "it cannot take a key while it runs: recreated with the new one");
}

inline decision on_event(const event::key_swap_unknown&, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::rotate) return stale();
    return recreate_with_next_key(engine, context, "no answer: it may have either key");
}

inline decision on_event(const event::key_swap_refused& what, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::rotate) return stale();
    return keep_old_key(engine, context, what.cause);
}

// Destroying

inline decision on_event(const event::destroyed&, const engine_record& engine,
                         const context& context) {
    if (engine.status != engine_status::destroying) return stale();
    transition out(engine, context);
    const auto took = out.elapsed();
    if (engine.intent == intent::undo)
        return undo_creation(out, engine.reason).take("as if it had never been asked for");
    auto& row = out.audit_transition(audit_action::destroy, true);
    row.from = engine.origin;
    row.took = took;
    return out.erase(row_change::erase).settle().take("nothing of it is left");
}

inline decision on_event(const event::destroy_failed& what, const engine_record& engine,
                         const context& context) {
    if (engine.status != engine_status::destroying) return stale();
    return transition(engine, context)
        .retry_later()
        .settle(what.cause)
        .take("the backend cannot do it now: tried again until it can");
}

// What the world does

inline decision on_event(const event::exited& event, const engine_record& engine,
                         const context& context) {
    if (event.exit.ref.generation != engine.generation) return stale("an older workload of it");
    const auto reason = describe(event.exit);
    switch (engine.status) {
    case engine_status::provisioning:
        if (engine.intent != intent::boot) return stale("it is being stopped");
        if (engine.boot == boot_reason::upgrade)
            return give_up_version(engine, context, boot_failure::exited, reason,
                                   exit_status_of(event.exit),
                                   "the new version exited while booting: the way back begins");
        {
            auto out = boot_failed(engine, context, reason, "exited while booting: told at once");
            note_exit(out, event.exit);
            return out;
        }
    case engine_status::running:
    case engine_status::sleeping: {
        if (engine.intent == intent::stop) return stale("it is being stopped");
        if (engine.intent == intent::watch)
            return give_up_version(engine, context, boot_failure::exited, reason,
                                   exit_status_of(event.exit),
                                   "the new version crashed: the way back begins");
        if (sleeps_deeply(engine)) return stale("it sleeps without a workload, or soon will");
        auto out = lost(engine, context, reason);
        auto decided = out.audit_if_given_up()
                           .settle(error{errc::boot_timeout, "Engine of user '" + engine.user_id +
                                                                 "' crashed: " + reason})
                           .take("an exit that nobody asked for is a crash");
        if (engine.intent == intent::rotate) decided.settled->failure->code = errc::backend_error;
        note_exit(decided, event.exit);
        return decided;
    }
    default: return stale("it was not meant to run");
    }
}

inline decision on_event(const event::probed_healthy&, const engine_record& engine,
                         const context& context) {
    if (engine.status != engine_status::running) return stale("only a running engine is probed");
    const bool attempts_over = engine.restart_attempts > 0 && healthy_for_long(engine, context);
    const bool row_due = health_row_due(since_health_row(engine, context), context.settings);
    if (!attempts_over && !row_due) return stale("as expected");
    transition out(engine, context);
    out.next().last_health_at = context.now;
    if (attempts_over) out.next().restart_attempts = 0;
    if (row_due) out.audit(audit_action::health_check);
    return out.keep().take("healthy for long");
}

inline decision on_event(const event::probed_unhealthy& what, const engine_record& engine,
                         const context& context) {
    const bool probed = engine.intent == intent::none || engine.intent == intent::watch ||
                        engine.intent == intent::drop_copy;
    if (engine.status != engine_status::running || !probed)
        return stale("only a running engine is probed");
    if (context.brake == brake_state::on)
        return stale("many fail together: a restart would not help");
    const bool trial = context.brake == brake_state::trial;
    if (!trial && what.failures_in_a_row < context.settings.health_max_failures)
        return stale("it may have been chance");
    if (context.backend_away) return stale("it may be the backend that fails");
    if (engine.intent == intent::watch)
        return give_up_version(engine, context, boot_failure::unhealthy, what.reason, {},
                               "the new version failed its probes: the way back begins");
    auto out = lost(engine, context, what.reason);
    out.audit_if_given_up();
    auto decided = out.take(trial ? "restarted as a trial" : "failed its probes");
    auto& metadata = decided.audit.front().metadata;
    if (trial) metadata.emplace_back("trial", true);
    else metadata.emplace_back("failures", static_cast<std::int64_t>(what.failures_in_a_row));
    return decided;
}

/// What those are decided who wait for something that the backend does not get done.
inline error no_answer(const engine_record& engine) {
    return {errc::backend_error, "The backend has not ended the engine of user '" + engine.user_id +
                                     "' in time. It is tried again."};
}

/// No port is free for the restart that is due: an attempt too (SPEC §5).
inline decision on_event(const event::restart_without_port& what, const engine_record& engine,
                         const context& context) {
    const bool due = engine.status == engine_status::failed &&
                     (engine.intent == intent::none || engine.intent == intent::end);
    if (!due) return stale("no restart is due");
    transition out(engine, context);
    out.fail_restart();
    const auto attempt = static_cast<std::int64_t>(out.next().restart_attempts);
    out.audit_transition(audit_action::auto_restart_start, false)
        .metadata.emplace_back("attempt", attempt);
    auto& row = out.audit_transition(audit_action::auto_restart_failed, false);
    row.metadata = {
        {"outcome", "port_exhaustion"}, {"reason", what.cause.message}, {"attempt", attempt}};
    return out.audit_if_given_up().settle(what.cause).take("no port is free for its restart");
}

/// A restart is due that the backend cannot make at present. That is no attempt of the engine's:
/// it stays due. Nobody waits for it meanwhile.
inline decision restart_waits(const engine_record& engine) {
    auto out = transition::ignore("its restart waits until the backend is back");
    out.settled = settlement{
        error{errc::backend_error, "The backend is away: the engine of user '" + engine.user_id +
                                       "' is restarted once it is back."}};
    return out;
}

inline decision on_event(const event::deadline& event, const engine_record& engine,
                         const context& context) {
    if (engine.deadline != event.deadline) return stale("another deadline was set meanwhile");
    transition out(engine, context);
    switch (engine.intent) {
    case intent::none:
        if (engine.status == engine_status::failed && engine.restart_at == engine.deadline)
            return context.backend_away ? restart_waits(engine)
                                        : out.restart().take("its restart is due");
        if (engine.status == engine_status::sleeping) return deep_sleep_due(engine, context);
        if (engine.status == engine_status::running && has_copy_to_drop(engine))
            return out.begin(intent::drop_copy, command::drop_copy)
                .take("the copy of its data is dropped");
        out.next().deadline.reset();
        return out.keep().take("nothing is due");
    case intent::boot:
        return boot_failed(engine, context, not_healthy_in_time(context), "not healthy in time");
    case intent::wake: return wake_failed(engine, context, not_healthy_in_time(context));
    case intent::rotate:
        return recreate_with_next_key(engine, context, "no answer: it may have either key");
    case intent::sleep:
        stay_awake(out, engine,
                   {errc::backend_error, "The backend has not paused the engine of user '" +
                                             engine.user_id + "' in time."});
        return out.take("could not be paused in time");
    case intent::stop:
    case intent::deep_sleep:
        return out.retry_now()
            .ask(command::stop)
            .settle(no_answer(engine))
            .take(engine.intent == intent::stop ? "the stop is tried again"
                                                : "ending its workload is tried again");
    case intent::end:
        return out.retry_now()
            .ask(command::end)
            .settle(no_answer(engine))
            .take("ending it is tried again");
    case intent::destroy:
    case intent::undo:
        return out.retry_now()
            .ask(command::destroy)
            .settle(no_answer(engine))
            .take("the destroy is tried again");
    case intent::copy:
    case intent::watch:
    case intent::restore:
    case intent::drop_copy: return upgrade_step_late(engine, context);
    }
    return stale();
}

inline decision on_event(const event::found& event, const engine_record& engine,
                         const context& context) {
    return recover(event.workload, engine, context);
}

inline decision on_event(const event::parked&, const engine_record& engine,
                         const context& context) {
    if (booting(engine)) return stale("it boots again anyway");
    const bool runs = engine.status == engine_status::running ||
                      engine.status == engine_status::sleeping;
    if (!runs || engine.intent == intent::stop) return stale("it does not run");
    if (sleeps_deeply(engine)) return stale("it sleeps without a workload, or soon will");
    transition out(engine, context);
    if (engine.intent == intent::watch) {
        out.upgrade_is_at(upgrade_step::boot).begin_boot(boot_reason::upgrade);
        out.choose_port(false).ask(command::none);
        return out.take("its new version is to be booted again at the next start");
    }
    if (engine.intent == intent::rotate) out.adopt_next_key();
    // It holds its port until it is ended; the next start looks whether a stranger took it.
    out.begin_boot(boot_reason::recover).choose_port(false).ask(command::none);
    return out.take("to be booted again at the next start");
}

} // namespace detail

/// Decides what an event means for an engine that has a row.
[[nodiscard]] inline decision decide(const event_variant& what, const engine_record& engine,
                                     const context& context) {
    auto out = std::visit([&](const auto& one) { return detail::on_event(one, engine, context); },
                          what);
    out.made_at = context.present();
    return out;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
