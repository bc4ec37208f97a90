#include "simulate.hpp"

#include <roundhouse/testing/simulation/world.hpp>

namespace {

/// A type of its own, so that only the shell over this store has the bug.
class hasty_store : public roundhouse::memory_store {};

} // namespace

template <>
inline constexpr bool
    roundhouse::detail::submits_before_commit<roundhouse::testing::faulty_store<hasty_store>> =
        true;

namespace roundhouse_tests {

roundhouse::testing::sim::run_report
simulate_submitting_first(const roundhouse::testing::sim::run_options& options) {
    return roundhouse::testing::sim::world<hasty_store>(options).run();
}

} // namespace roundhouse_tests
