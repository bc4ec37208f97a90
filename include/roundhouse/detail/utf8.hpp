#pragma once

#include <roundhouse/version.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Returns the length in bytes of the well-formed UTF-8 sequence at the start of a non-empty text,
/// or 0 if the text does not start with one (Unicode 15, table 3-7).
constexpr std::size_t utf8_sequence(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const auto within = [&](std::size_t i, std::uint8_t least, std::uint8_t most) {
        return i < text.size() && byte(i) >= least && byte(i) <= most;
    };
    const std::uint8_t lead = byte(0);
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return within(1, 0x80, 0xBF) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        const std::uint8_t least = lead == 0xE0 ? 0xA0 : 0x80; // below: overlong
        const std::uint8_t most = lead == 0xED ? 0x9F : 0xBF;  // above: surrogates
        return within(1, least, most) && within(2, 0x80, 0xBF) ? 3 : 0;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        const std::uint8_t least = lead == 0xF0 ? 0x90 : 0x80; // below: overlong
        const std::uint8_t most = lead == 0xF4 ? 0x8F : 0xBF;  // above: beyond U+10FFFF
        return within(1, least, most) && within(2, 0x80, 0xBF) && within(3, 0x80, 0xBF) ? 4 : 0;
    }
    return 0;
}

/// Returns whether a text is well-formed UTF-8.
constexpr bool is_utf8(std::string_view text) noexcept {
    while (!text.empty()) {
        const auto sequence = utf8_sequence(text);
        if (sequence == 0) return false;
        text.remove_prefix(sequence);
    }
    return true;
}

/// Returns the code point of one well-formed UTF-8 sequence; U+FFFD for an empty text.
constexpr char32_t utf8_code_point(std::string_view sequence) noexcept {
    if (sequence.empty()) return 0xFFFD;
    const auto lead = static_cast<std::uint8_t>(sequence[0]);
    if (sequence.size() == 1) return lead;
    char32_t code = lead & (0x7FU >> sequence.size());
    for (const char byte : sequence.substr(1))
        code = (code << 6U) | (static_cast<std::uint8_t>(byte) & 0x3FU);
    return code;
}

/// Returns the number of bytes at the end of a text that may be the beginning of a UTF-8 sequence.
constexpr std::size_t utf8_unfinished(std::string_view text) noexcept {
    constexpr std::size_t longest = 4;
    for (std::size_t count = 1; count < longest && count <= text.size(); ++count) {
        const auto lead = static_cast<std::uint8_t>(text[text.size() - count]);
        if ((lead & 0xC0U) == 0x80U) continue; // inside of a sequence
        const std::size_t size = lead >= 0xF0U ? 4 : lead >= 0xE0U ? 3 : lead >= 0xC0U ? 2 : 1;
        return size > count ? count : 0;
    }
    return 0;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
