#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/ceilings.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/core/settings_in_force.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <optional>

/// Where each setting of an engine comes from (SPEC §3, `GET /engines/{user_id}/explain`).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

namespace detail {

/// Of a setting whose value is the engine's own, else that of the defaults, else `otherwise`.
template <class T>
[[nodiscard]] setting_source source_of(const std::optional<T>& own, const std::optional<T>& given,
                                       setting_source otherwise) {
    if (own) return setting_source::engine;
    return given ? setting_source::product : otherwise;
}

/// The ceilings of one kind that an engine has from each place.
template <class Number> struct kind_of_ceiling {
    std::optional<Number> own, given, policy, general;
};

/// Of several ceilings the smallest holds; of equal ones the engine's own goes first.
template <class Number>
[[nodiscard]] setting_source source_of(const kind_of_ceiling<Number>& kind) {
    const auto wanted = first_of(kind.own, kind.given);
    const auto held = smaller(smaller(wanted, kind.policy), kind.general);
    if (!held) return setting_source::none;
    if (wanted == held) return source_of(kind.own, kind.given, setting_source::none);
    return kind.policy == held ? setting_source::product : setting_source::server;
}

} // namespace detail

/// Where the settings of an engine come from that hold from its next boot on. Of sleep they hold at
/// once. `defaults` are null if the product has none.
[[nodiscard]] inline settings_sources sources_of(const engine_record& engine,
                                                 const product_defaults* defaults,
                                                 const policy& limits,
                                                 const limit_support& backend) {
    const auto& own = settings_of(engine);
    const auto& given = defaults != nullptr ? defaults->settings : no_settings();
    const auto& general = backend.general;
    settings_sources out;
    if (!own.metadata.empty()) out.metadata = setting_source::engine;
    out.memory_mb = detail::source_of<std::uint64_t>(
        {own.limits.memory_mb, given.limits.memory_mb, limits.max_memory_mb, general.memory_mb});
    out.cpus = detail::source_of<double>(
        {own.limits.cpus, given.limits.cpus, limits.max_cpus, general.cpus});
    out.pids = detail::source_of<std::uint64_t>(
        {own.limits.pids, given.limits.pids, limits.max_pids, general.pids});
    out.sleep_after = detail::source_of(own.sleep.after, given.sleep.after, setting_source::server);
    out.deep_sleep_after = detail::source_of(own.sleep.deep_after, given.sleep.deep_after,
                                             setting_source::server);
    out.pinned = detail::source_of(own.sleep.pinned, given.sleep.pinned, setting_source::none);
    out.stop_grace = detail::source_of(own.stop_grace, given.stop_grace, setting_source::server);
    for (const auto& name : given.env_names) out.env[name] = setting_source::product;
    for (const auto& name : own.env_names) out.env[name] = setting_source::engine;
    return out;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
