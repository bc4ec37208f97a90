#pragma once

#include <roundhouse/testing/simulation/faults.hpp>
#include <roundhouse/testing/simulation/options.hpp>
#include <roundhouse/testing/simulation/report.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <string>

namespace roundhouse_tests {

/// Runs a simulation over the memory store. Compiled once, and optimised: the tests spend most of
/// their time here.
roundhouse::testing::sim::run_report simulate(const roundhouse::testing::sim::run_options& options);

/// The same with a planted bug: a shell that asks the backend before it has committed.
roundhouse::testing::sim::run_report
simulate_submitting_first(const roundhouse::testing::sim::run_options& options);

/// The same with another: a shell that forgets one of the engines of a product that it deletes.
roundhouse::testing::sim::run_report
simulate_forgetting_one(const roundhouse::testing::sim::run_options& options);

/// The same over a store that forgets which version an upgrade came from.
roundhouse::testing::sim::run_report
simulate_forgetting_old_version(const roundhouse::testing::sim::run_options& options);

/// The command line that repeats a run.
std::string replay_of(const roundhouse::testing::sim::run_options& options);

/// The results of a number of runs.
struct sweep {
    std::string broken; ///< The first failure, and how to repeat it; empty if there is none.
    std::uint64_t runs = 0;
    std::uint64_t calls = 0;
    roundhouse::duration took{}; ///< In virtual time.
    roundhouse::testing::sim::fault_counts fired;

    /// Makes one run, unless an earlier one has failed; then the report is empty.
    roundhouse::testing::sim::run_report run(const roundhouse::testing::sim::run_options& options);
    [[nodiscard]] std::string summary() const;
};

} // namespace roundhouse_tests
