#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/failure.hpp>
#include <roundhouse/core/lifecycle.hpp>
#include <roundhouse/core/sleep_state.hpp>
#include <roundhouse/core/upgrade_state.hpp>
#include <roundhouse/engine_upgrade.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// Why an engine is in its state, and what happens to it next (SPEC §3). What comes next is what
/// `decide` answers to the inputs that are to come, so that it cannot differ from what is done.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

namespace detail {

inline std::string with_reason(std::string_view text, const std::string& reason) {
    std::string out(text);
    if (reason.empty()) return out + '.';
    out.append(": ").append(reason);
    if (!reason.ends_with('.')) out += '.';
    return out;
}

/// What the old version may meet if the new one fails.
inline std::string way_back(const engine_upgrade& upgrade) {
    return upgrade.has_copy
               ? " Its data was copied before: if the new version fails, the old one "
                 "boots with that."
               : " There is no copy of its data: if the new version fails, the old one "
                 "boots with what that has made of the data.";
}

inline std::string why_upgraded(const engine_record& engine) {
    const auto& upgrade = *engine.upgrade;
    const auto versions = " from version '" + upgrade.from_version + "' to '" + upgrade.to_version +
                          "'";
    switch (upgrade.step) {
    case upgrade_step::copy:
        return "It is upgraded" + versions +
               (upgrade.keep_copy.value_or(true)
                    ? ": the old version is ended, and its data is copied."
                    : ": the old version is ended, and its data is not copied.");
    case upgrade_step::boot:
        return "It is upgraded" + versions + ": the new version boots." + way_back(upgrade);
    case upgrade_step::watch:
        return "It is upgraded" + versions + ": the new version serves, and is watched." +
               way_back(upgrade);
    case upgrade_step::restore:
        return with_reason("Its upgrade" + versions + " has failed, and is taken back",
                           upgrade.failure);
    case upgrade_step::revert:
        return with_reason("Its upgrade" + versions +
                               " has failed, and the old version boots again",
                           upgrade.failure);
    case upgrade_step::drop: break;
    }
    return {};
}

inline std::string why_booted(const engine_record& engine) {
    if (is_upgraded(engine)) return why_upgraded(engine);
    if (engine.intent == intent::stop) return "It is being stopped while it boots.";
    switch (engine.boot) {
    case boot_reason::first: return "It was created, and boots for the first time.";
    case boot_reason::start: return "It was started by a call, and boots.";
    case boot_reason::restart:
        return with_reason("It is restarted automatically after it has failed", engine.reason);
    case boot_reason::rotate:
        return "It cannot take a new key while it runs, and is booted with it.";
    case boot_reason::settings: return "It is restarted with other settings, as a call asked for.";
    case boot_reason::wake: return "It slept without a workload, and is woken: it boots.";
    case boot_reason::recover: return "It ran when the server stopped, and is booted again.";
    case boot_reason::upgrade:
    case boot_reason::revert: break; // told above
    }
    return {};
}

inline std::string why_running(const engine_record& engine, const context& context) {
    if (is_upgraded(engine)) return why_upgraded(engine);
    switch (engine.intent) {
    case intent::stop: return "It is being stopped.";
    case intent::sleep:
        return sleeps_for_a_call(engine) ? "It is being put to sleep, as a call asked for."
                                         : "Nobody has used it: it is being put to sleep.";
    case intent::rotate: return "It is being given a new key.";
    case intent::none:
    case intent::boot:
    case intent::wake:
    case intent::end:
    case intent::deep_sleep:
    case intent::destroy:
    case intent::copy:
    case intent::watch:
    case intent::restore:
    case intent::drop_copy:
    case intent::undo: break;
    }
    if (context.brake == brake_state::off) return "It has booted, and serves.";
    return "It has booted, and serves. Many engines of the product fail their probes together: "
           "failed probes do not count at present.";
}

inline std::string_view how_it_sleeps(const engine_record& engine) noexcept {
    return sleeps_deeply(engine) ? "It sleeps without a workload" : "It sleeps";
}

/// What the operation under way leads to if all goes well.
inline event_variant success_of(intent operation) {
    switch (operation) {
    case intent::boot: return event::boot_healthy{};
    case intent::sleep: return event::asleep{};
    case intent::wake: return event::awake{};
    case intent::rotate: return event::key_swapped{};
    case intent::destroy:
    case intent::undo: return event::destroyed{};
    case intent::copy: return event::copied{};
    case intent::watch: return event::watched{};
    case intent::restore: return event::restored{};
    case intent::drop_copy: return event::copy_dropped{};
    case intent::none:
    case intent::stop:
    case intent::deep_sleep:
    case intent::end: break;
    }
    return event::stopped{};
}

/// The status that a decision leaves an engine in; nothing if it is gone then.
inline std::optional<engine_status> status_after(const decision& decided,
                                                 const engine_record& engine) {
    switch (decided.row) {
    case row_change::none: return engine.status;
    case row_change::update: return decided.next.status;
    case row_change::erase:
    case row_change::undo: break;
    }
    return std::nullopt;
}

/// The restart of a failed engine, which comes once its remains are ended.
inline engine_next planned_restart(const engine_record& engine, context then) {
    engine_next out;
    out.step = "restart";
    if (!then.backend_away) out.at = engine.restart_at; // else once the backend is back
    then.backend_away = false;
    then.now = *engine.restart_at;
    then.restart_in = duration{0};
    auto ended = engine;
    ended.intent = intent::end;
    out.becomes = status_after(decide(event::stopped{}, ended, then), ended);
    return out;
}

inline engine_next planned_sleep(const engine_record& engine, context then, instant at) {
    engine_next out;
    out.step = name_of(intent::sleep);
    out.at = at;
    then.now = at;
    then.lease_left = duration{0};
    const auto begun = decide(call::sleep{}, engine, then);
    out.becomes = status_after(decide(event::asleep{}, begun.next, then), begun.next);
    return out;
}

/// The end of the workload of an engine that has slept paused for long enough; once the backend is
/// back if it is away.
inline engine_next planned_deep_sleep(const engine_record& engine, context then) {
    engine_next out;
    out.step = name_of(intent::deep_sleep);
    if (!then.backend_away) out.at = engine.deadline;
    then.backend_away = false;
    then.now = std::max(*engine.deadline, engine.busy_until);
    const auto begun = decide(event::deadline{*engine.deadline}, engine, then);
    out.becomes = status_after(decide(event::stopped{}, begun.next, then), begun.next);
    return out;
}

/// The end of the operation under way: its success, or what its deadline means.
inline engine_next operation_end(const engine_record& engine, const context& context) {
    engine_next out;
    out.step = name_of(engine.intent);
    out.becomes = status_after(decide(success_of(engine.intent), engine, context), engine);
    if (!engine.deadline) return out;
    out.by = engine.deadline;
    out.otherwise = status_after(decide(event::deadline{*engine.deadline}, engine, context),
                                 engine);
    return out;
}

} // namespace detail

