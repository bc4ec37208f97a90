#pragma once

#include <roundhouse/core/admission.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/core/settings_change.hpp>
#include <roundhouse/core/sleep_state.hpp>
#include <roundhouse/core/spans.hpp>
#include <roundhouse/core/transition.hpp>
#include <roundhouse/core/upgrade_state.hpp>
#include <roundhouse/engine_upgrade.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

/// What a call leads to, for an engine that exists. Of one that does not, `refuse_missing` tells.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

namespace detail {

inline decision refuse(errc code, const engine_record& engine, std::string_view cause,
                       std::string_view why) {
    decision out;
    out.verdict = verdict::refused;
    out.refusal = {code, "Engine of user '" + engine.user_id + "' " + std::string(cause)};
    out.why = why;
    return out;
}

inline decision judged(verdict what, std::string_view why) {
    decision out;
    out.verdict = what;
    out.why = why;
    return out;
}

inline decision not_running(const engine_record& engine, std::string_view why) {
    const auto status = name_of(engine.status);
    return refuse(errc::engine_not_running, engine, "is " + std::string(status) + ", not running.",
                  why);
}

inline decision being_destroyed(const engine_record& engine) {
    return refuse(errc::engine_not_found, engine, "is being destroyed.",
                  "for callers it is gone already");
}

inline decision busy(const engine_record& engine, std::string_view cause, std::string_view why) {
    return refuse(errc::engine_busy, engine, cause, why);
}

/// Stop, sleep, wake and rotate are short: calls that meet one wait for its end. So they do where an
/// engine is upgraded, whose boots are no call's but the upgrade's.
inline bool in_short_operation(const engine_record& engine) noexcept {
    if (is_upgraded(engine)) return true;
    switch (engine.intent) {
    case intent::stop:
    case intent::sleep:
    case intent::deep_sleep:
    case intent::rotate:
    case intent::copy:
    case intent::watch:
    case intent::restore:
    case intent::drop_copy: return true;
    case intent::none:
    case intent::boot:
    case intent::end:
    case intent::wake:
    case intent::destroy:
    case intent::undo: break;
    }
    return false;
}

/// Something of it is to be ended, or its upgrade to be, and that has failed: nobody waits for the
/// next try.
inline bool cannot_be_ended(const engine_record& engine) noexcept {
    const bool ends = engine.intent == intent::end || engine.intent == intent::stop ||
                      engine.intent == intent::deep_sleep || engine.intent == intent::restore ||
                      engine.intent == intent::watch;
    return ends && engine.retries > 0;
}
inline decision refuse_while_stuck(const engine_record& engine) {
    if (is_upgraded(engine))
        return refuse(
            errc::backend_error, engine,
            "is being upgraded, which cannot be ended at present: the backend fails. It is "
            "tried again.",
            "its upgrade stands in the way");
    return refuse(errc::backend_error, engine,
                  "cannot be ended at present: the backend fails. It is tried again.",
                  "what is left of it stands in the way");
}

/// It boots for its upgrade, or is about to.
inline bool waits_for_upgrade(const engine_record& engine) noexcept {
    return engine.status == engine_status::provisioning && is_upgraded(engine);
}

inline decision wake(const engine_record& engine, const context& context, std::string_view why) {
    return transition(engine, context).begin_wake().judge(verdict::joined).take(why);
}

/// A provision that is repeated is answered by the engine that it has made.
inline decision on_repeated(const uuid& made, const engine_record& engine) {
    if (engine.id != made)
        return refuse(errc::engine_not_found, engine,
                      "is another than the one that this call has made, which is gone.",
                      "what the call has made is gone");
    if (engine.status == engine_status::destroying) return being_destroyed(engine);
    if (engine.status == engine_status::provisioning && is_upgraded(engine))
        return judged(verdict::deferred, "wait for the upgrade under way to end");
    return engine.status == engine_status::provisioning
               ? judged(verdict::joined, "join the boot under way")
               : judged(verdict::answered, "it was made by this call before");
}

inline decision on_call(const call::provision& what, const engine_record& engine, const context&) {
    if (what.made) return on_repeated(*what.made, engine);
    return refuse(errc::engine_already_exists, engine,
                  engine.status == engine_status::destroying
                      ? "is still being destroyed. Try again when it is gone."
                      : "exists already. Use admit or start, or DELETE it first.",
                  "a user owns at most one engine");
}

inline decision deny(const engine_record& engine, std::string_view why) {
    auto out = judged(verdict::answered, why);
    out.denied = why_denied(engine);
    return out;
}

inline decision on_call(const call::admit& what, const engine_record& engine,
                        const context& context) {
    if (engine.status == engine_status::destroying)
        return deny(engine, "for callers it is gone already");
    if (sleeps_deeply(engine) && !what.auto_wake)
        return deny(engine, "asleep, and the caller does not want it woken");
    if (admissible(engine)) return judged(verdict::answered, "admitted");
    if (cannot_be_ended(engine))
        return engine.status == engine_status::failed || engine.status == engine_status::stopped
                   ? deny(engine, "nobody waits for its end")
                   : refuse_while_stuck(engine);
    if (in_short_operation(engine))
        return judged(verdict::deferred, "wait for the operation under way to end");
    switch (engine.status) {
    case engine_status::provisioning: return judged(verdict::joined, "join the boot under way");
    case engine_status::sleeping:
        if (engine.intent == intent::wake)
            return judged(verdict::joined, "join the wake under way");
        if (!what.auto_wake) return deny(engine, "asleep, and the caller does not want it woken");
        return wake(engine, context, "woken for a caller");
    case engine_status::failed:
        if (const auto wait = restart_in(engine, context);
            wait && *wait <= context.settings.admit_wait && !context.backend_away)
            return judged(verdict::joined, "a restart is due soon enough to wait for");
        return deny(engine, "failed, and no restart is near");
    case engine_status::running: // admissible, or in a short operation
    case engine_status::stopped:
    case engine_status::destroying: break;
    }
    return deny(engine, "stopped engines are not woken");
}

inline decision on_call(const call::start&, const engine_record& engine, const context& context) {
    if (engine.status == engine_status::destroying) return being_destroyed(engine);
    if (cannot_be_ended(engine)) return refuse_while_stuck(engine);
    if (engine.intent == intent::stop || engine.intent == intent::sleep ||
        engine.intent == intent::deep_sleep ||
        (is_upgraded(engine) && engine.status == engine_status::provisioning))
        return judged(verdict::deferred, "wait for the operation under way to end");
    transition out(engine, context);
    switch (engine.status) {
    case engine_status::provisioning: return judged(verdict::joined, "join the boot under way");
    case engine_status::running:
        return refuse(errc::engine_already_running, engine, "is running already.",
                      "nothing to start");
    case engine_status::sleeping:
        if (engine.intent == intent::wake)
            return judged(verdict::joined, "join the wake under way");
        return wake(engine, context, "woken by a start");
    case engine_status::failed:
        if (engine.intent == intent::end)
            return judged(verdict::deferred, "what is left of it is still being ended");
        [[fallthrough]];
    default:
        out.next().restart_attempts = 0;
        return out.begin_boot(boot_reason::start).judge(verdict::joined).take("booted by a start");
    }
}

inline decision on_call(const call::stop& what, const engine_record& engine,
                        const context& context) {
    // What keeps a deep sleep from its end may not keep a stop from that: it takes its place.
    const bool stuck = cannot_be_ended(engine);
    const bool takes_over = stuck && what.force && engine.intent == intent::deep_sleep;
    if (stuck && !takes_over && engine.status != engine_status::stopped)
        return refuse_while_stuck(engine);
    if (engine.status == engine_status::destroying || engine.status == engine_status::stopped)
        return engine.intent == intent::stop && engine.retries == 0
                   ? judged(verdict::deferred, "wait for the stop under way")
                   : not_running(engine, "nothing to stop");
    if ((in_short_operation(engine) && !takes_over) || engine.intent == intent::wake)
        return judged(verdict::deferred, "wait for the operation under way to end");
    if (engine.status != engine_status::running && !what.force)
        return not_running(engine, "only force stops what is not running");
    if (engine.intent == intent::end)
        return judged(verdict::deferred, "what is left of it is still being ended");
    return transition(engine, context)
        .begin_stop()
        .judge(verdict::joined)
        .take("stopped by a caller");
}

inline decision on_call(const call::rotate& what, const engine_record& engine,
                        const context& context) {
    if (cannot_be_ended(engine)) return refuse_while_stuck(engine);
    if (in_short_operation(engine) || engine.intent == intent::wake)
        return judged(verdict::deferred, "wait for the operation under way to end");
    if (engine.status != engine_status::running)
        return not_running(engine, "only a running engine takes a key");
    transition out(engine, context);
    out.begin(intent::rotate, command::swap_key).judge(verdict::joined);
    out.next().next_key_hash = what.next_key_hash;
    out.next().next_sealed_key = what.next_sealed_key;
    return out.take("a new key is offered to it");
}

inline void audit_settings(transition& out, const std::string& changed) {
    auto& row = out.audit_transition(audit_action::settings_update, true);
    row.metadata.emplace_back("changed", changed);
}

/// An operation under way goes on with the settings that it began with.
inline decision on_call(const call::change_settings& what, const engine_record& engine,
                        const context& context) {
    if (engine.status == engine_status::destroying) return being_destroyed(engine);
    if (settings_of(engine).revision != what.revision)
        return refuse(errc::revision_conflict, engine, "has had its settings changed meanwhile.",
                      "the change was made of other settings");
    if (engine.intent == intent::sleep)
        return judged(verdict::deferred, "wait whether it falls asleep: it may be pinned then");
    transition out(engine, context);
    // A boot may have begun since the change was made of these settings: what is pending is not theirs.
    if (!what.changed.empty())
        out.next().settings = std::make_shared<const engine_settings>(
            with_pending(settings_of(engine), *what.settings));
    out.next().reserved_memory_mb = what.reserved_memory_mb;
    out.bound_memory(what.max_total_memory_mb);
    if (!what.restart) {
        const bool rests = engine.status == engine_status::sleeping &&
                           engine.intent == intent::none;
        if (rests && !sleeps_deeply(engine)) out.plan_deep_sleep();
        out.keep().judge(verdict::answered);
        audit_settings(out, what.changed);
        return out.take("it has other settings");
    }
    if (cannot_be_ended(engine)) return refuse_while_stuck(engine);
    if (in_short_operation(engine) || engine.intent == intent::wake)
        return judged(verdict::deferred, "wait for the operation under way to end");
    if (engine.status != engine_status::running)
        return not_running(engine, "only a running engine is restarted with its settings");
    if (!what.changed.empty()) audit_settings(out, what.changed);
    return out.begin_boot(boot_reason::settings)
        .judge(verdict::joined)
        .take("restarted with other settings");
}

/// The settings of an engine that is to have another version, while its workload has `present`.
inline std::shared_ptr<const engine_settings>
with_version(const engine_record& engine, const std::string& version, const std::string& present) {
    auto out = std::make_shared<engine_settings>(settings_of(engine));
    ++out->revision;
    out->pending.version = version != present;
    out->pending.version_before = out->pending.version ? present : std::string();
    return out;
}

/// An engine that does not run gets its version with its next boot.
inline decision record_version(const call::upgrade& what, const engine_record& engine,
                               const context& context) {
    transition out(engine, context);
    out.next().settings = with_version(engine, what.version, present_version(engine));
    out.next().version = what.version;
    audit_settings(out, "engine_version");
    return out.keep().judge(verdict::answered).take("it gets the version with its next boot");
}

inline decision begin_upgrade(const call::upgrade& what, const engine_record& engine,
                              const context& context) {
    transition out(engine, context);
    engine_upgrade upgrade;
    upgrade.from_version = present_version(engine);
    upgrade.to_version = what.version;
    upgrade.healthy_for = what.healthy_for;
    upgrade.keep_copy = what.keep_copy;
    upgrade.drops_copy = what.keep_copy.value_or(true) || has_copy_to_drop(engine);
    out.next().version = upgrade.from_version;
    out.next().settings = with_version(engine, upgrade.from_version, upgrade.from_version);
    audit_settings(out, "engine_version");
    out.next().upgrade = std::make_shared<const engine_upgrade>(std::move(upgrade));
    out.next().origin = engine.status;
    return out.to(engine_status::provisioning, intent::copy)
        .begin(intent::copy, command::copy_data)
        .judge(verdict::joined)
        .take("its old version is ended for an upgrade");
}

inline decision on_call(const call::upgrade& what, const engine_record& engine,
                        const context& context) {
    if (engine.status == engine_status::destroying) return being_destroyed(engine);
    const bool rests = engine.status == engine_status::stopped ||
                       engine.status == engine_status::failed;
    if (cannot_be_ended(engine) && !rests) return refuse_while_stuck(engine);
    if (is_upgraded(engine) && engine.upgrade->to_version == what.version)
        return judged(verdict::joined, "join the upgrade under way");
    if (what.if_revision && *what.if_revision != settings_of(engine).revision)
        return refuse(
            errc::precondition_failed, engine,
            "has another settings_revision than If-Match names. Read it again, and decide "
            "anew.",
            "the upgrade is of other settings");
    const bool waits = in_short_operation(engine) || engine.intent == intent::wake ||
                       engine.status == engine_status::provisioning;
    if (waits && !cannot_be_ended(engine))
        return judged(verdict::deferred, "wait for the operation under way to end");
    if (engine.version == what.version &&
        (engine.status != engine_status::running || present_version(engine) == what.version))
        return judged(verdict::answered, "it has that version already");
    if (engine.status != engine_status::running || present_version(engine) == what.version)
        return record_version(what, engine, context);
    if (context.backend_away)
        return refuse(errc::backend_error, engine,
                      "is not upgraded while the backend is away. Try again later.",
                      "it is not ended for what cannot be made now");
    return begin_upgrade(what, engine, context);
}

inline decision on_call(const call::destroy&, const engine_record& engine, const context& context) {
    transition out(engine, context);
    if (engine.status == engine_status::destroying) {
        out.judge(verdict::joined);
        // `retries` is set only while it waits for the next try.
        if (engine.retries > 0) out.repeat().ask(command::destroy);
        return out.take(engine.retries > 0 ? "a second DELETE tries at once"
                                           : "join the destroy under way");
    }
    const bool first_boot = engine.status == engine_status::provisioning &&
                            engine.boot == boot_reason::first;
    const auto boot_took = out.elapsed();
    out.next().origin = engine.status;
    out.to(engine_status::destroying, intent::destroy)
        .begin(intent::destroy, command::destroy)
        .judge(verdict::joined);
    if (first_boot) {
        auto& row = out.audit_transition(audit_action::provision, true);
        row.metadata = {{"outcome", "boot_timeout"}, {"reason", "destroyed while booting"}};
        row.took = boot_took;
    }
    out.forget_next_key();
    // Those who waited for anything else learn that it is gone.
    error gone = being_destroyed(engine).refusal;
    return out.settle(std::move(gone)).take("DELETE is accepted in every state");
}

inline decision on_call(const call::sleep&, const engine_record& engine, const context& context) {
    if (is_pinned(engine, context.defaults.get()))
        return judged(verdict::answered, "a pinned engine is never put to sleep");
    if (engine.status != engine_status::running || engine.intent != intent::none)
        return judged(verdict::answered,
                      "only a running engine with nothing under way is put to sleep");
    if (context.lease_left > duration{0})
        return judged(verdict::answered, "a busy lease holds it awake");
    return transition(engine, context)
        .begin(intent::sleep, command::sleep)
        .judge(verdict::joined)
        .take("nobody uses it");
}

/// Why a call does not put an engine to sleep; nothing if it does.
inline std::optional<decision> refuse_sleep(const engine_record& engine, const context& context) {
    if (is_pinned(engine, context.defaults.get()))
        return busy(engine, "is pinned: PATCH its sleep.pinned first.",
                    "a pinned engine is never put to sleep");
    const bool leased = engine.status == engine_status::running ? context.lease_left > duration{0}
                                                                : engine.busy_until > context.now;
    if (leased)
        return busy(engine, "has a busy lease: wait for its busy_until.",
                    "a busy lease holds it awake");
    return std::nullopt;
}

inline decision on_call(const call::sleep_now& what, const engine_record& engine,
                        const context& context) {
    const bool sleeps = engine.status == engine_status::sleeping;
    const bool up = sleeps || engine.status == engine_status::running;
    if (!up && !waits_for_upgrade(engine))
        return not_running(engine, "only a running engine falls asleep");
    if (cannot_be_ended(engine)) return refuse_while_stuck(engine);
    if (in_short_operation(engine) || engine.intent == intent::wake)
        return judged(verdict::deferred, "wait for the operation under way to end");
    if (sleeps && (what.mode == sleep_mode::paused || sleeps_deeply(engine)))
        return judged(verdict::answered, "it sleeps already");
    if (auto refused = refuse_sleep(engine, context)) return std::move(*refused);
    transition out(engine, context);
    out.next().reason = asked_to_sleep;
    out.judge(verdict::joined);
    if (sleeps) return out.begin_deep_sleep().take("its workload is ended, as a call asked for");
    out.next().sleep_mode = what.mode;
    return out.begin(intent::sleep, command::sleep).take("put to sleep by a call");
}

inline decision on_call(const call::wake&, const engine_record& engine, const context& context) {
    if (engine.status == engine_status::provisioning && engine.boot == boot_reason::wake &&
        engine.intent == intent::boot)
        return judged(verdict::joined, "join the boot under way");
    const bool sleeps = engine.status == engine_status::sleeping;
    const bool up = sleeps || engine.status == engine_status::running;
    if (!up && !waits_for_upgrade(engine))
        return not_running(engine, "only a sleeping engine is woken");
    if (admissible(engine))
        return refuse(errc::engine_already_running, engine, "is running already.",
                      "nothing to wake");
    if (cannot_be_ended(engine)) return refuse_while_stuck(engine);
    if (engine.intent == intent::wake) return judged(verdict::joined, "join the wake under way");
    if (in_short_operation(engine) && engine.intent != intent::rotate)
        return judged(verdict::deferred, "wait for the operation under way to end");
    if (!sleeps)
        return refuse(errc::engine_already_running, engine, "is running already.",
                      "nothing to wake");
    return wake(engine, context, "woken by a call");
}

inline decision on_call(const call::lease& what, const engine_record& engine,
                        const context& context) {
    if (engine.status != engine_status::running)
        return judged(verdict::answered, "a lease only keeps a running engine awake");
    if (engine.intent == intent::sleep)
        return judged(verdict::deferred, "wait whether it falls asleep");
    const auto until = context.now + what.busy_for;
    const bool holds = what.busy_for <= context.lease_left && until <= engine.busy_until;
    if (holds || what.busy_for <= duration{0})
        return judged(verdict::answered, "as much of a lease holds already");
    transition out(engine, context);
    out.next().busy_until = context.now + std::max(what.busy_for, context.lease_left);
    return out.keep().judge(verdict::answered).take("held awake by a lease");
}

} // namespace detail

