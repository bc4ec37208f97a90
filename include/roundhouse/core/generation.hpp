#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <cstdint>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// What the `create` of a backend does about the workload that it finds of the engine.
enum class create_plan : std::uint8_t {
    make,    ///< None is alive: clear away remains, and make the requested workload.
    replace, ///< End the present workload first, then make the requested one.
    keep,    ///< The present workload is the requested one, and up: there is nothing to do.
};

/// Plans a `create` by the generation and the state of the present workload, which is `down` where
/// there is none. Fails with `backend_error` if a newer generation is alive: then the store is
/// older than the fleet.
[[nodiscard]] inline result<create_plan> plan_create(const workload_ref& requested,
                                                     std::uint64_t present_generation,
                                                     workload_state present_state) {
    if (present_state == workload_state::down) return create_plan::make;
    if (present_generation > requested.generation)
        return fail(errc::backend_error, "engine " + to_string(requested.engine_id) +
                                             " runs in a newer generation (" +
                                             std::to_string(present_generation) + " over " +
                                             std::to_string(requested.generation) +
                                             "): the store seems to be a restored backup");
    const bool requested_is_up = present_generation == requested.generation &&
                                 present_state == workload_state::up;
    return requested_is_up ? create_plan::keep : create_plan::replace;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
