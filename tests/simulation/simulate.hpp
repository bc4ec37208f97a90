#pragma once

#include <roundhouse/testing/simulation/faults.hpp>
#include <roundhouse/testing/simulation/report.hpp>
#include <roundhouse/testing/simulation/scene.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace roundhouse_tests {

/// Runs a plan over the memory store. Compiled once, and optimised: it is most of what the tests
/// do.
roundhouse::testing::sim_report simulate(const roundhouse::testing::sim_plan& plan);

/// The same with a shell that asks the backend before it has committed: it must be found out.
roundhouse::testing::sim_report
simulate_submitting_first(const roundhouse::testing::sim_plan& plan);

/// The line that runs a plan again.
std::string replay_of(const roundhouse::testing::sim_plan& plan);

/// How a number of seeds went: what broke first, as text that says how to run it again, and what
/// fired.
struct sweep {
    std::string broken; ///< Empty if nothing did.
    std::uint64_t runs = 0;
    std::uint64_t calls = 0;
    roundhouse::duration took{}; ///< In the simulated worlds.
    roundhouse::testing::sim_fault_counts fired;

    /// Runs one plan, unless something is broken already; then the report is empty.
    roundhouse::testing::sim_report run(const roundhouse::testing::sim_plan& plan);
    [[nodiscard]] std::string summary() const;
};

} // namespace roundhouse_tests
