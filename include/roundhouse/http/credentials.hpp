#pragma once

#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/detail/ascii.hpp>
#include <roundhouse/http/request.hpp>

#include <string_view>

/// Which keys a request carries (SPEC §3 "Keys").
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

/// The keys of a request. Empty if they are missing.
struct credentials {
    std::string_view platform_key;
    std::string_view admin_key;
    /// A bearer token beside a key header. It is ignored, unless it is a key too.
    std::string_view beside;
};

/// Returns the token of `Authorization: Bearer TOKEN` (RFC 6750 §2.1), or an empty text. The case of
/// the scheme does not matter.
[[nodiscard]] constexpr std::string_view bearer_token(std::string_view authorization) noexcept {
    constexpr std::string_view scheme = "bearer ";
    if (!roundhouse::detail::same_but_case(authorization.substr(0, scheme.size()), scheme))
        return {};
    authorization.remove_prefix(scheme.size());
    while (authorization.starts_with(' ')) authorization.remove_prefix(1);
    return authorization;
}

/// Whether a text has the beginning of a platform key. No admin key has it.
[[nodiscard]] constexpr bool looks_like_platform_key(std::string_view text) noexcept {
    return text.starts_with(crypto::platform_key_prefix);
}

[[nodiscard]] constexpr credentials credentials_of(const request& in) noexcept {
    credentials out{in.platform_key, in.admin_key, {}};
    const auto token = bearer_token(in.authorization);
    if (!in.platform_key.empty() || !in.admin_key.empty()) out.beside = token;
    else if (looks_like_platform_key(token)) out.platform_key = token;
    else out.admin_key = token;
    return out;
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
