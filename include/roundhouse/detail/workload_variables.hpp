#pragma once

#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The environment variables that tell an engine who it is, on every backend that gives it an
/// environment (SPEC §6): names and values. No value has a NUL, because no user_id, slug or version
/// has a control character.
[[nodiscard]] inline std::vector<std::pair<std::string, std::string>>
workload_variables(const workload& requested) {
    return {{"ENGINE_ID", to_string(requested.ref.engine_id)},
            {"ENGINE_KEY_HASH", to_hex(requested.key_hash)},
            {"ENGINE_USER_ID", requested.owner.user_id},
            {"ENGINE_PRODUCT", requested.product_slug},
            {"ENGINE_VERSION", requested.version}};
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
