#pragma once

#include <roundhouse/core/booting.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/core/sleep_state.hpp>
#include <roundhouse/core/transition.hpp>

#include <string>
#include <string_view>
#include <utility>

/// What becomes of an engine that is put to sleep or woken, by the orchestrator or by others.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core::detail {

// Why an engine sleeps or is woken, if no caller is the cause.
inline constexpr std::string_view idle = "idle";
inline constexpr std::string_view paused_by_others = "paused by somebody else";
inline constexpr std::string_view resumed_by_others = "resumed by somebody else";

inline void fall_asleep(transition& out, std::string_view reason) {
    const auto took = out.elapsed();
    out.rest(sleep_mode::paused);
    out.next().reason = reason;
    auto& row = out.audit_transition(audit_action::sleep, reason == asked_to_sleep);
    row.metadata.emplace_back("reason", out.next().reason);
    row.took = took;
}

/// The end of what put it to sleep: it sleeps paused. One that is to sleep without its workload has
/// that ended now.
inline decision asleep_at_last(transition& out, const engine_record& engine, std::string_view why) {
    if (engine.sleep_mode == sleep_mode::paused) return out.settle().take(why);
    return out.begin_deep_sleep().take("paused, and its workload is ended");
}

/// It is not put to sleep. A call that asked for that gets the reason.
inline void stay_awake(transition& out, const engine_record& engine, error why) {
    out.to(engine_status::running, intent::none);
    if (!sleeps_for_a_call(engine)) return (void)out.settle();
    out.forget_failure();
    out.settle(std::move(why));
}

inline error in_use(const engine_record& engine) {
    return {errc::engine_busy,
            "Engine of user '" + engine.user_id + "' is in use: it was not put to sleep."};
}

inline decision on_event(const event::asleep&, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::sleep) return stale();
    transition out(engine, context);
    fall_asleep(out, sleeps_for_a_call(engine) ? asked_to_sleep : idle);
    return asleep_at_last(out, engine, "paused");
}

inline decision on_event(const event::sleep_cancelled& what, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::sleep) return stale();
    transition out(engine, context);
    out.next().last_activity_at = context.now;
    stay_awake(out, engine, what.cause.value_or(in_use(engine)));
    return out.take("in use after all, or could not be paused");
}

inline decision on_event(const event::awake&, const engine_record& engine, const context& context) {
    if (engine.intent != intent::wake) return stale();
    transition out(engine, context);
    const auto took = out.elapsed();
    out.run();
    const bool asked_for = engine.reason != resumed_by_others;
    auto& row = out.audit_transition(audit_action::wake, asked_for);
    row.took = took;
    if (!asked_for) row.metadata.emplace_back("reason", std::string(resumed_by_others));
    return out.settle().take("resumed and healthy");
}

inline decision on_event(const event::wake_refused& what, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::wake) return stale();
    transition out(engine, context);
    // The next wake has a cause of its own.
    if (engine.reason == resumed_by_others) out.next().reason = idle;
    return out.rest(sleep_mode::paused)
        .settle(what.cause)
        .take("the backend could not resume it: it sleeps on");
}

inline decision wake_failed(const engine_record& engine, const context& context,
                            const std::string& reason) {
    auto out = lost(engine, context, reason);
    out.audit_if_given_up();
    error timeout{errc::boot_timeout,
                  "Engine of user '" + engine.user_id + "' did not wake: " + reason};
    timeout.details = error_details{boot_failure::timeout};
    return out.settle(std::move(timeout)).take("not healthy after its wake: failed");
}

inline decision on_event(const event::wake_unhealthy& what, const engine_record& engine,
                         const context& context) {
    if (engine.intent != intent::wake) return stale();
    return wake_failed(engine, context, what.reason);
}

/// Somebody else has paused or resumed an engine that was being put to sleep.
inline decision meddled_with_sleep(bool paused, const engine_record& engine,
                                   const context& context) {
    transition out(engine, context);
    if (paused) {
        fall_asleep(out, paused_by_others);
        return asleep_at_last(out, engine, "somebody else paused it as it fell asleep: it sleeps");
    }
    // The pause has been made, and its answer is of no use any more.
    fall_asleep(out, idle);
    out.begin(intent::wake, command::wake).next().reason = resumed_by_others;
    return out.take("somebody else resumed it as it fell asleep: it is woken");
}

/// A paused workload means that the engine sleeps, whoever paused it (SPEC §2 rule 7).
inline decision on_event(const event::paused_by_others& event, const engine_record& engine,
                         const context& context) {
    if (event.pause.ref.generation != engine.generation) return stale("an older workload of it");
    const bool paused = event.pause.paused;
    if (engine.intent == intent::sleep) return meddled_with_sleep(paused, engine, context);
    if (engine.intent != intent::none) return stale("what is under way tells what it becomes");
    if (sleeps_deeply(engine)) return stale("its workload is ended");
    const auto before = paused ? engine_status::running : engine_status::sleeping;
    if (engine.status != before) return stale("as expected");
    transition out(engine, context);
    const auto reason = paused ? paused_by_others : resumed_by_others;
    if (paused) out.rest(sleep_mode::paused);
    else out.to(engine_status::running, intent::none);
    out.next().reason = paused ? reason : "";
    if (!paused) out.next().last_activity_at = context.now;
    auto& row = out.audit_transition(paused ? audit_action::sleep : audit_action::wake, false);
    row.metadata.emplace_back("reason", std::string(reason));
    return out.take(paused ? "somebody else paused it: it sleeps"
                           : "somebody else resumed it: it runs");
}

// Deep sleep

/// It has slept paused for long enough.
inline decision deep_sleep_due(const engine_record& engine, const context& context) {
    if (context.backend_away) return stale("its workload is kept until the backend is back");
    transition out(engine, context);
    if (engine.busy_until > context.now) // as of one that somebody else has paused
        return out.rest(sleep_mode::paused).take("a busy lease holds: its workload is kept");
    if (engine.reason == asked_to_sleep) out.next().reason = idle; // nobody has asked for this
    return out.begin_deep_sleep().take("it has slept for long: its workload is ended");
}

/// No process of an engine that sleeps is left.
inline decision deeply_asleep(const engine_record& engine, const context& context) {
    transition out(engine, context);
    const auto took = out.elapsed();
    out.rest(sleep_mode::stopped).settle();
    out.next().healthy_since.reset();
    out.next().retries = 0;
    if (engine.sleep_mode == sleep_mode::stopped)
        return out.take("nothing is left of a workload that a sleeping engine should not have");
    auto& row = out.audit_transition(audit_action::sleep, engine.reason == asked_to_sleep);
    row.metadata = {{"mode", std::string(name_of(sleep_mode::stopped))}, {"reason", engine.reason}};
    row.took = took;
    return out.take("its workload is ended: it sleeps on without it");
}

} // namespace core::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
