#pragma once

#include <roundhouse/types.hpp>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace roundhouse::inline ROUNDHOUSE_ABI::detail {

/// Names an engine before it has an id: one user of one product.
struct engine_key {
    uuid product;
    std::string user;

    friend auto operator<=>(const engine_key&, const engine_key&) = default;
};

/// The same without a copy, for look-ups.
struct engine_key_view {
    const uuid& product;
    std::string_view user;
};

struct engine_key_hash {
    using is_transparent = void;

    static std::size_t mix(const uuid& product, std::string_view user) noexcept {
        return std::hash<uuid>{}(product) ^
               (std::hash<std::string_view>{}(user)*0x9E3779B97F4A7C15ULL);
    }
    std::size_t operator()(const engine_key& key) const noexcept {
        return mix(key.product, key.user);
    }
    std::size_t operator()(const engine_key_view& key) const noexcept {
        return mix(key.product, key.user);
    }
};

struct engine_key_equal {
    using is_transparent = void;

    bool operator()(const auto& a, const auto& b) const noexcept {
        return a.product == b.product && std::string_view(a.user) == std::string_view(b.user);
    }
};

} // namespace roundhouse::inline ROUNDHOUSE_ABI::detail
