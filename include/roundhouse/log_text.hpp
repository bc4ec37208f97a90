#pragma once

#include <roundhouse/detail/utf8.hpp>
#include <roundhouse/log.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

/// How log lines are written, so that no value in one can end it, begin another or hide a part of it.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Whether a character is not shown as itself, and changes how others are shown: a control character
/// (C0, DEL, C1), a line or paragraph separator, or a control of the writing direction.
constexpr bool is_unprintable(char32_t c) noexcept {
    const auto within = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
    return c < 0x20 || within(0x7F, 0x9F) || c == 0x061C || within(0x200E, 0x200F) ||
           within(0x2028, 0x202E) || within(0x2066, 0x2069);
}

/// Appends an escape that JSON has too.
inline void append_log_escape(std::string& out, char32_t c) {
    constexpr char digits[] = "0123456789abcdef";
    switch (c) {
    case U'"': out += "\\\""; return;
    case U'\\': out += "\\\\"; return;
    case U'\n': out += "\\n"; return;
    case U'\r': out += "\\r"; return;
    case U'\t': out += "\\t"; return;
    default: break;
    }
    out += "\\u";
    for (const unsigned shift : {12U, 8U, 4U, 0U}) out += digits[(c >> shift) & 0xFU];
}

/// Appends text with escapes for the characters of `is_unprintable`, and U+FFFD for each byte that is
/// not well-formed UTF-8. Quotes and backslashes are escaped if the text is between quotes.
inline void append_log_text(std::string& out, std::string_view text, bool quoted) {
    while (!text.empty()) {
        const auto length = utf8_sequence(text);
        const auto c = utf8_code_point(text.substr(0, length));
        if (length == 0) out += "\xEF\xBF\xBD";
        else if (is_unprintable(c) || (quoted && (c == U'"' || c == U'\\')))
            append_log_escape(out, c);
        else out.append(text.substr(0, length));
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
}

} // namespace detail

/// Appends the value of a field: a number in decimal digits, a text between quotes and with escapes,
/// so that it is a JSON string too.
inline void append_log_value(std::string& out, const log_field& field) {
    if (const auto* const number = std::get_if<std::int64_t>(&field.value)) {
        out += std::to_string(*number);
        return;
    }
    out += '"';
    detail::append_log_text(out, std::get<std::string_view>(field.value), true);
    out += '"';
}

/// Returns a line for people: `message name="text" name=number`. It has no line break, and needs no
/// further escapes.
[[nodiscard]] inline std::string to_text(const log_line& line) {
    std::string out;
    detail::append_log_text(out, line.message, false);
    for (const auto& field : line.fields) {
        out.append(" ").append(field.name).append("=");
        append_log_value(out, field);
    }
    return out;
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
