#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/testing/simulation/backend_observer.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// What a boot waits for in a queue that all products share (SPEC §5).
enum class turn : std::uint8_t { none, prepare, boot };

/// The turn that a boot may hold while the backend carries out this operation for it.
[[nodiscard]] inline turn turn_during(backend_operation operation) noexcept {
    switch (operation) {
    case backend_operation::prepare: return turn::prepare;
    case backend_operation::stop:
    case backend_operation::create: return turn::boot;
    default: return turn::none;
    }
}

/// The turn that is held by the boot which has begun this operation, by the engine's row. A stop
/// belongs to a boot only if a rotation ends the workload that has the old key.
[[nodiscard]] inline turn turn_of(backend_operation operation, const engine_ptr& row) noexcept {
    const bool rotates = row && row->intent == intent::boot && row->boot == boot_reason::rotate;
    return operation == backend_operation::stop && !rotates ? turn::none : turn_during(operation);
}

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
