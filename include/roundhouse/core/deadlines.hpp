#pragma once

#include <roundhouse/core/backoff.hpp>
#include <roundhouse/core/settings_in_force.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/engine_upgrade.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <chrono>

/// How long each operation may take: what its persisted deadline stands for.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// The longest busy lease that a caller may ask for (SPEC §3 "Discovery").
inline constexpr duration longest_lease = std::chrono::seconds{86'400};
/// The longest that a caller may have the new version of an upgrade watched (SPEC §3 "Lifecycle").
inline constexpr duration longest_watch_asked = std::chrono::seconds{600};

// Each takes the defaults of the engine's product, null if it has none.

/// What an engine has between SIGTERM and SIGKILL when it is stopped: that of its workload, or of all.
[[nodiscard]] inline duration stop_grace_of(const engine_record& engine, const settings& settings,
                                            const product_defaults* defaults = nullptr) {
    return present_stop_grace(engine, defaults).value_or(settings.stop_grace);
}

/// What an engine has where others wait for its end, as before a boot with a new key, which holds its
/// turn: no more than the grace of all.
[[nodiscard]] inline duration awaited_stop_grace_of(const engine_record& engine,
                                                    const settings& settings,
                                                    const product_defaults* defaults = nullptr) {
    return std::min(stop_grace_of(engine, settings, defaults), settings.stop_grace);
}

/// Whether an engine is never to be put to sleep.
[[nodiscard]] inline bool is_pinned(const engine_record& engine, const product_defaults* defaults) {
    return merged(settings_of(engine).sleep, defaults).pinned.value_or(false);
}

/// How long an engine runs without a use until it is put to sleep; 0 for ever.
[[nodiscard]] inline duration sleep_after_of(const engine_record& engine, const settings& settings,
                                             const product_defaults* defaults = nullptr) {
    const auto sleep = merged(settings_of(engine).sleep, defaults);
    return sleep.pinned.value_or(false) ? duration{0} : sleep.after.value_or(settings.sleep_after);
}

/// How long an engine sleeps paused until its workload is ended; 0 for ever.
[[nodiscard]] inline duration deep_sleep_after_of(const engine_record& engine,
                                                  const settings& settings,
                                                  const product_defaults* defaults = nullptr) {
    const auto sleep = merged(settings_of(engine).sleep, defaults);
    return sleep.pinned.value_or(false) ? duration{0}
                                        : sleep.deep_after.value_or(settings.deep_sleep_after);
}

/// Whether a boot begins with the end of a workload that serves: one with another key or with other
/// settings.
[[nodiscard]] inline bool ends_a_workload_first(boot_reason reason) noexcept {
    return reason == boot_reason::rotate || reason == boot_reason::settings;
}

/// The longest that a boot may take from its turn to a healthy answer. Within it, creating and
/// probing have limits of their own (`settings::create_timeout`, `boot_timeout`). Preparing comes
/// before that turn, in a turn of its own.
[[nodiscard]] inline duration longest_boot(const engine_record& engine, const settings& settings,
                                           const product_defaults* defaults = nullptr) {
    const auto before = ends_a_workload_first(engine.boot)
                            ? awaited_stop_grace_of(engine, settings, defaults)
                            : duration{0};
    return before + settings.create_timeout + settings.boot_timeout;
}

/// The longest that the watch of a new version may take: its time, and the probes at its end.
[[nodiscard]] inline duration longest_watch(const engine_record& engine, const settings& settings) {
    const auto span = engine.upgrade ? engine.upgrade->healthy_for : duration{0};
    const auto probe = settings.health_check_timeout + settings.boot_probe_max;
    return span + settings.health_max_failures * probe + settings.backend_timeout;
}

/// The longest that one try of an operation other than a boot may take.
[[nodiscard]] inline duration longest_operation(intent operation, const engine_record& engine,
                                                const settings& settings,
                                                const product_defaults* defaults = nullptr) {
    switch (operation) {
    case intent::stop:
    case intent::deep_sleep:
        return stop_grace_of(engine, settings, defaults) + settings.backend_timeout;
    case intent::sleep:
    case intent::wake:
    case intent::rotate: return settings.health_check_timeout + settings.backend_timeout;
    case intent::copy:
    case intent::restore:
        return stop_grace_of(engine, settings, defaults) + settings.copy_timeout +
               settings.backend_timeout;
    case intent::watch: return longest_watch(engine, settings);
    case intent::none:
    case intent::boot:
    case intent::end:
    case intent::destroy:
    case intent::undo:
    case intent::drop_copy: break;
    }
    return settings.failed_grace + settings.backend_timeout;
}

/// The longest that the planned restart of a failed engine can be off.
[[nodiscard]] inline duration longest_restart_wait(const engine_record& engine,
                                                   const settings& settings) {
    return backoff(engine.restart_attempts + 1, settings.restart_backoff_base,
                   settings.restart_backoff_max, 0);
}

/// The longest that a record's deadline can be off from when it was set. A deadline that seems to be
/// further off was set by another wall clock than the present one.
[[nodiscard]] inline duration longest_wait(const engine_record& engine, const settings& settings,
                                           const product_defaults* defaults = nullptr) {
    if (engine.intent == intent::none && engine.status == engine_status::sleeping)
        return deep_sleep_after_of(engine, settings, defaults);
    if (engine.intent == intent::none && engine.status == engine_status::running)
        return settings.retry_max; // until a copy is dropped
    if (engine.intent == intent::none) return longest_restart_wait(engine, settings);
    if (engine.intent == intent::boot) return longest_boot(engine, settings, defaults);
    const auto attempt = longest_operation(engine.intent, engine, settings, defaults);
    if (engine.retries == 0) return attempt;
    return std::max(attempt, backoff(engine.retries, settings.retry_base, settings.retry_max, 0));
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
