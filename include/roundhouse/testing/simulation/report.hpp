#pragma once

#include <roundhouse/testing/simulation/faults.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// How a run went.
struct sim_report {
    std::optional<std::string> broken; ///< The first rule that was broken.
    std::string trace;                 ///< Whole if that was asked for, else its last lines.
    std::uint64_t interactions = 0;
    std::uint64_t calls = 0;
    duration took{}; ///< In virtual time.
    sim_fault_counts fired;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
