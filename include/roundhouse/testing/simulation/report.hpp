#pragma once

#include <roundhouse/testing/simulation/faults.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim {

/// The result of one run.
struct run_report {
    std::optional<std::string> broken; ///< The first rule that was broken, and by what.
    std::string trace;                 ///< All of it if the options ask for that, else its end.
    std::uint64_t interactions = 0;    ///< Commits and backend calls.
    std::uint64_t calls = 0;           ///< Calls of users.
    duration took{};                   ///< In virtual time.
    fault_counts fired;
};

} // namespace testing::sim
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
