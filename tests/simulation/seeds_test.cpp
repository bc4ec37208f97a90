#include "../catch.hpp"
#include "simulate.hpp"

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

using namespace roundhouse_tests;

namespace {

constexpr std::uint64_t seeds_per_case = 250;

void check_seeds(std::uint64_t first) {
    sweep all;
    for (auto seed = first; seed < first + seeds_per_case; ++seed) all.run({.seed = seed});
    std::cout << all.summary();
    CHECK(all.broken == "");
}

/// The first of the fresh seeds. ROUNDHOUSE_SIM_SEED may be any text: CI sets it to the hash of the
/// commit, so that each commit is tested with seeds that were never run before.
std::uint64_t fresh_base() {
    const char* const text = std::getenv("ROUNDHOUSE_SIM_SEED");
    // Above all seeds of the other test cases.
    return 1'000'000'000 + std::hash<std::string>{}(text == nullptr ? "" : text) % 1'000'000'000;
}

} // namespace

// Several test cases, so that they can run in parallel.
TEST_CASE("the rules hold in the simulation of seeds 0 to 249") { check_seeds(0); }
TEST_CASE("the rules hold in the simulation of seeds 250 to 499") { check_seeds(250); }
TEST_CASE("the rules hold in the simulation of seeds 500 to 749") { check_seeds(500); }
TEST_CASE("the rules hold in the simulation of seeds 750 to 999") { check_seeds(750); }
TEST_CASE("the rules hold in the simulation of seeds 1000 to 1249") { check_seeds(1000); }
TEST_CASE("the rules hold in the simulation of seeds 1250 to 1499") { check_seeds(1250); }
TEST_CASE("the rules hold in the simulation of seeds 1500 to 1749") { check_seeds(1500); }
TEST_CASE("the rules hold in the simulation of seeds 1750 to 1999") { check_seeds(1750); }
TEST_CASE("the rules hold in the simulation of fresh seeds") { check_seeds(fresh_base()); }
