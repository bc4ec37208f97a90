#pragma once

#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/detail/siphash.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// Hashes engine owners. The secret is drawn with the store. Hashes may be equal all the same: then
/// the records tell whose they are.
struct owner_hash_key {
    static constexpr std::uint8_t most_bits = 64;

    siphash_key secret{};
    /// How many bits of the hash are used, from 1: all, but for tests in which hashes are to be equal.
    std::uint8_t bits = most_bits;

    [[nodiscard]] std::uint64_t hash(const uuid& product, std::string_view user) const {
        const auto hash = hash_of_owner(secret, product, user);
        return bits == most_bits ? hash : hash & ((std::uint64_t{1} << bits) - 1);
    }
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