/// Decides a call for an engine that has a row.
[[nodiscard]] inline decision decide(const call_variant& what, const engine_record& engine,
                                     const context& context) {
    auto out = std::visit([&](const auto& one) { return detail::on_call(one, engine, context); },
                          what);
    out.made_at = context.present();
    return out;
}

namespace detail {

/// What an engine that has a row is to be like for a call that joined an operation.
inline bool is_as_wanted(const call::stop&, const engine_record& engine) noexcept {
    return engine.status == engine_status::stopped;
}
inline bool is_as_wanted(const call::sleep&, const engine_record& engine) noexcept {
    return engine.intent == intent::none;
}
inline bool is_as_wanted(const call::sleep_now& what, const engine_record& engine) noexcept {
    return engine.status == engine_status::sleeping && engine.intent == intent::none &&
           (what.mode == sleep_mode::paused || sleeps_deeply(engine));
}
inline bool is_as_wanted(const call::wake&, const engine_record& engine) noexcept {
    return admissible(engine);
}
inline bool is_as_wanted(const call::destroy&, const engine_record&) noexcept { return false; }
inline bool is_as_wanted(const call::provision&, const engine_record& engine) noexcept {
    return admissible(engine);
}
inline bool is_as_wanted(const call::admit&, const engine_record& engine) noexcept {
    return admissible(engine);
}
inline bool is_as_wanted(const call::start&, const engine_record& engine) noexcept {
    return admissible(engine);
}
inline bool is_as_wanted(const call::rotate&, const engine_record& engine) noexcept {
    return admissible(engine);
}
inline bool is_as_wanted(const call::change_settings&, const engine_record& engine) noexcept {
    return admissible(engine);
}
inline bool is_as_wanted(const call::upgrade& what, const engine_record& engine) noexcept {
    return admissible(engine) && engine.version == what.version;
}
inline bool is_as_wanted(const call::lease&, const engine_record& engine) noexcept {
    return admissible(engine);
}

} // namespace detail

