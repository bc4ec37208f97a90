#pragma once

#include <roundhouse/detail/utf8.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The names that callers choose, and their limits (SPEC §1).
///
/// Each check returns nothing if the text is valid, and otherwise the rest of a sentence that
/// begins with the name of the field: "must be 1 to 64 characters of a-z, 0-9 and -."
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core::names {

inline constexpr std::size_t max_user_id_bytes = 256;
inline constexpr std::size_t max_slug_bytes = 64;
inline constexpr std::size_t max_admin_name_bytes = 32;
inline constexpr std::size_t max_display_name_bytes = 256;
/// Of an engine_version, and of a pattern of `allowed_versions`.
inline constexpr std::size_t max_version_bytes = 512;

namespace detail {

enum class text_fault : std::uint8_t { none, not_utf8, control_character };

/// Finds the first malformed UTF-8 sequence or control character: C0, DEL or C1 (U+0080 to U+009F).
constexpr text_fault find_fault(std::string_view text) noexcept {
    while (!text.empty()) {
        const auto sequence = roundhouse::detail::utf8_sequence(text);
        if (sequence == 0) return text_fault::not_utf8;
        const auto first = static_cast<std::uint8_t>(text[0]);
        if (sequence == 1 && (first < 0x20 || first == 0x7F)) return text_fault::control_character;
        if (sequence == 2 && first == 0xC2 && static_cast<std::uint8_t>(text[1]) < 0xA0)
            return text_fault::control_character;
        text.remove_prefix(sequence);
    }
    return text_fault::none;
}

/// Checks the rule that all free texts share: 1 to `max_bytes` bytes of UTF-8 without control
/// characters.
[[nodiscard]] inline std::optional<std::string> check_text(std::string_view text,
                                                           std::size_t max_bytes) {
    if (text.empty() || text.size() > max_bytes)
        return "must have 1 to " + std::to_string(max_bytes) + " bytes, and has " +
               std::to_string(text.size()) + ".";
    switch (find_fault(text)) {
    case text_fault::not_utf8: return "is not valid UTF-8.";
    case text_fault::control_character: return "must not hold control characters.";
    case text_fault::none: break;
    }
    return std::nullopt;
}

constexpr bool is_slug_character(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

} // namespace detail

/// Checks a user_id: 1 to 256 bytes of UTF-8 without control characters, and not "." or "..".
[[nodiscard]] inline std::optional<std::string> check_user_id(std::string_view text) {
    if (text == "." || text == "..")
        return "must not be . or .., because proxies rewrite such paths.";
    return detail::check_text(text, max_user_id_bytes);
}

/// Checks the beginning of user_ids: at most 256 bytes. It may end within a character.
[[nodiscard]] inline std::optional<std::string> check_user_prefix(std::string_view text) {
    if (text.size() <= max_user_id_bytes) return std::nullopt;
    return "must have at most " + std::to_string(max_user_id_bytes) +
           " bytes, as user_ids do, and has " + std::to_string(text.size()) + ".";
}

/// Checks a product's slug: 1 to 64 characters of a-z, 0-9 and -. A slug of the form of a UUID is
/// refused, because a policy is set by slug or by product_id.
[[nodiscard]] inline std::optional<std::string> check_slug(std::string_view text) {
    if (text.empty() || text.size() > max_slug_bytes ||
        !std::ranges::all_of(text, detail::is_slug_character))
        return "must be 1 to " + std::to_string(max_slug_bytes) + " characters of a-z, 0-9 and -.";
    if (parse_uuid(text)) return "must not have the form of a product_id.";
    return std::nullopt;
}

/// Checks the name of an administrator: 1 to 32 characters of a-z, 0-9 and -.
[[nodiscard]] inline std::optional<std::string> check_admin_name(std::string_view text) {
    if (!text.empty() && text.size() <= max_admin_name_bytes &&
        std::ranges::all_of(text, detail::is_slug_character))
        return std::nullopt;
    return "must be 1 to " + std::to_string(max_admin_name_bytes) +
           " characters of a-z, 0-9 and -.";
}

/// Checks a product's display name: 1 to 256 bytes of UTF-8 without control characters.
[[nodiscard]] inline std::optional<std::string> check_display_name(std::string_view text) {
    return detail::check_text(text, max_display_name_bytes);
}

/// Checks an engine_version: 1 to 512 bytes of UTF-8 without control characters.
[[nodiscard]] inline std::optional<std::string> check_version(std::string_view text) {
    return detail::check_text(text, max_version_bytes);
}

/// Checks an entry of a policy's `allowed_versions`: a version, or a prefix of versions followed by
/// `*`. A `*` elsewhere is refused, because it would only match itself.
[[nodiscard]] inline std::optional<std::string> check_version_pattern(std::string_view text) {
    const auto star = text.find('*');
    if (star != std::string_view::npos && star + 1 != text.size())
        return "may hold a * at its end only.";
    return check_version(text);
}

/// 1 to 255 visible ASCII characters.
[[nodiscard]] inline std::optional<std::string> check_idempotency_key(std::string_view key) {
    const auto is_visible = [](char c) { return c > ' ' && c <= '~'; };
    if (!key.empty() && key.size() <= max_idempotency_key_bytes &&
        std::ranges::all_of(key, is_visible))
        return std::nullopt;
    return "must be 1 to " + std::to_string(max_idempotency_key_bytes) +
           " visible ASCII characters.";
}

} // namespace core::names
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
