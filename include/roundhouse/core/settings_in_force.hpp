#pragma once

#include <roundhouse/engine_settings.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// What holds for an engine of what it and its product's defaults say: its own goes first (SPEC §3).
/// Defaults are null for a product that has none.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// The settings of an engine together with its product's defaults. What is missing in both is for the
/// server to say.
struct merged_settings {
    engine_limits limits = {};
    sleep_settings sleep = {};
    std::optional<duration> stop_grace = {};
};

namespace detail {

/// The first of the two that has a value.
template <class T>
[[nodiscard]] std::optional<T> first_of(const std::optional<T>& own,
                                        const std::optional<T>& other) {
    return own ? own : other;
}

/// What of the defaults was replaced since a workload was made with this revision of them; null if
/// nothing was, or if that is not known any more.
[[nodiscard]] inline const former_defaults* former_of(std::uint64_t revision,
                                                      const product_defaults& defaults) noexcept {
    for (const auto& former : defaults.former)
        if (former.first_revision <= revision && revision <= former.last_revision) return &former;
    return nullptr;
}

/// The same for each kind of ceiling.
[[nodiscard]] inline engine_limits first_of(const engine_limits& own, const engine_limits& other) {
    return {.memory_mb = first_of(own.memory_mb, other.memory_mb),
            .cpus = first_of(own.cpus, other.cpus),
            .pids = first_of(own.pids, other.pids)};
}

/// Whether one of the texts is not among `own`. Both are in order.
[[nodiscard]] inline bool shows_through(const std::vector<std::string>& given,
                                        const std::vector<std::string>& own) {
    return !std::ranges::includes(own, given);
}

} // namespace detail

/// The ceilings of an engine with `own` ceilings, before those of its policy and of the backend.
[[nodiscard]] inline engine_limits merged(const engine_limits& own,
                                          const product_defaults* defaults) {
    return defaults == nullptr ? own : detail::first_of(own, defaults->settings.limits);
}

/// When an engine is put to sleep that has these settings of its own.
[[nodiscard]] inline sleep_settings merged(const sleep_settings& own,
                                           const product_defaults* defaults) {
    if (defaults == nullptr) return own;
    auto out = own;
    const auto& given = defaults->settings.sleep;
    out.after = detail::first_of(own.after, given.after);
    out.deep_after = detail::first_of(own.deep_after, given.deep_after);
    out.pinned = detail::first_of(own.pinned, given.pinned);
    return out;
}

/// The settings that hold from an engine's next boot on. Of sleep they hold at once.
[[nodiscard]] inline merged_settings merged(const engine_settings& own,
                                            const product_defaults* defaults) {
    merged_settings out{.limits = merged(own.limits, defaults),
                        .sleep = merged(own.sleep, defaults),
                        .stop_grace = own.stop_grace};
    if (defaults != nullptr)
        out.stop_grace = detail::first_of(own.stop_grace, defaults->settings.stop_grace);
    return out;
}

/// Texts of an engine by name, with those of the defaults that it has no text of its own for.
[[nodiscard]] inline named_texts merged(named_texts own, const named_texts& given) {
    own.insert(given.begin(), given.end());
    return own;
}

/// The names of the variables that an engine gets with its next workload, in order.
[[nodiscard]] inline std::vector<std::string> merged_env_names(const engine_settings& own,
                                                               const product_defaults* defaults) {
    if (defaults == nullptr) return own.env_names;
    std::vector<std::string> out;
    std::ranges::set_union(own.env_names, defaults->settings.env_names, std::back_inserter(out));
    return out;
}

/// The grace of an engine's present workload; nothing if that of all holds.
[[nodiscard]] inline std::optional<duration> present_stop_grace(const engine_record& engine,
                                                                const product_defaults* defaults) {
    const auto& present = roundhouse::present_stop_grace(settings_of(engine));
    if (present || defaults == nullptr) return present;
    const auto* const former = detail::former_of(engine.defaults_revision, *defaults);
    return former != nullptr ? former->stop_grace : defaults->settings.stop_grace;
}

