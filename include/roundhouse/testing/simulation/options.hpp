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

    bool disk_fills_midway = false; ///< Inject `fault::store_full_midway`.
    bool clock_is_set = false;      ///< Inject `fault::clock_set`.
    bool bound_latencies = false;   ///< Check that calls are answered in time.
};

} // namespace testing::sim
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
