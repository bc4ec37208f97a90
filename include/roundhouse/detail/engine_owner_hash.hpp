#pragma once

#include <roundhouse/engine_owner.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <functional>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// An `engine_owner` for look-ups, which does not copy the user id.
struct engine_owner_view {
    const uuid& product_id;
    std::string_view user_id;
};

struct engine_owner_hash {
    using is_transparent = void;

    static std::size_t mix(const uuid& product_id, std::string_view user_id) noexcept {
        return std::hash<uuid>{}(product_id) ^
               (std::hash<std::string_view>{}(user_id)*0x9E3779B97F4A7C15ULL);
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
