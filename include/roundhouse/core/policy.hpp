#pragma once

#include <roundhouse/core/engine_settings_check.hpp>
#include <roundhouse/core/names.hpp>
#include <roundhouse/core/whole_range.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// What a policy may not hold: the name of the member, and what to say after it.
struct policy_fault {
    std::string member;
    std::string complaint;
};

/// A member of a policy that is a whole number.
struct policy_number {
    std::string_view name;
    std::optional<std::uint64_t> policy::*member = nullptr;
    whole_range range;
    std::string_view instead; ///< What to do instead of setting another number: a sentence.
};

/// In the order in which they are shown.
inline constexpr std::array policy_numbers{
    policy_number{"max_engines", &policy::max_engines, {}, {}},
    policy_number{"rate_limit_rpm", &policy::rate_limit_rpm, {}, {}},
    policy_number{"rate_limit_burst", &policy::rate_limit_burst, {.least = 1}, {}},
    policy_number{"max_concurrent_boots",
                  &policy::max_concurrent_boots,
                  {.least = 1},
                  " Set allow_provision to false to allow no engine."},
    policy_number{"max_provisions_per_minute", &policy::max_provisions_per_minute, {}, {}},
    policy_number{"weight", &policy::weight, {1, 100}, {}},
    policy_number{"max_memory_mb", &policy::max_memory_mb, memory_mb_range, {}},
    policy_number{"max_pids", &policy::max_pids, pids_range, {}},
    policy_number{"max_total_memory_mb", &policy::max_total_memory_mb, {}, {}},
};

/// What is wrong with a policy's `rate_limit_burst` beside its `rate_limit_rpm`, which it divides.
[[nodiscard]] inline std::optional<policy_fault> check_burst(const policy& limits) {
    if (!limits.rate_limit_burst) return std::nullopt;
    const auto fault = [](std::string complaint) {
        return policy_fault{"rate_limit_burst", std::move(complaint)};
    };
    if (!limits.rate_limit_rpm)
        return fault("says how many of the admits of rate_limit_rpm may come at once, and that is "
                     "missing. Set both, or neither.");
    if (*limits.rate_limit_burst > *limits.rate_limit_rpm)
        return fault("must be at most rate_limit_rpm (" + std::to_string(*limits.rate_limit_rpm) +
                     "), and is " + std::to_string(*limits.rate_limit_burst) + ".");
    return std::nullopt;
}

/// Finds the first member of a policy that it may not have so; nothing if there is none.
[[nodiscard]] inline std::optional<policy_fault> check_policy(const policy& limits) {
    for (const auto& number : policy_numbers) {
        const auto value = limits.*number.member;
        if (!value || number.range.holds(*value)) continue;
        return policy_fault{std::string(number.name), "must be " + number.range.text() +
                                                          ", and is " + std::to_string(*value) +
                                                          "." + std::string(number.instead)};
    }
    if (auto fault = check_burst(limits)) return fault;
    if (auto complaint = limits.max_cpus ? detail::check_cpus(*limits.max_cpus) : std::nullopt)
        return policy_fault{"max_cpus", std::move(*complaint)};
    if (!limits.allowed_versions) return std::nullopt;
    for (std::size_t i = 0; i < limits.allowed_versions->size(); ++i)
        if (auto complaint = names::check_version_pattern((*limits.allowed_versions)[i]))
            return policy_fault{"allowed_versions[" + std::to_string(i) + "]",
                                std::move(*complaint)};
    return std::nullopt;
}

/// The policy that holds for a product: its own, or the default one if its own has no member.
[[nodiscard]] inline const policy& policy_of(const product& product, const settings& settings) {
    return product.policy == policy{} ? settings.default_policy : product.policy;
}

/// Returns whether `pattern`, an exact version or `prefix*`, matches `version`.
///
/// Of a version with a tag and a digest (`name:tag@sha256:…`) the digest alone decides what runs. A
/// prefix is compared without the tag, so that `name:1.*` allows no digest under the name of 1.0.
[[nodiscard]] inline bool matches_version(std::string_view pattern, std::string_view version) {
    if (pattern.empty() || pattern.back() != '*') return pattern == version;
    const auto prefix = pattern.substr(0, pattern.size() - 1);
    const auto digest = version.find("@sha256:");
    if (digest == std::string_view::npos) return version.starts_with(prefix);
    const auto named = version.substr(0, digest);
    const auto slash = named.rfind('/');
    const auto tag = named.find(':', slash == std::string_view::npos ? 0 : slash);
    return std::string{named.substr(0, tag)}.append(version.substr(digest)).starts_with(prefix);
}

/// Decides whether the policy that holds for a product allows a caller to ask for `version` (SPEC
/// §4). The default version is always allowed. Fails with `policy_denied`.
[[nodiscard]] inline result<void> may_use_version(const product& product, std::string_view version,
                                                  const settings& settings) {
    const auto& limits = policy_of(product, settings);
    if (version == settings.default_version) return {};
    if (!limits.allowed_versions && !settings.versions_need_allowing) return {};
    if (!limits.allowed_versions)
        return fail(
            errc::policy_denied,
            "Product '" + product.slug +
                "' may use the default engine_version only, because a version names a "
                "program here, and its policy lists none. Use the default, or ask the operator "
                "to set policy.allowed_versions.");
    for (const auto& pattern : *limits.allowed_versions)
        if (matches_version(pattern, version)) return {};
    return fail(
        errc::policy_denied,
        "Product '" + product.slug +
            "' may not use this engine_version: policy.allowed_versions does not list it. "
            "Use a version that it lists, or the default, which a new engine gets without one.");
}

/// Decides whether the policy that holds for a product allows it to create an engine of `version`
/// (SPEC §4). Without a version the engine gets the default version, which is always allowed. Fails
/// with `policy_denied`. The quota is checked by the store.
[[nodiscard]] inline result<void> may_provision(const product& product,
                                                std::optional<std::string_view> version,
                                                const settings& settings) {
    const auto& limits = policy_of(product, settings);
    if (!limits.allow_provision.value_or(true))
        return fail(errc::policy_denied,
                    "Product '" + product.slug +
                        "' may not provision engines (policy.allow_provision is false). Ask the "
                        "operator to change the policy.");
    return version ? may_use_version(product, *version, settings) : result<void>{};
}

/// Decides whether the policy that holds for a product allows it to give an engine variables. Fails
/// with `policy_denied`.
[[nodiscard]] inline result<void> may_give_env(const product& product, const settings& settings) {
    if (policy_of(product, settings).allow_env.value_or(true)) return {};
    return fail(
        errc::policy_denied,
        "env: product '" + product.slug +
            "' may not give engines variables (policy.allow_env is false). Leave env out, or "
            "ask the operator to change the policy.");
}

/// The error of a call beyond a product's `limit` calls a minute, which the member of its policy
/// sets; one more will be taken after `wait`, unless the limit is 0.
[[nodiscard]] inline error over_rate(const product& product, std::string_view member,
                                     std::uint64_t limit, duration wait) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
    const auto way_out = limit == 0 ? std::string("Ask the operator to change the policy.")
                                    : "Try again in " + std::to_string(seconds) + " s.";
    return {errc::rate_limited,
            "Product '" + product.slug + "' is over its " + std::string(member) + " (" +
                std::to_string(limit) + "). " + way_out,
            static_cast<int>(seconds)};
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
