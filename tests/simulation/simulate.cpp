#include "simulate.hpp"

#include <roundhouse/testing/simulation/world.hpp>

#include <chrono>
#include <string>

using namespace roundhouse::testing;

namespace roundhouse_tests {

sim::run_report simulate(const sim::run_options& options) { return sim::world<>(options).run(); }

std::string replay_of(const sim::run_options& options) {
    auto out = "roundhouse-sim --seed " + std::to_string(options.seed) + " --actions " +
               std::to_string(options.actions);
    for (const auto point : options.crash_at) out += " --crash-at " + std::to_string(point);
    return out;
}

sim::run_report sweep::run(const sim::run_options& options) {
    if (!broken.empty()) return {};
    auto report = simulate(options);
    ++runs;
    calls += report.calls;
    took += report.took;
    fired.add(report.fired);
    if (report.broken)
        broken = report.trace + *report.broken + "\nrun it again: " + replay_of(options) + '\n';
    return report;
}

std::string sweep::summary() const {
    const auto days = std::chrono::floor<std::chrono::days>(took).count();
    return std::to_string(runs) + " runs, " + std::to_string(calls) + " calls, " +
           std::to_string(days) + " simulated days\n" + fired.text();
}

} // namespace roundhouse_tests
