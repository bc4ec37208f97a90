#pragma once

#include <roundhouse/core/events.hpp>
#include <roundhouse/core/sleep_state.hpp>
#include <roundhouse/core/transition.hpp>
#include <roundhouse/core/upgrading.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

/// What becomes of a row at the start of the orchestrator, given what the backend shows of it (SPEC
/// §2 rule 5).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core::detail {

/// A decision that also says what recovery did.
inline decision recovered(transition& out, std::string_view how) {
    auto& row = out.audit_transition(audit_action::recovered, false);
    row.metadata.emplace_back("how", std::string(how));
    return out.settle().take(how);
}

/// It should run, and does not: its workload went while nobody watched.
/// `older` if an older workload of it runs, which is ended.
inline decision recover_missing(bool older, const engine_record& engine, const context& context) {
    const std::string reason = "its workload was gone when the orchestrator started.";
    if (engine.intent == intent::watch)
        return give_up_version(engine, context, boot_failure::exited, reason, {},
                               "the new version is gone: the way back begins");
    transition out(engine, context);
    out.fail(reason, older);
    auto& row = out.audit_transition(audit_action::health_failed, false);
    row.metadata.emplace_back("reason", reason);
    const auto code = engine.intent == intent::rotate ? errc::backend_error : errc::boot_timeout;
    error down{code, "Engine of user '" + engine.user_id + "' is down: " + reason};
    down.details = error_details{boot_failure::exited};
    return out.audit_if_given_up()
        .settle(std::move(down))
        .take("its workload is gone: failed, and restarted");
}

inline decision recover_running(workload_state state, const engine_record& engine,
                                const context& context) {
    transition out(engine, context);
    if (engine.intent == intent::rotate) {
        out.adopt_next_key();
        return out.begin_boot(boot_reason::rotate)
            .take("it may have either key: recreated with the new one");
    }
    if (engine.intent == intent::watch)
        return out.repeat().ask(command::watch).take("the new version is watched again");
    if (state == workload_state::paused) {
        out.rest(sleep_mode::paused);
        out.next().reason = sleeps_for_a_call(engine) ? asked_to_sleep : "found frozen";
        if (engine.sleep_mode == sleep_mode::stopped) out.begin_deep_sleep();
        return recovered(out, "found frozen: it sleeps");
    }
    switch (engine.intent) {
    case intent::drop_copy:
        return out.repeat().ask(command::drop_copy).take("still running: its copy is dropped");
    case intent::sleep:
        return out.to(engine_status::running, intent::none)
            .forget_failure()
            .settle()
            .take("still running: the sleep is called off");
    case intent::none:
    case intent::boot:
    case intent::stop:
    case intent::end:
    case intent::wake:
    case intent::rotate:
    case intent::destroy:
    case intent::deep_sleep:
    case intent::copy:
    case intent::watch:
    case intent::restore:
    case intent::undo: break; // a running engine has none of these but the first
    }
    return out.take("still running: adopted");
}

inline decision recover_sleeping(workload_state state, const engine_record& engine,
                                 const context& context) {
    transition out(engine, context);
    if (engine.intent == intent::wake)
        return out.begin(intent::wake, command::wake).take("finish the wake");
    if (state == workload_state::paused) {
        const auto planned = engine.deadline;
        out.plan_deep_sleep();
        // The same plan, which may be due, is kept as it is.
        const auto from = sleeping_since_of(engine) +
                          deep_sleep_after_of(engine, context.settings, context.defaults.get());
        if (planned.has_value() == out.next().deadline.has_value() &&
            planned.value_or(from) == from)
            return transition::ignore("still asleep");
        return out.keep().take("still asleep, for another time than it was planned");
    }
    out.to(engine_status::running, intent::none);
    out.next().reason.clear();
    return recovered(out, "found awake: it runs");
}

/// An engine that sleeps without a workload, or whose workload is being ended: nothing of it may be
/// left.
inline decision recover_deep_sleeper(const std::optional<found_workload>& what, bool alive,
                                     const engine_record& engine, const context& context) {
    transition out(engine, context);
    if (alive) out.next().generation = std::max(engine.generation, what->ref.generation);
    if (engine.intent == intent::deep_sleep)
        return out.repeat().ask(command::stop).take("finish the deep sleep");
    if (!alive) return out.take("asleep without a workload, as it should be");
    return out.begin_deep_sleep().take("it should sleep without a workload: that is ended");
}

