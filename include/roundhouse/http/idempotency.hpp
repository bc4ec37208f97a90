#pragma once

#include <roundhouse/core/names.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/http/reply.hpp>
#include <roundhouse/http/request.hpp>
#include <roundhouse/http/viewer.hpp>
#include <roundhouse/types.hpp>

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// What the api does with `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

/// The text of a string of structured fields (RFC 8941 §3.3.3); nothing if it is malformed.
[[nodiscard]] inline std::optional<std::string> read_quoted(std::string_view value) {
    if (value.size() < 2 || !value.starts_with('"') || !value.ends_with('"')) return std::nullopt;
    value = value.substr(1, value.size() - 2);
    std::string text;
    for (; !value.empty(); value.remove_prefix(1)) {
        if (value.front() == '"') return std::nullopt;
        if (value.front() == '\\') {
            value.remove_prefix(1);
            if (!value.starts_with('"') && !value.starts_with('\\')) return std::nullopt;
        }
        text += value.front();
    }
    return text;
}

/// Reads a value of `Idempotency-Key`: the key, between quotes or without them.
[[nodiscard]] inline result<std::string> read_idempotency_key(std::string_view value) {
    const auto key = value.starts_with('"') ? read_quoted(value) : std::string(value);
    const auto fault = core::names::check_idempotency_key(key.value_or(std::string()));
    if (fault)
        return fail(errc::invalid_request,
                    "Idempotency-Key: " + *fault + " Send it once, as a string between quotes.");
    return *key;
}

/// The digest of what a request asks for. Where an administrator asks in the place of a product it is
/// another, because the answer has no key of an engine.
[[nodiscard]] inline sha256_digest digest_of(const request& in, viewer seen_by = viewer::product) {
    std::string text(seen_by == viewer::admin ? "admin " : "");
    text.append(in.method);
    text.append(" ").append(split(in.target).path).append("\n").append(in.body);
    return crypto::sha256(text);
}

/// A reply as it is kept: its status and its body.
[[nodiscard]] inline std::string kept_text(const reply& answer) {
    return std::to_string(answer.status) + " " + answer.body;
}

/// The reply that was kept.
[[nodiscard]] inline reply kept_reply(std::string_view text) {
    reply out;
    const auto end = text.find(' ');
    std::from_chars(text.data(), text.data() + text.size(), out.status);
    if (end != std::string_view::npos) out.body = text.substr(end + 1);
    return out;
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
