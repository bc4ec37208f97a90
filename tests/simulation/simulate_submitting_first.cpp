#include "simulate.hpp"

#include <roundhouse/testing/simulation/world.hpp>

namespace {

/// A store of its own, so that only what is instantiated for it is wrong.
class hasty_store : public roundhouse::memory_store {};

} // namespace

template <>
inline constexpr bool
    roundhouse::detail::submits_before_commit<roundhouse::testing::faulty_store<hasty_store>> =
        true;

namespace roundhouse_tests {

roundhouse::testing::sim_report
simulate_submitting_first(const roundhouse::testing::sim_plan& plan) {
    return roundhouse::testing::sim_world<hasty_store>(plan).run();
}

} // namespace roundhouse_tests
