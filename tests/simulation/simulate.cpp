#include "simulate.hpp"

#include <roundhouse/testing/simulation/world.hpp>

using namespace roundhouse::testing;

namespace roundhouse_tests {

sim_report simulate(const sim_plan& plan) { return sim_world<>(plan).run(); }

std::string replay_of(const sim_plan& plan) {
    auto out = "roundhouse-sim --seed " + std::to_string(plan.seed) + " --actions " +
               std::to_string(plan.actions);
    for (const auto point : plan.crash_at) out += " --crash-at " + std::to_string(point);
    return out;
}

void sweep::run(const sim_plan& plan) {
    if (!broken.empty()) return;
    const auto report = simulate(plan);
    ++runs;
    calls += report.calls;
    fired.add(report.fired);
    if (report.broken)
        broken = report.trace + *report.broken + "\nrun it again: " + replay_of(plan) + '\n';
}

std::string sweep::summary() const {
    return std::to_string(runs) + " runs, " + std::to_string(calls) + " calls\n" + fired.text();
}

} // namespace roundhouse_tests
