#include "simulate.hpp"

#include <roundhouse/testing/simulation/world.hpp>

namespace {

/// A type of its own, so that only the shell over this store has the bug.
class forgotten_store : public roundhouse::memory_store {};

} // namespace

template <>
inline constexpr bool
    roundhouse::detail::forgets_an_engine<roundhouse::testing::faulty_store<forgotten_store>> =
        true;

namespace roundhouse_tests {

roundhouse::testing::sim::run_report
simulate_forgetting_one(const roundhouse::testing::sim::run_options& options) {
    return roundhouse::testing::sim::world<forgotten_store>(options).run();
}

} // namespace roundhouse_tests