/// Whether an engine is now as a call that joined an operation wanted it. Null if it has no row any
/// more.
[[nodiscard]] inline bool fulfilled(const call_variant& what, const engine_record* engine) {
    if (engine == nullptr) return std::holds_alternative<call::destroy>(what);
    return std::visit([&](const auto& one) { return detail::is_as_wanted(one, *engine); }, what);
}

/// What a settlement means for a waiting call: its failure, success, or nothing if it is to be
/// decided afresh.
[[nodiscard]] inline std::optional<result<void>> outcome(const call_variant& what, verdict waits,
                                                         const settlement& settled,
                                                         const engine_record* engine) {
    if (waits != verdict::joined) return std::nullopt;
    // A creation that was undone fails for who wanted it; who wanted it gone has what they asked
    // for.
    if (std::holds_alternative<call::destroy>(what) && engine == nullptr) return result<void>{};
    if (settled.failure) return result<void>(unexpected(*settled.failure));
    // An upgrade goes on with the watch of its new version.
    const bool upgrades = std::holds_alternative<call::upgrade>(what);
    if (upgrades && engine != nullptr && is_upgraded(*engine)) return std::nullopt;
    if (fulfilled(what, engine)) return result<void>{};
    if (std::holds_alternative<call::admit>(what) || engine == nullptr) return std::nullopt;
    return result<void>(
        fail(errc::boot_timeout, "The operation was ended by another call before it was done: the "
                                 "engine of user '" +
                                     engine->user_id + "' is " +
                                     std::string(name_of(engine->status)) + "."));
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
