#pragma once

#include <roundhouse/version.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace crypto {

/// Whether base64url text is padded with `=` to a multiple of four characters.
enum class padding : std::uint8_t { none, required };

namespace detail {

inline constexpr std::string_view base64url_alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

inline constexpr std::uint8_t not_base64url = 0xFF;

inline constexpr auto base64url_values = [] {
    std::array<std::uint8_t, 256> values{};
    values.fill(not_base64url);
    for (std::size_t i = 0; i < base64url_alphabet.size(); ++i)
        values[static_cast<std::uint8_t>(base64url_alphabet[i])] = static_cast<std::uint8_t>(i);
    return values;
}();

} // namespace detail

/// The number of characters of the base64url text of bytes, without padding.
[[nodiscard]] constexpr std::size_t base64url_size(std::size_t bytes) noexcept {
    return (bytes * 4 + 2) / 3;
}

/// Writes the base64url text of bytes (RFC 4648 §5), without padding, to where there is room for it.
inline void base64url_write(char* to, std::span<const std::uint8_t> bytes) {
    const auto put = [&to](std::uint32_t bits) {
        *to++ = detail::base64url_alphabet[bits & 0x3FU];
    };
    for (; bytes.size() >= 3; bytes = bytes.subspan(3)) {
        const auto bits = std::uint32_t{bytes[0]} << 16U | std::uint32_t{bytes[1]} << 8U | bytes[2];
        put(bits >> 18U);
        put(bits >> 12U);
        put(bits >> 6U);
        put(bits);
    }
    if (bytes.empty()) return;
    const auto second = bytes.size() == 2 ? std::uint32_t{bytes[1]} : 0U;
    const auto bits = std::uint32_t{bytes[0]} << 16U | second << 8U;
    put(bits >> 18U);
    put(bits >> 12U);
    if (bytes.size() == 2) put(bits >> 6U);
}

/// Appends the base64url text of bytes.
inline void base64url_append(std::string& text, std::span<const std::uint8_t> bytes, padding pad) {
    const auto start = text.size();
    text.resize(start + base64url_size(bytes.size()));
    base64url_write(text.data() + start, bytes);
    if (pad == padding::required && bytes.size() % 3 != 0) text.append(3 - bytes.size() % 3, '=');
}

/// The base64url text of bytes.
[[nodiscard]] inline std::string base64url_encode(std::span<const std::uint8_t> bytes,
                                                  padding pad) {
    std::string text;
    base64url_append(text, bytes, pad);
    return text;
}

/// Decodes base64url text. Empty if the text is not exactly what `base64url_encode` writes:
/// characters of the other alphabet, white space, wrong padding and excess bits after the last byte
/// are refused, so that bytes have one text only.
[[nodiscard]] inline std::optional<std::vector<std::uint8_t>>
base64url_decode(std::string_view text, padding pad) {
    if (pad == padding::required) {
        if (text.size() % 4 != 0) return std::nullopt;
        if (text.ends_with("==")) text.remove_suffix(2);
        else if (text.ends_with('=')) text.remove_suffix(1);
    }
    if (text.size() % 4 == 1) return std::nullopt;

    std::vector<std::uint8_t> bytes(text.size() * 3 / 4);
    std::size_t at = 0;
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (const char c : text) {
        const auto value = detail::base64url_values[static_cast<std::uint8_t>(c)];
        if (value == detail::not_base64url) return std::nullopt;
        bits = (bits << 6U) | value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[at++] = static_cast<std::uint8_t>((bits >> held) & 0xFFU);
        }
    }
    const std::uint32_t excess = bits & ((1U << held) - 1U);
    if (excess != 0) return std::nullopt;
    return bytes;
}

} // namespace crypto
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
