#pragma once

#include <roundhouse/core/lifecycle.hpp>
#include <roundhouse/engine_upgrade.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// The records, calls and events that the table of the state machine and the stories are made of.
namespace lifecycle {

using namespace roundhouse;

inline constexpr instant noon{std::chrono::seconds{1'800'000'000}};

struct named_record {
    std::string name;
    engine_record record;
};

struct named_call {
    std::string name;
    core::call_variant call;
};

struct named_event {
    std::string name;
    core::event_variant event;
};

inline settings plain_settings() {
    settings out;
    out.restart_max_attempts = 3;
    return out;
}

inline core::context at(instant now, const roundhouse::settings& settings) {
    return {now, settings, "demo", 0};
}

/// What is known beside a record at noon. A lease holds as the record says.
inline core::context context_of(const engine_record& record, const roundhouse::settings& settings) {
    auto out = at(noon, settings);
    out.lease_left = std::max(duration{0}, record.busy_until - noon);
    return out;
}

/// An engine of generation 3 that has been in its state for a minute.
inline engine_record engine_in(engine_status status, intent pending) {
    engine_record out;
    out.id.bytes[0] = 0xAB;
    out.product_id.bytes[0] = 0xCD;
    out.user_id = "ada";
    out.status = status;
    out.intent = pending;
    out.generation = 3;
    out.revision = 7;
    out.sealed_key = "k1";
    out.created_at = noon - std::chrono::hours{1};
    out.operation_started_at = noon - std::chrono::minutes{1};
    if (status == engine_status::running) {
        out.last_health_at = noon - std::chrono::minutes{1};
        out.healthy_since = noon - std::chrono::minutes{1};
    }
    if (status == engine_status::sleeping) out.reason = "idle";
    if (pending == intent::rotate) out.next_sealed_key = "k2";
    return out;
}

inline engine_record booting(boot_reason reason, engine_status origin) {
    auto out = engine_in(engine_status::provisioning, intent::boot);
    out.boot = reason;
    out.origin = origin;
    if (reason == boot_reason::restart) out.restart_attempts = 1;
    return out;
}

/// The same boot, begun by an earlier orchestrator.
inline engine_record repeated(engine_record boot) {
    boot.retries = 1;
    return boot;
}

inline engine_record stopping(engine_status from) {
    auto out = engine_in(from, intent::stop);
    out.origin = from;
    return out;
}

inline engine_record failed_engine(intent pending, std::optional<duration> restart_in) {
    auto out = engine_in(engine_status::failed, pending);
    out.reason = "it exited with code 1.";
    if (restart_in) out.restart_at = out.deadline = noon + *restart_in;
    return out;
}

inline engine_record with_deadline(engine_record out) {
    out.deadline = noon;
    return out;
}

/// An engine that falls asleep because a call has asked for it.
inline engine_record asked_to_sleep(sleep_mode mode) {
    auto out = engine_in(engine_status::running, intent::sleep);
    out.reason = core::detail::asked_to_sleep;
    out.sleep_mode = mode;
    return out;
}

/// An engine that sleeps without a workload.
inline engine_record deep_sleeper(intent pending) {
    auto out = engine_in(engine_status::sleeping, pending);
    out.sleep_mode = sleep_mode::stopped;
    return out;
}

/// An engine that sleeps paused, and is to be ended when it has slept for ten minutes.
inline engine_record to_be_ended() {
    engine_settings settings;
    settings.sleep.deep_after = std::chrono::minutes{10};
    auto out = engine_in(engine_status::sleeping, intent::none);
    out.sleeping_since = noon - std::chrono::minutes{1};
    out.deadline = out.sleeping_since + std::chrono::minutes{10};
    out.settings = std::make_shared<const engine_settings>(settings);
    return out;
}

/// Records of engines that sleep without a workload, or are on their way there or back.
inline std::vector<named_record> deep_sleepers() {
    auto waits = engine_in(engine_status::sleeping, intent::deep_sleep);
    waits.retries = 1;
    auto waking = booting(boot_reason::wake, engine_status::sleeping);
    waking.sleep_mode = sleep_mode::stopped;
    auto stopping_one = stopping(engine_status::sleeping);
    stopping_one.sleep_mode = sleep_mode::stopped;
    return {
        {"provisioning/boot wake", with_deadline(waking)},
        {"provisioning/boot wake repeated", repeated(with_deadline(waking))},
        {"running/sleep asked for", with_deadline(asked_to_sleep(sleep_mode::paused))},
        {"running/sleep asked for without a workload",
         with_deadline(asked_to_sleep(sleep_mode::stopped))},
        {"sleeping/none to be ended", to_be_ended()},
        {"sleeping/none without a workload", deep_sleeper(intent::none)},
        {"sleeping/deep_sleep",
         with_deadline(engine_in(engine_status::sleeping, intent::deep_sleep))},
        {"sleeping/deep_sleep waiting to retry", with_deadline(waits)},
        {"sleeping/deep_sleep after a wake that came to nothing",
         with_deadline(deep_sleeper(intent::deep_sleep))},
        {"sleeping/stop without a workload", with_deadline(stopping_one)},
    };
}

/// An engine that is upgraded from v1 to v2, of which there is a copy of the data.
inline engine_record upgraded(upgrade_step step, engine_status status, intent pending) {
    auto out = engine_in(status, pending);
    engine_upgrade upgrade;
    upgrade.step = step;
    upgrade.from_version = "v1";
    upgrade.to_version = "v2";
    upgrade.healthy_for = std::chrono::seconds{10};
    upgrade.has_copy = step == upgrade_step::boot || step == upgrade_step::watch ||
                       step == upgrade_step::restore;
    upgrade.drops_copy = true;
    const bool goes_back = step == upgrade_step::restore || step == upgrade_step::revert;
    if (goes_back) upgrade.failure = "it exited with code 3.";
    out.version = upgrade.has_copy || step == upgrade_step::drop ? "v2" : "v1";
    out.upgrade = std::make_shared<const engine_upgrade>(std::move(upgrade));
    out.deadline = noon;
    return out;
}

inline engine_record booting_upgrade(upgrade_step step, boot_reason reason) {
    auto out = upgraded(step, engine_status::provisioning, intent::boot);
    out.boot = reason;
    return out;
}

/// Records of engines that are upgraded, and on the way back from that.
inline std::vector<named_record> upgraded_engines() {
    using enum engine_status;
    auto stuck = upgraded(upgrade_step::restore, provisioning, intent::restore);
    stuck.retries = 1;
    return {
        {"provisioning/copy", upgraded(upgrade_step::copy, provisioning, intent::copy)},
        {"provisioning/boot upgrade", booting_upgrade(upgrade_step::boot, boot_reason::upgrade)},
        {"running/watch", upgraded(upgrade_step::watch, running, intent::watch)},
        {"provisioning/restore", upgraded(upgrade_step::restore, provisioning, intent::restore)},
        {"provisioning/restore waiting to retry", stuck},
        {"provisioning/boot revert", booting_upgrade(upgrade_step::revert, boot_reason::revert)},
        {"running/drop_copy", upgraded(upgrade_step::drop, running, intent::drop_copy)},
        {"running/none with a copy to drop", upgraded(upgrade_step::drop, running, intent::none)},
    };
}

/// A record in every state. A state whose next step depends on further members is listed with each.
inline std::vector<named_record> all_records() {
    using enum engine_status;
    auto given_up = failed_engine(intent::none, std::nullopt);
    given_up.restart_attempts = 3;
    auto last_try = booting(boot_reason::restart, engine_status::failed);
    last_try.restart_attempts = 3;
    auto leased = engine_in(running, intent::none);
    leased.busy_until = noon + std::chrono::minutes{5};
    auto destroy_waits = engine_in(destroying, intent::destroy);
    destroy_waits.retries = 1;
    auto undoing = engine_in(destroying, intent::undo);
    undoing.reason = "the daemon answered 500.";
    engine_settings pinned;
    pinned.sleep.pinned = true;
    auto pinned_engine = engine_in(running, intent::none);
    pinned_engine.settings = std::make_shared<const engine_settings>(pinned);
    std::vector<named_record> out{
        {"provisioning/boot first", with_deadline(booting(boot_reason::first, provisioning))},
        {"provisioning/boot first repeated",
         repeated(with_deadline(booting(boot_reason::first, provisioning)))},
        {"provisioning/boot start from stopped",
         with_deadline(booting(boot_reason::start, stopped))},
        {"provisioning/boot start from stopped repeated",
         repeated(with_deadline(booting(boot_reason::start, stopped)))},
        {"provisioning/boot start from failed",
         with_deadline(booting(boot_reason::start, engine_status::failed))},
        {"provisioning/boot restart",
         with_deadline(booting(boot_reason::restart, engine_status::failed))},
        {"provisioning/boot restart repeated",
         repeated(with_deadline(booting(boot_reason::restart, engine_status::failed)))},
        {"provisioning/boot last restart", with_deadline(last_try)},
        {"provisioning/boot rotate", with_deadline(booting(boot_reason::rotate, running))},
        {"provisioning/boot settings", with_deadline(booting(boot_reason::settings, running))},
        {"provisioning/boot recover", with_deadline(booting(boot_reason::recover, running))},
        {"provisioning/stop", with_deadline(stopping(provisioning))},
        {"running/none", engine_in(running, intent::none)},
        {"running/none leased", leased},
        {"running/none pinned", pinned_engine},
        {"running/stop", with_deadline(stopping(running))},
        {"running/sleep", with_deadline(engine_in(running, intent::sleep))},
        {"running/rotate", with_deadline(engine_in(running, intent::rotate))},
        {"sleeping/none", engine_in(sleeping, intent::none)},
        {"sleeping/wake", with_deadline(engine_in(sleeping, intent::wake))},
        {"sleeping/stop", with_deadline(stopping(sleeping))},
        {"stopped/none", engine_in(stopped, intent::none)},
        {"stopped/stop", with_deadline(stopping(stopped))},
        {"failed/none restart due", failed_engine(intent::none, duration{0})},
        {"failed/none restart far off", failed_engine(intent::none, std::chrono::minutes{4})},
        {"failed/none given up", given_up},
        {"failed/end restart due", failed_engine(intent::end, duration{0})},
        {"failed/end restart far off", failed_engine(intent::end, std::chrono::minutes{4})},
        {"failed/stop", with_deadline(stopping(engine_status::failed))},
        {"destroying/destroy", engine_in(destroying, intent::destroy)},
        {"destroying/destroy waiting to retry", with_deadline(destroy_waits)},
        {"destroying/undo", with_deadline(undoing)},
    };
    for (auto& sleeper : deep_sleepers()) out.push_back(std::move(sleeper));
    for (auto& engine : upgraded_engines()) out.push_back(std::move(engine));
    return out;
}

inline core::call::change_settings change_of_settings(std::uint64_t revision, bool restart) {
    engine_settings settings;
    settings.revision = 2;
    settings.limits.pids = 9;
    return {revision, std::make_shared<const engine_settings>(settings), "limits", restart};
}

inline std::vector<named_call> all_calls() {
    return {{"provision", core::call::provision{}},
            {"admit", core::call::admit{false}},
            {"admit auto_wake", core::call::admit{true}},
            {"start", core::call::start{}},
            {"stop", core::call::stop{false}},
            {"stop force", core::call::stop{true}},
            {"destroy", core::call::destroy{}},
            {"rotate", core::call::rotate{{}, "k2"}},
            {"change_settings", change_of_settings(1, false)},
            {"change_settings of an earlier revision", change_of_settings(0, false)},
            {"change_settings restart", change_of_settings(1, true)},
            {"upgrade", core::call::upgrade{"v2", std::chrono::seconds{10}}},
            {"upgrade without a watch and a copy", core::call::upgrade{"v2", {}, false}},
            {"upgrade to another version", core::call::upgrade{"v3", std::chrono::seconds{10}}},
            {"upgrade of other settings", core::call::upgrade{"v3", {}, {}, 9}},
            {"sleep", core::call::sleep{}},
            {"sleep_now paused", core::call::sleep_now{sleep_mode::paused}},
            {"sleep_now stopped", core::call::sleep_now{sleep_mode::stopped}},
            {"wake", core::call::wake{}},
            {"lease", core::call::lease{std::chrono::minutes{1}}}};
}

inline core::event::found found_as(workload_state state, std::uint64_t generation) {
    found_workload found;
    found.ref.engine_id.bytes[0] = 0xAB;
    found.ref.generation = generation;
    found.state = state;
    return {found};
}

inline core::event::exited exit_of(std::uint64_t generation) {
    workload_exit exit;
    exit.ref.generation = generation;
    exit.exit_code = 1;
    return {exit};
}

inline core::event::paused_by_others pause_of(std::uint64_t generation, bool paused) {
    workload_pause pause;
    pause.ref.generation = generation;
    pause.paused = paused;
    return {pause};
}

/// The outcomes of commands.
inline std::vector<named_event> outcomes_of_commands() {
    const error cause{errc::backend_error, "the daemon answered 500."};
    using namespace core::event;
    return {{"boot_healthy", boot_healthy{}},
            {"boot_refused", boot_refused{cause}},
            {"boot_refused away", boot_refused{{errc::backend_away, "the daemon is away."}}},
            {"stopped", stopped{}},
            {"stop_failed", stop_failed{cause}},
            {"asleep", asleep{}},
            {"sleep_cancelled", sleep_cancelled{}},
            {"awake", awake{}},
            {"wake_refused", wake_refused{cause}},
            {"wake_unhealthy", wake_unhealthy{"it is hung."}},
            {"key_swapped", key_swapped{}},
            {"key_swap_unsupported", key_swap_unsupported{}},
            {"key_swap_unknown", key_swap_unknown{}},
            {"key_swap_refused", key_swap_refused{cause}},
            {"destroyed", destroyed{}},
            {"destroy_failed", destroy_failed{cause}},
            {"copied", copied{true}},
            {"copied nothing", copied{false}},
            {"copy_failed", copy_failed{cause}},
            {"watched", watched{}},
            {"watch_failed", watch_failed{"it is hung."}},
            {"restored", restored{}},
            {"restore_failed", restore_failed{cause}},
            {"copy_dropped", copy_dropped{}},
            {"drop_failed", drop_failed{cause}}};
}

/// All events that can come to a record: about its workload, and about its deadline.
inline std::vector<named_event> events_for(const engine_record& record) {
    const auto generation = record.generation;
    using enum workload_state;
    using namespace core::event;
    auto events = outcomes_of_commands();
    const std::vector<named_event> others{
        {"exited", exit_of(generation)},
        {"exited older generation", exit_of(generation - 1)},
        {"paused_by_others", pause_of(generation, true)},
        {"paused_by_others resumed", pause_of(generation, false)},
        {"paused_by_others older generation", pause_of(generation - 1, true)},
        {"probed_healthy", probed_healthy{}},
        {"probed_unhealthy once", probed_unhealthy{1, "it is hung."}},
        {"probed_unhealthy too often", probed_unhealthy{3, "it is hung."}},
        {"deadline", deadline{record.deadline.value_or(instant{})}},
        {"deadline of an earlier wait", deadline{noon - std::chrono::hours{1}}},
        {"found nothing", found{}},
        {"found up", found_as(up, generation)},
        {"found paused", found_as(paused, generation)},
        {"found older up", found_as(up, generation - 1)},
        {"found newer up", found_as(up, generation + 6)},
        {"restart_without_port", restart_without_port{{errc::port_exhaustion, "no free port"}}},
        {"parked", parked{}}};
    events.insert(events.end(), others.begin(), others.end());
    return events;
}

} // namespace lifecycle
