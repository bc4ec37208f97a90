#pragma once

#include <roundhouse/detail/utf8.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Writes JSON into the string that is sent.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace json {

namespace detail {

inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD"; ///< U+FFFD

/// The bytes that need no escape in a JSON string.
inline constexpr auto plain_bytes = [] {
    std::array<bool, 256> plain{};
    for (std::size_t byte = 0x20; byte < 0x7F; ++byte) plain[byte] = byte != '"' && byte != '\\';
    return plain;
}();

constexpr bool is_plain(char c) noexcept { return plain_bytes[static_cast<std::uint8_t>(c)]; }

inline void append_escaped_ascii(std::string& out, char c) {
    static constexpr char digits[] = "0123456789abcdef";
    switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
    }
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte >= 0x20 && byte < 0x7F) {
        out += c;
        return;
    }
    out += "\\u00";
    out += digits[byte >> 4U];
    out += digits[byte & 0xFU];
}

/// Writes a number with `width` decimal digits, and returns the position after them.
constexpr char* put_digits(char* to, std::uint64_t value, int width) noexcept {
    for (int i = width - 1; i >= 0; --i) {
        to[i] = static_cast<char>('0' + value % 10);
        value /= 10;
    }
    return to + width;
}

} // namespace detail

/// Appends text as a JSON string. Each byte that is not well-formed UTF-8 becomes U+FFFD.
inline void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    while (!text.empty()) {
        const auto special = std::ranges::find_if_not(text, detail::is_plain);
        const auto plain = static_cast<std::size_t>(special - text.begin());
        out.append(text.substr(0, plain));
        text.remove_prefix(plain);
        if (text.empty()) break;
        const auto sequence = roundhouse::detail::utf8_sequence(text);
        if (sequence == 0) out += detail::replacement_character;
        else if (sequence == 1) detail::append_escaped_ascii(out, text.front());
        else out.append(text.substr(0, sequence));
        text.remove_prefix(std::max<std::size_t>(sequence, 1));
    }
    out += '"';
}

/// The text with each byte that is not well-formed UTF-8 replaced by U+FFFD.
[[nodiscard]] inline std::string as_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const auto sequence = roundhouse::detail::utf8_sequence(text);
        if (sequence == 0) out += detail::replacement_character;
        else out.append(text.substr(0, sequence));
        text.remove_prefix(std::max<std::size_t>(sequence, 1));
    }
    return out;
}

/// Appends the 8-4-4-4-12 text of a UUID.
inline void append_uuid(std::string& out, const uuid& id) {
    static constexpr char digits[] = "0123456789abcdef";
    std::array<char, 36> text{};
    std::size_t at = 0;
    for (std::size_t i = 0; i < id.bytes.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text[at++] = '-';
        text[at++] = digits[id.bytes[i] >> 4U];
        text[at++] = digits[id.bytes[i] & 0xFU];
    }
    out.append(text.data(), text.size());
}

/// Appends a time as `YYYY-MM-DDTHH:MM:SS.mmmZ`. Times outside the years 0 to 9999 are clamped.
inline void append_time(std::string& out, instant time) {
    using namespace std::chrono;
    static constexpr instant first = sys_days{year{0} / 1 / 1};
    static constexpr instant last = sys_days{year{9999} / 12 / 31} + days{1} - milliseconds{1};
    time = std::clamp(time, first, last);
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const hh_mm_ss clock{time - day};
    std::array<char, 24> text{};
    char* to = text.data();
    const auto put = [&](auto value, int width, char after) {
        to = detail::put_digits(to, static_cast<std::uint64_t>(value), width);
        *to++ = after;
    };
    put(static_cast<int>(date.year()), 4, '-');
    put(static_cast<unsigned>(date.month()), 2, '-');
    put(static_cast<unsigned>(date.day()), 2, 'T');
    put(clock.hours().count(), 2, ':');
    put(clock.minutes().count(), 2, ':');
    put(clock.seconds().count(), 2, '.');
    put(clock.subseconds().count(), 3, 'Z');
    out.append(text.data(), text.size());
}

/// Appends one JSON document to a string. Adds the commas; the caller must write braces, brackets
/// and names in a valid order.
///
///     json_writer json(body);
///     json.open('{').member("status", "running").member("url", url).close('}');
class json_writer {
public:
    /// The string must outlive the writer.
    explicit json_writer(std::string& out) noexcept : out_(&out) {}

    /// Opens an object (`{`) or an array (`[`).
    json_writer& open(char bracket) {
        separate();
        *out_ += bracket;
        return *this;
    }

    /// Closes an object (`}`) or an array (`]`).
    json_writer& close(char bracket) {
        *out_ += bracket;
        return *this;
    }

    /// Writes a member's name; its value must follow. The name is not escaped: for names in the
    /// code that need no escape.
    json_writer& name(std::string_view plain) {
        separate();
        *out_ += '"';
        out_->append(plain);
        *out_ += "\":";
        return *this;
    }

    /// Writes a member's name, with escapes where it needs them.
    json_writer& foreign_name(std::string_view text) {
        separate();
        append_json_string(*out_, text);
        *out_ += ':';
        return *this;
    }

    json_writer& value(std::string_view text) {
        separate();
        append_json_string(*out_, text);
        return *this;
    }
    json_writer& value(const char* text) { return value(std::string_view(text)); }
    json_writer& value(const std::string& text) { return value(std::string_view(text)); }

    json_writer& value(std::same_as<bool> auto yes) { return raw(yes ? "true" : "false"); }

    template <std::integral Number>
        requires(!std::same_as<Number, bool>)
    json_writer& value(Number number) {
        return number_text(number);
    }

    /// Infinities and NaN become null, because JSON has neither.
    json_writer& value(double number) {
        if (!std::isfinite(number)) return value(nullptr);
        return number_text(number);
    }

    json_writer& value(std::nullptr_t) { return raw("null"); }

    json_writer& value(const uuid& id) {
        separate();
        *out_ += '"';
        append_uuid(*out_, id);
        *out_ += '"';
        return *this;
    }

    json_writer& value(instant time) {
        separate();
        *out_ += '"';
        append_time(*out_, time);
        *out_ += '"';
        return *this;
    }

    /// Writes the value, or null if it is empty.
    template <class T> json_writer& value(const std::optional<T>& optional) {
        return optional ? value(*optional) : value(nullptr);
    }

    /// Writes a name, as `name` does, and its value.
    template <class T> json_writer& member(std::string_view plain, const T& content) {
        return name(plain).value(content);
    }

private:
    /// Writes a comma if a value precedes. A value ends in a quote, a digit, a letter or a closing
    /// bracket; an opening bracket and a name do not.
    void separate() {
        if (out_->empty()) return;
        const char last = out_->back();
        if (last != '{' && last != '[' && last != ':') *out_ += ',';
    }

    json_writer& raw(std::string_view text) {
        separate();
        out_->append(text);
        return *this;
    }

    template <class Number> json_writer& number_text(Number number) {
        std::array<char, 32> text{};
        const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
        return raw({text.data(), static_cast<std::size_t>(end - text.data())});
    }

    std::string* out_;
};

} // namespace json
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