/// Why an engine is in its state, in a sentence or two for people.
[[nodiscard]] inline std::string why_it_is(const engine_record& engine, const context& context) {
    switch (engine.status) {
    case engine_status::provisioning: return detail::why_booted(engine);
    case engine_status::running: return detail::why_running(engine, context);
    case engine_status::sleeping:
        if (engine.intent == intent::wake) return "It is being woken.";
        if (engine.intent == intent::stop) return "It is being stopped.";
        if (engine.intent == intent::deep_sleep)
            return detail::with_reason("It sleeps, and its workload is being ended", engine.reason);
        return detail::with_reason(detail::how_it_sleeps(engine), engine.reason);
    case engine_status::stopped: return "It was stopped by a call. A start boots it.";
    case engine_status::failed: {
        if (engine.intent == intent::stop) return "It has failed, and is being stopped.";
        auto out = detail::with_reason("It has failed", engine.reason);
        if (!comes_back(engine)) out += " It is not restarted any more: call start.";
        else if (context.backend_away) out += " It is restarted once the backend is back.";
        return out;
    }
    case engine_status::destroying:
        if (engine.intent == intent::undo)
            return detail::with_reason("Nothing could be started, and its creation is undone",
                                       engine.reason);
        return "It is being destroyed.";
    }
    return {};
}

/// What happens to an engine next without a call; nothing if nothing does. `sleeps_at` is when it is
/// to be put to sleep, if it is.
[[nodiscard]] inline std::optional<engine_next>
next_of(const engine_record& engine, const context& context, std::optional<instant> sleeps_at) {
    const bool is_down = engine.status == engine_status::failed && engine.intent != intent::stop;
    if (is_down && engine.restart_at) return detail::planned_restart(engine, context);
    if (engine.intent != intent::none) return detail::operation_end(engine, context);
    if (engine.status == engine_status::running && sleeps_at)
        return detail::planned_sleep(engine, context, *sleeps_at);
    if (engine.status == engine_status::sleeping && engine.deadline)
        return detail::planned_deep_sleep(engine, context);
    return std::nullopt;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