/// The defaults' variables, sealed, that an engine's workload may have been made with, and those that
/// its next one gets.
[[nodiscard]] inline std::vector<std::string>
sealed_default_envs(const engine_record& engine, const product_defaults& defaults) {
    std::vector<std::string> out{defaults.settings.sealed_env};
    for (const auto& former : defaults.former)
        if (engine.defaults_revision <= former.last_revision) out.push_back(former.sealed_env);
    return out;
}

/// What of an engine's settings, its own and the defaults', has changed since its present workload was
/// made: the flags alone. A default that the engine's own setting hides does not count, and neither
/// does one that was changed back.
[[nodiscard]] inline pending_settings pending_of(const engine_record& engine,
                                                 const product_defaults* defaults) {
    const auto& own = settings_of(engine);
    pending_settings out{.env = own.pending.env,
                         .limits = own.pending.limits,
                         .stop_grace = own.pending.stop_grace,
                         .version = own.pending.version};
    if (defaults == nullptr) return out;
    const auto since = engine.defaults_revision;
    const auto* const former = detail::former_of(since, *defaults);
    const auto& present = defaults->settings;
    if (defaults->limits_changed > since) {
        // Of what is not known any more it is taken that each kind has changed.
        const auto before = former != nullptr ? former->limits : engine_limits{};
        const bool same = detail::first_of(own.limits, before) ==
                          detail::first_of(own.limits, present.limits);
        const bool all_own = own.limits.memory_mb && own.limits.cpus && own.limits.pids;
        if (former != nullptr ? !same : !all_own) out.limits = true;
    }
    if (defaults->stop_grace_changed > since && !own.stop_grace &&
        (former == nullptr || former->stop_grace != present.stop_grace))
        out.stop_grace = true;
    // Variables that were changed back are sealed in the same text again.
    if (defaults->env_changed > since && former == nullptr) out.env = true;
    if (defaults->env_changed > since && former != nullptr &&
        former->sealed_env != present.sealed_env)
        out.env = out.env || detail::shows_through(present.env_names, own.env_names) ||
                  detail::shows_through(former->env_names, own.env_names);
    return out;
}

/// The version of an engine that is created, where the call names this one or none.
[[nodiscard]] inline std::string version_of_new(const std::optional<std::string>& own,
                                                const product_defaults* defaults,
                                                const settings& settings) {
    if (own) return *own;
    if (defaults != nullptr && defaults->version) return *defaults->version;
    return settings.default_version;
}

/// The settings of an engine that is created with these, which may be null. The metadata of the
/// defaults become its own, because listings filter by them; all else is merged where it is used.
[[nodiscard]] inline std::shared_ptr<const engine_settings>
settings_of_new(std::shared_ptr<const engine_settings> own, const product_defaults* defaults) {
    if (defaults == nullptr || defaults->settings.metadata.empty()) return own;
    auto out = own ? std::make_shared<engine_settings>(*own) : std::make_shared<engine_settings>();
    out->metadata = merged(std::move(out->metadata), defaults->settings.metadata);
    return out;
}

/// The defaults of a product after they were replaced. `settings` has no revision yet, and the sealed
/// variables of `before` if these are the same.
[[nodiscard]] inline product_defaults replaced_defaults(const product_defaults& before,
                                                        std::uint64_t revision,
                                                        std::optional<std::string> version,
                                                        engine_settings settings) {
    auto out = before;
    const auto& was = before.settings;
    out.version = std::move(version);
    out.settings = std::move(settings);
    out.settings.revision = revision;
    const auto note = [revision](std::uint64_t& changed, bool differs) {
        if (differs) changed = revision;
        return differs;
    };
    const bool env = note(out.env_changed, out.settings.sealed_env != was.sealed_env);
    const bool limits = note(out.limits_changed, out.settings.limits != was.limits);
    const bool grace = note(out.stop_grace_changed, out.settings.stop_grace != was.stop_grace);
    if (!env && !limits && !grace) return out;
    const auto first = std::max(
        {before.env_changed, before.limits_changed, before.stop_grace_changed});
    out.former.push_back({.first_revision = first,
                          .last_revision = revision - 1,
                          .env_names = was.env_names,
                          .sealed_env = was.sealed_env,
                          .limits = was.limits,
                          .stop_grace = was.stop_grace});
    if (out.former.size() > product_defaults::most_former) out.former.erase(out.former.begin());
    return out;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
