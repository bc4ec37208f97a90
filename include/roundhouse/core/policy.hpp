#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

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

/// Decides whether the policy of a product allows it to create an engine of `version` (SPEC §4).
/// Without a version the engine gets the default version, which is always allowed. Fails with
/// `policy_denied`. The quota is checked by the store.
[[nodiscard]] inline result<void> may_provision(const product& product,
                                                std::optional<std::string_view> version,
                                                std::string_view default_version) {
    const auto& limits = product.policy;
    if (!limits.allow_provision.value_or(true))
        return fail(errc::policy_denied,
                    "Product '" + product.slug +
                        "' may not provision engines (policy.allow_provision is false). Ask the "
                        "operator to change the policy.");
    if (!version || *version == default_version || !limits.allowed_versions) return {};
    for (const auto& pattern : *limits.allowed_versions)
        if (matches_version(pattern, *version)) return {};
    return fail(errc::policy_denied,
                "Product '" + product.slug +
                    "' may not use this engine_version: policy.allowed_versions does not list it. "
                    "Leave engine_version out to get the default.");
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