/// It should not run. `alive` is what to do if something of it does.
inline decision recover_down(bool alive, const engine_record& engine, const context& context) {
    transition out(engine, context);
    if (engine.intent == intent::end || (alive && engine.status == engine_status::failed)) {
        out.next().intent = intent::end;
        out.next().deadline = context.now + context.settings.failed_grace +
                              context.settings.backend_timeout;
        return out.keep().ask(command::end).take("what is left of it is ended");
    }
    if (!alive) return out.take("down, as it should be");
    return out.begin_stop().take("it should not run: ended");
}

/// What is asked again of an upgrade whose end is not known.
inline command command_of(intent step) noexcept {
    return step == intent::copy ? command::copy_data : command::restore_data;
}

/// A restored backup: the world is ahead of the row. What runs is ended, and what should run is
/// booted on its data.
inline decision recover_newer(std::uint64_t generation, const engine_record& engine,
                              const context& context) {
    transition out(engine, context);
    out.next().generation = generation;
    if (engine.intent == intent::stop)
        return out.repeat().ask(command::stop).take("finish the stop, of a newer workload");
    if (engine.status == engine_status::stopped || engine.status == engine_status::failed) {
        auto ahead = out.next();
        return recover_down(true, ahead, context);
    }
    if (engine.intent == intent::copy || engine.intent == intent::restore)
        return out.repeat().ask(command_of(engine.intent)).take("finish it, of a newer workload");
    out.forget_next_key();
    const bool boots = engine.status == engine_status::provisioning;
    auto reason = boots ? engine.boot : boot_reason::recover;
    if (engine.intent == intent::watch) {
        reason = boot_reason::upgrade;
        out.upgrade_is_at(upgrade_step::boot);
    }
    // What is ahead holds the engine's own port, and is ended before the port is needed.
    out.begin_boot(reason).choose_port(false);
    if (boots) out.next().origin = engine.origin; // the boot goes on, from where it began
    out.next().retries = 1; // something of it is there, whatever becomes of this boot
    return out.take("a newer workload than the row knows: booted afresh on its data");
}

inline decision recover(const std::optional<found_workload>& what, const engine_record& engine,
                        const context& context) {
    const auto state = what ? what->state : workload_state::down;
    const bool alive = state != workload_state::down;
    if (engine.status == engine_status::destroying)
        return transition(engine, context)
            .repeat()
            .ask(command::destroy)
            .take("finish the destroy");
    if (sleeps_deeply(engine)) return recover_deep_sleeper(what, alive, engine, context);
    if (what && alive && what->ref.generation > engine.generation)
        return recover_newer(what->ref.generation, engine, context);
    // Also where nothing runs any more: it was asked for.
    if (engine.intent == intent::stop)
        return transition(engine, context).repeat().ask(command::stop).take("finish the stop");
    const bool current = alive && what->ref.generation == engine.generation;
    transition out(engine, context);
    switch (engine.status) {
    case engine_status::provisioning:
        if (engine.intent == intent::copy || engine.intent == intent::restore)
            return out.repeat()
                .ask(command_of(engine.intent))
                .take("go on with the upgrade where it was");
        out.next().deadline = context.now +
                              longest_boot(engine, context.settings, context.defaults.get());
        out.next().retries += 1;
        if (current) return out.keep().ask(command::boot).take("finish the boot");
        // An older workload of it holds its own port, which no stranger can have.
        return out.keep()
            .choose_port(!alive || what->ref.port != engine.port)
            .ask(command::boot)
            .take("begin the boot again");
    case engine_status::running:
        return current ? recover_running(state, engine, context)
                       : recover_missing(alive, engine, context);
    case engine_status::sleeping:
        return current ? recover_sleeping(state, engine, context)
                       : recover_missing(alive, engine, context);
    case engine_status::stopped:
    case engine_status::failed:
    case engine_status::destroying: break;
    }
    return recover_down(alive, engine, context);
}

} // namespace core::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
