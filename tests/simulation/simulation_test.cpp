#include "../catch.hpp"
#include "simulate.hpp"

#include <algorithm>
#include <cstdint>
#include <string>

using namespace roundhouse_tests;
using namespace roundhouse::testing;

TEST_CASE("a simulation with the same seed takes the same course") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const sim::run_options options{.seed = seed, .whole_trace = true};
        CHECK(simulate(options).trace == simulate(options).trace);
    }
}

TEST_CASE("simulations with different seeds take different courses") {
    CHECK(simulate({.seed = 1, .whole_trace = true}).trace !=
          simulate({.seed = 2, .whole_trace = true}).trace);
}

TEST_CASE("after a crash at any interaction the next process brings the fleet "
          "to rest") {
    sweep all;
    for (std::uint64_t seed = 0; seed < 16; ++seed) {
        sim::run_options options{.seed = seed, .actions = 60};
        // Until a run ends before it reaches the crash point.
        for (std::uint64_t point = 0;; ++point) {
            options.crash_at = {point};
            if (all.run(options).interactions * 2 <= point) break;
        }
    }
    CHECK(all.broken == "");
    CHECK(all.runs > 1'000);
}

TEST_CASE("every kind of fault fires within two hundred seeds") {
    sweep all;
    for (std::uint64_t seed = 3'000; seed < 3'200; ++seed) all.run({.seed = seed});
    INFO(all.summary());
    CHECK(all.broken == "");
    CHECK(std::ranges::all_of(all.fired.of, [](auto count) { return count > 0; }));
}

TEST_CASE("a shell that asks the backend before it commits breaks a rule") {
    bool found = false;
    for (std::uint64_t seed = 0; seed < 200 && !found; ++seed)
        found = simulate_submitting_first({.seed = seed}).broken.has_value();
    CHECK(found);
}

TEST_CASE("a deletion of a product that forgets an engine breaks a rule") {
    bool found = false;
    for (std::uint64_t seed = 0; seed < 200 && !found; ++seed)
        found = simulate_forgetting_one({.seed = seed}).broken.has_value();
    CHECK(found);
}

TEST_CASE("an orchestrator that forgets the old version of an upgrade breaks a rule") {
    bool found = false;
    for (std::uint64_t seed = 0; seed < 200 && !found; ++seed)
        found = simulate_forgetting_old_version({.seed = seed}).broken.has_value();
    CHECK(found);
}
