#include "../../catch.hpp"

#include <roundhouse/core/backoff.hpp>

#include <chrono>

using namespace roundhouse;
using namespace std::chrono_literals;

TEST_CASE("an engine that comes up is probed close together, then a tenth of the wait apart") {
    core::probe_pauses pauses(5ms, 250ms);
    duration waited{};
    for (int i = 0; i < 10; ++i) {
        CHECK(pauses.next() == 5ms);
        waited += 5ms;
    }
    while (waited < 10s) {
        const auto pause = pauses.next();
        CHECK(pause == std::min<duration>(std::max<duration>(5ms, waited / 10), 250ms));
        waited += pause;
    }
    CHECK(pauses.next() == 250ms);
}

TEST_CASE("pauses between probes keep to the last one, also where the first is longer") {
    core::probe_pauses pauses(300ms, 250ms);
    CHECK(pauses.next() == 250ms);
}
