#include "../../catch.hpp"

#include <roundhouse/core/backoff.hpp>

#include <algorithm>
#include <chrono>

using namespace roundhouse;
using namespace std::chrono_literals;

TEST_CASE("the pauses between probes start short and grow to a tenth of the time waited") {
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

TEST_CASE("no pause between probes exceeds the longest, even if the first would") {
    core::probe_pauses pauses(300ms, 250ms);
    CHECK(pauses.next() == 250ms);
}
