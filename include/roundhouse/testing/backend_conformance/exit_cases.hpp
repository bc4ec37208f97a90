#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <vector>

/// What a backend promises of the reports of exits. That an exit which was asked for is not
/// reported is tested beside the operation that asks for it.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::exit_cases {

template <backend Backend> void crash_is_reported_once(backend_trial<Backend>& trial) {
    const auto engine = trial.boot(7);
    trial.crash(engine);
    trial.require_one_exit(engine);
    trial.await([&] { return trial.is(engine, workload_state::down); },
                "a crashed workload should be listed as down");
    trial.require_unhealthy(engine);
}

template <backend Backend> void crash_while_paused_is_reported(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.pause(engine));
    trial.crash(engine);
    trial.require_one_exit(engine);
    trial.await([&] { return trial.is(engine, workload_state::down); },
                "a crashed workload should be listed as down");
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

template <backend Backend> void each_crash_has_its_generation(backend_trial<Backend>& trial) {
    const auto first = trial.boot();
    trial.crash(first);
    trial.await_exit(first);
    const auto second = next_generation(first);
    must(trial.create(second));
    trial.await_healthy(second);
    trial.crash(second);
    trial.await_exit(second, 2);
    const auto exits = trial.reported(second);
    require(exits.size() == 2, "each crash is reported once");
    require(exits[0].ref == first.workload.ref, "the first crash is the first generation's");
    require(exits[1].ref == second.workload.ref, "the second crash is the second generation's");
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

template <backend Backend> void exit_names_the_owner(backend_trial<Backend>& trial) {
    const auto first = trial.boot();
    auto second = trial.fresh();
    second.workload.owner.user_id = "Zo\u00eb \"the\" O'Neill=1,2/../\\";
    must(trial.create(second));
    trial.await_healthy(second);
    trial.crash(first);
    trial.crash(second);
    trial.require_one_exit(first);
    trial.require_one_exit(second);
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"an exit that was not asked for is reported once, as the workload's",
         crash_is_reported_once<Backend>},
        {"a paused workload's exit is reported", crash_while_paused_is_reported<Backend>},
        {"a booting workload's exit is reported", crash_while_booting_is_reported<Backend>},
        {"a resumed workload's exit is reported", crash_after_a_resume_is_reported<Backend>},
        {"the exit of each generation is reported as its own",
         each_crash_has_its_generation<Backend>},
        {"an exit is reported also after an earlier one that was asked for",
         crash_after_a_stop_is_reported<Backend>},
        {"an exit names the owner that create was given", exit_names_the_owner<Backend>},
    };
}

} // namespace testing::exit_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
