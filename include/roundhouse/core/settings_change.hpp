#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/engine_settings.hpp>

#include <string>
#include <string_view>
#include <utility>

/// What a change makes of an engine's settings (SPEC §3, `PATCH /engines/{user_id}`).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// An engine's settings as it would be given them, with its variables in clear. Without a version,
/// which is none of them.
[[nodiscard]] inline provision_options options_of(const engine_settings& settings,
                                                  named_texts env) {
    provision_options out;
    out.env = std::move(env);
    out.metadata = settings.metadata;
    out.limits = settings.limits;
    out.stop_grace = settings.stop_grace;
    out.sleep = settings.sleep;
    return out;
}

/// The options after a change of them.
[[nodiscard]] inline provision_options changed(provision_options options,
                                               const settings_change& wanted) {
    wanted.env.apply(options.env);
    wanted.metadata.apply(options.metadata);
    wanted.memory_mb.apply(options.limits.memory_mb);
    wanted.cpus.apply(options.limits.cpus);
    wanted.pids.apply(options.limits.pids);
    wanted.stop_grace.apply(options.stop_grace);
    wanted.sleep_after.apply(options.sleep.after);
    wanted.deep_sleep_after.apply(options.sleep.deep_after);
    wanted.pinned.apply(options.sleep.pinned);
    return options;
}

/// The names of the members that differ, in the order in which an engine object has them, separated
/// by commas; empty if none does.
[[nodiscard]] inline std::string differing_members(const provision_options& before,
                                                   const provision_options& after) {
    std::string out;
    const auto compare = [&out](std::string_view name, const auto& one, const auto& other) {
        if (one == other) return;
        out.append(out.empty() ? "" : ", ").append(name);
    };
    compare("metadata", before.metadata, after.metadata);
    compare("limits", before.limits, after.limits);
    compare("sleep", before.sleep, after.sleep);
    compare("stop_grace_s", before.stop_grace, after.stop_grace);
    compare("env", before.env, after.env);
    return out;
}

/// The settings after a change of what they were made of, with nothing pending. `sealed_env` are the
/// variables of `after`, sealed; they are not looked at if they are the same.
[[nodiscard]] inline engine_settings changed_settings(const engine_settings& before,
                                                      const provision_options& was,
                                                      const provision_options& after,
                                                      std::string sealed_env) {
    auto out = before;
    ++out.revision;
    out.metadata = after.metadata;
    out.limits = after.limits;
    out.stop_grace = after.stop_grace;
    out.sleep = after.sleep;
    out.pending = {};
    if (after.env == was.env) return out;
    out.env_names.clear();
    for (const auto& [name, value] : after.env) out.env_names.push_back(name);
    out.sealed_env = std::move(sealed_env);
    return out;
}

/// The settings `after` for an engine whose present generation was begun with `before`, or with what
/// that says it had.
[[nodiscard]] inline engine_settings with_pending(const engine_settings& before,
                                                  engine_settings after) {
    auto& pending = after.pending = before.pending;
    if (after.limits != before.limits && !std::exchange(pending.limits, true))
        pending.limits_before = before.limits;
    if (after.stop_grace != before.stop_grace && !std::exchange(pending.stop_grace, true))
        pending.stop_grace_before = before.stop_grace;
    if (after.sealed_env != before.sealed_env && !std::exchange(pending.env, true))
        pending.sealed_env = before.sealed_env;
    return after;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
