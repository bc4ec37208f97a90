#pragma once

#include <roundhouse/types.hpp>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// One moment by both clocks. What a record says in wall time is measured from the moment at which it
/// was decided, so that a wall clock that is set meanwhile does not count.
struct moment {
    instant wall{};
    duration steady{};

    /// The same time of the wall clock by the steady clock.
    [[nodiscard]] duration steady_at(instant at) const noexcept { return steady + (at - wall); }
    /// The same of a time that has been. One that seems to come was noted by a wall clock that was
    /// ahead, and counts as this moment.
    [[nodiscard]] duration past_steady_at(instant at) const noexcept {
        return at > wall ? steady : steady_at(at);
    }
};

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
