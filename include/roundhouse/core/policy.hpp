#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// Whether `pattern` (an exact name, or `prefix*`) covers `version`.
[[nodiscard]] inline bool matches_version(std::string_view pattern,
                                          std::string_view version) noexcept {
    if (!pattern.empty() && pattern.back() == '*')
        return version.starts_with(pattern.substr(0, pattern.size() - 1));
    return pattern == version;
}

/// Decides whether a product may create an engine of `version`; the quota is the store's to check
/// (SPEC §4).
///
/// `version` is what the caller asked for, nothing for the default, which is always allowed. Fails
/// with `policy_denied`.
[[nodiscard]] inline result<void> may_provision(const product& who,
                                                std::optional<std::string_view> version,
                                                std::string_view default_version) {
    const auto& limits = who.policy;
    if (!limits.allow_provision.value_or(true))
        return fail(errc::policy_denied,
                    "Product '" + who.slug +
                        "' may not provision engines (policy.allow_provision is false). Ask the "
                        "operator to change the policy.");
    if (!version || *version == default_version || !limits.allowed_versions) return {};
    for (const auto& pattern : *limits.allowed_versions)
        if (matches_version(pattern, *version)) return {};
    return fail(errc::policy_denied,
                "Product '" + who.slug +
                    "' may not use this engine_version: policy.allowed_versions does not list it. "
                    "Leave engine_version out to get the default.");
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
