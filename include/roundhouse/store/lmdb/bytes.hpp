#pragma once

#include <roundhouse/types.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

/// The bytes of keys, and the checksum of records. Numbers in keys are big-endian, so that keys sort
/// as their values do.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

template <std::unsigned_integral Number> void store_big_endian(Number value, char* to) noexcept {
    for (std::size_t i = 0; i < sizeof value; ++i)
        to[i] = static_cast<char>(value >> (8 * (sizeof value - 1 - i)));
}

template <std::unsigned_integral Number>
[[nodiscard]] Number load_big_endian(const char* from) noexcept {
    Number value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i)
        value = static_cast<Number>((value << 8U) | static_cast<std::uint8_t>(from[i]));
    return value;
}

/// A 64-bit checksum that changes with any change within eight bytes. Protects against damage, not
/// against an attacker.
[[nodiscard]] inline std::uint64_t checksum(std::string_view bytes) noexcept {
    constexpr std::uint64_t odd = 0x9E3779B97F4A7C15ULL;
    std::uint64_t sum = (bytes.size() + 1) * odd;
    const auto add = [&](std::uint64_t word) {
        sum = (sum ^ word) * odd; // invertible, so that no change is lost
        sum ^= sum >> 32U;
    };
    for (; bytes.size() >= sizeof sum; bytes.remove_prefix(sizeof sum)) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data(), sizeof word);
        add(word);
    }
    std::uint64_t rest = 0;
    std::memcpy(&rest, bytes.data(), bytes.size());
    add(rest);
    return sum;
}

/// LMDB's limit on the size of a key, in bytes.
inline constexpr std::size_t max_key_bytes = 511;

/// Builds a key, without allocating.
class key_bytes {
public:
    key_bytes& text(std::string_view bytes) noexcept {
        assert(size_ + bytes.size() <= max_key_bytes);
        std::memcpy(bytes_.data() + size_, bytes.data(), bytes.size());
        size_ += bytes.size();
        return *this;
    }

    template <std::size_t N> key_bytes& raw(const std::array<std::uint8_t, N>& bytes) noexcept {
        return text({reinterpret_cast<const char*>(bytes.data()), N});
    }

    key_bytes& id(const uuid& id) noexcept { return raw(id.bytes); }

    template <std::unsigned_integral Number> key_bytes& number(Number value) noexcept {
        std::array<char, sizeof value> bytes{};
        store_big_endian(value, bytes.data());
        return text({bytes.data(), bytes.size()});
    }

    [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }

private:
    std::array<char, max_key_bytes> bytes_;
    std::size_t size_ = 0;
};

/// A number as LMDB compares it in databases of numbers (MDB_INTEGERKEY, MDB_INTEGERDUP): eight
/// bytes in the machine's order.
class number_bytes {
public:
    explicit number_bytes(std::uint64_t number) noexcept : number_(number) {}

    [[nodiscard]] std::string_view view() const noexcept {
        return {reinterpret_cast<const char*>(&number_), sizeof number_};
    }
    [[nodiscard]] static std::uint64_t read(std::string_view bytes) noexcept {
        std::uint64_t number = 0;
        std::memcpy(&number, bytes.data(), std::min(bytes.size(), sizeof number));
        return number;
    }

private:
    std::uint64_t number_;
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
