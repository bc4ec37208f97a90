#pragma once

#include <roundhouse/detail/ascii.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

/// Which bytes the parts of an HTTP message may have.
namespace roundhouse::server {

enum class byte_class : std::uint8_t {
    token = 1,  ///< Of methods and field names (RFC 9110 §5.6.2).
    target = 2, ///< Of targets: visible ASCII without `#` (RFC 9112 §3.2).
    value = 4, ///< Of field values: tab, blank, visible ASCII, and bytes above 127 (RFC 9110 §5.5).
    host = 8,  ///< Of the name of a host (RFC 3986 §3.2.2).
};

namespace detail {

constexpr std::array<std::uint8_t, 256> make_byte_classes() {
    std::array<std::uint8_t, 256> out{};
    const auto add = [&](std::string_view bytes, byte_class what) {
        for (const char c : bytes)
            out[static_cast<unsigned char>(c)] |= static_cast<std::uint8_t>(what);
    };
    constexpr std::string_view alphanumeric =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    for (const auto what : {byte_class::token, byte_class::host}) add(alphanumeric, what);
    add("!#$%&'*+-.^_`|~", byte_class::token);
    add("-._~%!$&'()*+,;=", byte_class::host);
    for (unsigned byte = 0x21; byte < 0x7F; ++byte) {
        if (byte != '#') out[byte] |= static_cast<std::uint8_t>(byte_class::target);
        out[byte] |= static_cast<std::uint8_t>(byte_class::value);
    }
    add("\t ", byte_class::value);
    for (unsigned byte = 0x80; byte < 0x100; ++byte)
        out[byte] |= static_cast<std::uint8_t>(byte_class::value);
    return out;
}

inline constexpr auto byte_classes = make_byte_classes();

} // namespace detail

[[nodiscard]] constexpr bool is(byte_class what, char byte) noexcept {
    return (detail::byte_classes[static_cast<unsigned char>(byte)] &
            static_cast<std::uint8_t>(what)) != 0;
}

/// The number of bytes of a class that a text begins with.
[[nodiscard]] constexpr std::size_t count_of(byte_class what, std::string_view text) noexcept {
    std::size_t count = 0;
    while (count < text.size() && is(what, text[count])) ++count;
    return count;
}

[[nodiscard]] constexpr bool all(byte_class what, std::string_view text) noexcept {
    return count_of(what, text) == text.size();
}

[[nodiscard]] constexpr bool is_digit(char byte) noexcept { return byte >= '0' && byte <= '9'; }

using roundhouse::detail::is_blank;
using roundhouse::detail::same_but_case;
using roundhouse::detail::trimmed;

} // namespace roundhouse::server
