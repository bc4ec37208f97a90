#pragma once

#include <roundhouse/version.hpp>

#include <cstddef>
#include <cstdint>
#include <set>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim {

/// What to simulate. The same options always make the same run.
struct run_options {
    std::uint64_t seed = 0;
    std::size_t actions = 200; ///< How many actions of users the run has.
    /// Crash points at which the process dies, in addition to those that the seed draws.
    /// Interaction n has two: 2n before its effect, and 2n + 1 after it.
    std::set<std::uint64_t> crash_at = {};
    /// Keep the whole trace instead of its last lines.
    bool whole_trace = false;
};

} // namespace testing::sim
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
