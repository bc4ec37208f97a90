#pragma once

#include <roundhouse/detail/siphash.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// An `engine_owner` for look-ups, which does not copy the user id.
struct engine_owner_view {
    const uuid& product_id;
    std::string_view user_id;
};

/// Users of a product choose their ids, and must not be able to choose their hashes: with equal ones
/// they could make look-ups slow.
[[nodiscard]] inline std::uint64_t hash_of_owner(const siphash_key& secret, const uuid& product,
                                                 std::string_view user) noexcept {
    // The product's bytes, which it does not choose, make a secret of its own.
    siphash_key own{};
    std::memcpy(own.data(), product.bytes.data(), sizeof own);
    return siphash({secret[0] ^ own[0], secret[1] ^ own[1]}, user);
}

[[nodiscard]] inline siphash_key draw_siphash_key() {
    std::random_device draw;
    siphash_key key{};
    for (auto& word : key) word = std::uint64_t{draw()} << 32U | draw();
    return key;
}

/// Hashes owners for tables in memory. The secret is another in each process, so nothing that tests
/// or users see may depend on the order of such a table.
struct engine_owner_hash {
    using is_transparent = void;

    static inline const siphash_key secret = draw_siphash_key();

    static std::size_t mix(const uuid& product_id, std::string_view user_id) noexcept {
        static_assert(sizeof(std::size_t) == sizeof(std::uint64_t));
        return hash_of_owner(secret, product_id, user_id);
    }
    std::size_t operator()(const engine_owner& owner) const noexcept {
        return mix(owner.product_id, owner.user_id);
    }
    std::size_t operator()(const engine_owner_view& owner) const noexcept {
        return mix(owner.product_id, owner.user_id);
    }
};

struct engine_owner_equal {
    using is_transparent = void;

    bool operator()(const auto& a, const auto& b) const noexcept {
        return a.product_id == b.product_id &&
               std::string_view(a.user_id) == std::string_view(b.user_id);
    }
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
