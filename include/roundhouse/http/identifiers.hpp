#pragma once

#include <roundhouse/detail/json_writer.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/http/request.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

/// What callers may name things. A check gives nothing if the text is fine, else why it is not.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

inline constexpr std::size_t max_user_id_bytes = 256;
inline constexpr std::size_t max_slug_bytes = 64;
inline constexpr std::size_t max_display_name_bytes = 256;
inline constexpr std::size_t max_version_bytes = 512;

namespace detail {

enum class text_fault : std::uint8_t { none, not_utf8, control_character };

/// Looks for what is no UTF-8, and for control characters: C0, DEL, and C1 (U+0080 to U+009F).
constexpr text_fault find_fault(std::string_view text) noexcept {
    while (!text.empty()) {
        const auto sequence = json::detail::utf8_sequence(text);
        if (sequence == 0) return text_fault::not_utf8;
        const auto first = static_cast<std::uint8_t>(text[0]);
        if (sequence == 1 && (first < 0x20 || first == 0x7F)) return text_fault::control_character;
        if (sequence == 2 && first == 0xC2 && static_cast<std::uint8_t>(text[1]) < 0xA0)
            return text_fault::control_character;
        text.remove_prefix(sequence);
    }
    return text_fault::none;
}

/// The rule that all names share: so many bytes of UTF-8 without control characters.
inline std::optional<std::string> check_text(std::string_view text, std::size_t most) {
    if (text.empty() || text.size() > most)
        return "must have 1 to " + std::to_string(most) + " bytes, and has " +
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

/// A user_id (SPEC §1).
[[nodiscard]] inline std::optional<std::string> check_user_id(std::string_view text) {
    if (text == "." || text == "..")
        return "must not be . or .., because proxies rewrite such paths.";
    return detail::check_text(text, max_user_id_bytes);
}

/// A product's slug. One that reads as a UUID is refused, because a policy is set by slug or by
/// product_id.
[[nodiscard]] inline std::optional<std::string> check_slug(std::string_view text) {
    if (text.empty() || text.size() > max_slug_bytes ||
        !std::ranges::all_of(text, detail::is_slug_character))
        return "must be 1 to " + std::to_string(max_slug_bytes) + " characters of a-z, 0-9 and -.";
    if (parse_uuid(text)) return "must not have the form of a product_id.";
    return std::nullopt;
}

[[nodiscard]] inline std::optional<std::string> check_display_name(std::string_view text) {
    return detail::check_text(text, max_display_name_bytes);
}

[[nodiscard]] inline std::optional<std::string> check_version(std::string_view text) {
    return detail::check_text(text, max_version_bytes);
}

/// An entry of a policy's `allowed_versions`: a version, or the beginning of versions and a `*`. A
/// `*` elsewhere would match itself only, which nobody means.
[[nodiscard]] inline std::optional<std::string> check_version_pattern(std::string_view text) {
    const auto star = text.find('*');
    if (star != std::string_view::npos && star + 1 != text.size())
        return "may hold a * at its end only.";
    return check_version(text);
}

/// The user_id of a path's segment: decoded into `storage` where it is encoded, else the segment
/// itself. Lives as long as both.
[[nodiscard]] inline result<std::string_view> user_id_of(std::string_view segment,
                                                         std::string& storage) {
    std::string_view text = segment;
    if (segment.find('%') != std::string_view::npos) {
        storage.clear();
        if (!percent_decode(segment, plus_sign::itself, storage))
            return fail(errc::invalid_request, "user_id: a % in a path must be followed by two "
                                               "hexadecimal digits. Write %25 for a % itself.");
        text = storage;
    }
    if (const auto fault = check_user_id(text))
        return fail(errc::invalid_request, "user_id: " + *fault);
    return text;
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
