#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/testing/simulation/backend_observer.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// What a boot, or an upgrade before it begins, waits for in a queue that all products share (SPEC §5).
enum class turn : std::uint8_t { none, prepare, prepare_upgrade, boot };

/// The turn that may be held while the backend carries out this operation.
[[nodiscard]] inline turn turn_during(backend_operation operation) noexcept {
    switch (operation) {
    case backend_operation::prepare: return turn::prepare;
    case backend_operation::prepare_upgrade: return turn::prepare_upgrade;
    case backend_operation::stop:
    case backend_operation::create: return turn::boot;
    default: return turn::none;
    }
}

/// The turn that is held by what has begun this operation, by the engine's row. A stop
/// belongs to a boot only if that ends a workload which serves (`core::ends_a_workload_first`).
[[nodiscard]] inline turn turn_of(backend_operation operation, const engine_ptr& row) noexcept {
    const bool ends_one = row && row->intent == intent::boot &&
                          core::ends_a_workload_first(row->boot);
    return operation == backend_operation::stop && !ends_one ? turn::none : turn_during(operation);
}

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
