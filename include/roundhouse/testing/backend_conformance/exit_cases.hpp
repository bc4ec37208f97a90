#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <vector>

/// What a backend promises of exits. That an end which was asked for is no news is held beside
/// what asks for it.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::exit_cases {

template <backend Backend> void crash_is_reported_once(backend_trial<Backend>& trial) {
    const auto engine = trial.boot(7);
    trial.crash(engine);
    trial.require_one_exit(engine);
    trial.await([&] { return trial.is(engine, workload_state::down); },
                "what crashed should be listed as down");
    trial.require_unhealthy(engine);
}

template <backend Backend> void crash_while_paused_is_reported(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.pause(engine));
    trial.crash(engine);
    trial.require_one_exit(engine);
    trial.await([&] { return trial.is(engine, workload_state::down); },
                "what crashed should be listed as down");
}

template <backend Backend> void crash_while_booting_is_reported(backend_trial<Backend>& trial) {
    const auto engine = trial.fresh();
    must(trial.create(engine));
    trial.crash(engine);
    trial.require_one_exit(engine);
}

template <backend Backend> void crash_after_a_resume_is_reported(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.pause(engine));
    must(trial.resume(engine));
    trial.crash(engine);
    trial.require_one_exit(engine);
}

template <backend Backend> void each_crash_is_its_own(backend_trial<Backend>& trial) {
    const auto first = trial.boot();
    trial.crash(first);
    trial.await_exit(first);
    const auto second = next_generation(first);
    must(trial.create(second));
    trial.await_healthy(second);
    trial.crash(second);
    trial.await_exit(second, 2);
    const auto told = trial.reported(second);
    require(told.size() == 2, "each crash is reported once");
    require(told[0].ref == first.what.ref, "the first crash is the first generation's");
    require(told[1].ref == second.what.ref, "the second crash is the second generation's");
}

template <backend Backend> void crash_after_a_stop_is_reported(backend_trial<Backend>& trial) {
    const auto stopped = trial.boot();
    must(trial.stop(stopped));
    const auto engine = next_generation(stopped);
    must(trial.create(engine));
    trial.await_healthy(engine);
    trial.crash(engine);
    trial.require_one_exit(engine);
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"an exit that nobody asked for is reported once, as the workload's",
         crash_is_reported_once<Backend>},
        {"a paused workload's exit is reported", crash_while_paused_is_reported<Backend>},
        {"a booting workload's exit is reported", crash_while_booting_is_reported<Backend>},
        {"a resumed workload's exit is reported", crash_after_a_resume_is_reported<Backend>},
        {"each generation's exit is reported as its own", each_crash_is_its_own<Backend>},
        {"an exit is reported also where one before was asked for",
         crash_after_a_stop_is_reported<Backend>},
    };
}

} // namespace testing::exit_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
