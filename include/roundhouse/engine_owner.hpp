#pragma once

#include <roundhouse/types.hpp>

#include <compare>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// One user of one product. An owner has at most one engine, so this also names an engine that has
/// no id yet.
struct engine_owner {
    uuid product_id;
    std::string user_id;

    friend auto operator<=>(const engine_owner&, const engine_owner&) = default;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
