#pragma once

#include <roundhouse/detail/ascii.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The request that a transport passes to the api, and two functions that decode its target.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

inline constexpr std::string_view platform_key_header = "X-Platform-Key";
inline constexpr std::string_view admin_key_header = "X-Admin-Key";
inline constexpr std::string_view authorization_header = "Authorization";
inline constexpr std::string_view request_id_header = "X-Request-Id";
inline constexpr std::string_view if_match_header = "If-Match";
inline constexpr std::string_view idempotency_key_header = "Idempotency-Key";
inline constexpr std::string_view prefer_header = "Prefer";
inline constexpr std::string_view ignored_header = "Roundhouse-Ignored";
inline constexpr std::string_view preference_applied_header = "Preference-Applied";
inline constexpr std::string_view strict_handling = "handling=strict";

/// An HTTP request as it was received. The texts must live until `api::handle` returns.
struct request {
    std::string_view method; ///< such as `GET`
    /// Path and query, still percent-encoded.
    std::string_view target;
    std::string_view body;         ///< after any transfer coding
    std::string_view platform_key; ///< value of `X-Platform-Key`; empty if there is none
    std::string_view admin_key;    ///< value of `X-Admin-Key`; empty if there is none
    std::string_view request_id;   ///< value of `X-Request-Id`; empty if there is none
    /// Set by a transport that stopped reading a body because it is longer than
    /// `api::max_body_bytes`.
    bool body_too_large = false;
    std::string_view authorization{}; ///< value of `Authorization`; empty if there is none
    /// What counts as one client, such as its address: wrong keys are counted by it. Empty if the
    /// transport does not tell.
    std::string_view client{};
    /// Names that the api does not know are refused (`prefers_strict` of a value of `Prefer`).
    bool strict = false;
    /// Value of `If-Match`; nothing if there is none. Of a field that is sent twice, a text that is
    /// none of its values, such as an empty one.
    std::optional<std::string_view> if_match{};
    /// The same of `Idempotency-Key`.
    std::optional<std::string_view> idempotency_key{};
};

/// Whether a value of `Prefer` asks for strict handling (RFC 7240 §4.4). Of a preference that is given
/// twice the first counts.
[[nodiscard]] constexpr bool prefers_strict(std::string_view value) noexcept {
    using roundhouse::detail::same_but_case;
    using roundhouse::detail::trimmed;
    while (!value.empty()) {
        bool quoted = false;
        std::size_t end = 0;
        for (; end < value.size() && (quoted || value[end] != ','); ++end) {
            if (value[end] == '\\' && quoted) ++end;
            else if (value[end] == '"') quoted = !quoted;
        }
        end = std::min(end, value.size());
        const auto whole = value.substr(0, end);
        const auto preference = whole.substr(0, whole.find(';'));
        value.remove_prefix(std::min(end + 1, value.size()));
        const auto equals = preference.find('=');
        if (equals == std::string_view::npos) continue;
        if (!same_but_case(trimmed(preference.substr(0, equals)), "handling")) continue;
        const auto handling = trimmed(preference.substr(equals + 1));
        return handling == "strict" || handling == "\"strict\"";
    }
    return false;
}

/// The meaning of `+` in percent-encoded text: itself in a path (RFC 3986), a space in a query (the
/// form encoding of HTML, which query-building libraries use).
enum class plus_sign : std::uint8_t { itself, space };

/// Decodes percent-encoded text and appends it to `out`. Returns false if a `%` is not followed by
/// two hexadecimal digits.
[[nodiscard]] inline bool percent_decode(std::string_view text, plus_sign plus, std::string& out) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus == plus_sign::space) {
            out += ' ';
        } else if (text[i] != '%') {
            out += text[i];
        } else {
            if (text.size() - i < 3) return false;
            const int high = roundhouse::detail::hex_digit(text[i + 1]);
            const int low = roundhouse::detail::hex_digit(text[i + 2]);
            if (high < 0 || low < 0) return false;
            out += static_cast<char>(high * 16 + low);
            i += 2;
        }
    }
    return true;
}

/// The parts of a request's target, still percent-encoded.
struct split_target {
    std::string_view path;
    std::string_view query; ///< without its `?`
};

/// Splits a target. Scheme and authority of the absolute form (`http://host/path`), which servers
/// must accept (RFC 9112 §3.2.2), are dropped.
[[nodiscard]] constexpr split_target split(std::string_view target) noexcept {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (!roundhouse::detail::same_but_case(target.substr(0, scheme.size()), scheme)) continue;
        target.remove_prefix(scheme.size());
        const auto path = target.find_first_of("/?");
        target = path == std::string_view::npos ? std::string_view("/") : target.substr(path);
        break;
    }
    const auto question = target.find('?');
    if (question == std::string_view::npos) return {target, {}};
    return {target.substr(0, question), target.substr(question + 1)};
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
