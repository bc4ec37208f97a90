#pragma once

#include <roundhouse/detail/siphash.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// Hashes engine owners. The secret is drawn with the store, because users of a product choose their
/// ids, and must not be able to choose their hashes. Hashes may be equal all the same: then the
/// records tell whose they are.
struct owner_hash_key {
    static constexpr std::uint8_t most_bits = 64;

    siphash_key secret{};
    /// How many bits of the hash are used, from 1: all, but for tests in which hashes are to be equal.
    std::uint8_t bits = most_bits;

    [[nodiscard]] std::uint64_t hash(const uuid& product, std::string_view user) const {
        // The product's bytes, which it does not choose, make a secret of its own.
        siphash_key own{};
        std::memcpy(own.data(), product.bytes.data(), sizeof own);
        const auto hash = siphash({secret[0] ^ own[0], secret[1] ^ own[1]}, user);
        return bits == most_bits ? hash : hash & ((std::uint64_t{1} << bits) - 1);
    }
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
