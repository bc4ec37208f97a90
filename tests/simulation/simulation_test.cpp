#include "../catch.hpp"
#include "simulate.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

using namespace roundhouse_tests;
using namespace roundhouse::testing;

TEST_CASE("a simulation that is run again takes the same course") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const sim_plan plan{.seed = seed, .whole_trace = true};
        CHECK(simulate(plan).trace == simulate(plan).trace);
    }
}

TEST_CASE("simulations of different seeds take different courses") {
    CHECK(simulate({.seed = 1, .whole_trace = true}).trace !=
          simulate({.seed = 2, .whole_trace = true}).trace);
}

TEST_CASE("a process that dies at any of its interactions is followed by one that puts all right") {
    sweep all;
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
        sim_plan plan{.seed = seed, .actions = 60};
        // Until it ends without having come to the point.
        for (std::uint64_t point = 0;; ++point) {
            plan.crash_at = {point};
            if (all.run(plan).interactions * 2 <= point) break;
        }
    }
    CHECK(all.broken == "");
    CHECK(all.runs > 1'000);
}

TEST_CASE("every kind of fault fires in two hundred seeds") {
    sweep all;
    for (std::uint64_t seed = 3'000; seed < 3'200; ++seed) all.run({.seed = seed});
    INFO(all.summary());
    CHECK(all.broken == "");
    CHECK(std::all_of(all.fired.of.begin(), all.fired.of.end(),
                      [](auto fired) { return fired > 0; }));
}

TEST_CASE("a shell that asks the backend before it has committed is found out") {
    bool found = false;
    for (std::uint64_t seed = 0; seed < 200 && !found; ++seed)
        found = simulate_submitting_first({.seed = seed}).broken.has_value();
    CHECK(found);
}
