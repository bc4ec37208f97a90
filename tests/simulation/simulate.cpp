#include "simulate.hpp"

#include <roundhouse/testing/simulation/world.hpp>

#include <chrono>
#include <string>

using namespace roundhouse::testing;

namespace roundhouse_tests {

sim_report simulate(const sim_plan& plan) { return sim_world<>(plan).run(); }

std::string replay_of(const sim_plan& plan) {
    auto out = "roundhouse-sim --seed " + std::to_string(plan.seed) + " --actions " +
               std::to_string(plan.actions);
    for (const auto point : plan.crash_at) out += " --crash-at " + std::to_string(point);
    return out;
}

sim_report sweep::run(const sim_plan& plan) {
    if (!broken.empty()) return {};
    auto report = simulate(plan);
    ++runs;
    calls += report.calls;
    took += report.took;
    fired.add(report.fired);
    if (report.broken)
        broken = report.trace + *report.broken + "\nrun it again: " + replay_of(plan) + '\n';
    return report;
}

std::string sweep::summary() const {
    const auto days = std::chrono::floor<std::chrono::days>(took).count();
    return std::to_string(runs) + " runs, " + std::to_string(calls) + " calls, " +
           std::to_string(days) + " simulated days\n" + fired.text();
}

} // namespace roundhouse_tests
