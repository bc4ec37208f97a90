#pragma once

#include <roundhouse/version.hpp>

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The secret of a `siphash`.
using siphash_key = std::array<std::uint64_t, 2>;

/// Reads a number where it lies.
template <std::unsigned_integral Number>
[[nodiscard]] std::uint64_t load_word(const char* from) noexcept {
    static_assert(std::endian::native == std::endian::little, "words are read as they are stored");
    Number value = 0;
    std::memcpy(&value, from, sizeof value);
    return value;
}

/// The bytes behind the last whole word, as a number. A copy of so many bytes into a word would do
/// too, but the processor reads such a word only once the copy is in its cache, and fetches nothing
/// ahead meanwhile: look-ups in a large table then take twice as long.
[[nodiscard]] inline std::uint64_t last_bytes(std::string_view bytes) noexcept {
    const auto count = bytes.size() % sizeof(std::uint64_t);
    if (count == 0) return 0;
    const auto* const end = bytes.data() + bytes.size();
    if (bytes.size() > sizeof(std::uint64_t))
        return load_word<std::uint64_t>(end - sizeof(std::uint64_t)) >> (64 - 8 * count);
    const auto* const begin = bytes.data();
    if (count >= sizeof(std::uint32_t))
        return load_word<std::uint32_t>(begin) |
               load_word<std::uint32_t>(end - sizeof(std::uint32_t)) << (8 * count - 32);
    return load_word<std::uint8_t>(begin) |
           load_word<std::uint8_t>(begin + count / 2) << (8 * (count / 2)) |
           load_word<std::uint8_t>(end - 1) << (8 * (count - 1));
}

/// SipHash-1-3 of bytes (https://www.aumasson.jp/siphash/siphash.pdf): a hash for tables whose keys
/// others choose. Without the secret nobody can find keys whose hashes are equal. The paper's 2-4
/// also withstands those who see the hashes, which nobody does here, and takes half as long again.
[[nodiscard]] inline std::uint64_t siphash(const siphash_key& secret,
                                           std::string_view bytes) noexcept {
    std::uint64_t v0 = secret[0] ^ 0x736f6d6570736575ULL;
    std::uint64_t v1 = secret[1] ^ 0x646f72616e646f6dULL;
    std::uint64_t v2 = secret[0] ^ 0x6c7967656e657261ULL;
    std::uint64_t v3 = secret[1] ^ 0x7465646279746573ULL;
    const auto rounds = [&](int count) {
        for (; count > 0; --count) {
            v0 += v1;
            v1 = std::rotl(v1, 13) ^ v0;
            v0 = std::rotl(v0, 32);
            v2 += v3;
            v3 = std::rotl(v3, 16) ^ v2;
            v0 += v3;
            v3 = std::rotl(v3, 21) ^ v0;
            v2 += v1;
            v1 = std::rotl(v1, 17) ^ v2;
            v2 = std::rotl(v2, 32);
        }
    };
    const auto add = [&](std::uint64_t word) {
        v3 ^= word;
        rounds(1);
        v0 ^= word;
    };
    for (auto rest = bytes; rest.size() >= sizeof(std::uint64_t);
         rest.remove_prefix(sizeof(std::uint64_t)))
        add(load_word<std::uint64_t>(rest.data()));
    add(std::uint64_t{bytes.size()} << 56U | last_bytes(bytes));
    v2 ^= 0xFFU;
    rounds(3);
    return v0 ^ v1 ^ v2 ^ v3;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
