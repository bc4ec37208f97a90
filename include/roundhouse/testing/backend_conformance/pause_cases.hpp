#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <vector>

/// What a backend promises of `pause` and `resume`.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::pause_cases {

template <backend Backend> void paused_until_resumed(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.pause(engine));
    trial.require_listed(engine, workload_state::paused);
    trial.require_unhealthy(engine);
    must(trial.resume(engine));
    trial.require_listed(engine, workload_state::up);
    trial.await_healthy(engine);
    trial.require_no_exit(engine);
}

template <backend Backend> void repeats_find_the_work_done(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.resume(engine));
    trial.require_listed(engine, workload_state::up);
    for (int round = 0; round < 2; ++round) {
        must(trial.pause(engine));
        must(trial.pause(engine));
        trial.require_listed(engine, workload_state::paused);
        must(trial.resume(engine));
        must(trial.resume(engine));
        trial.require_listed(engine, workload_state::up);
    }
    trial.await_healthy(engine);
}

template <backend Backend> void any_generation(backend_trial<Backend>& trial) {
    const auto there = trial.boot(5);
    auto other = there;
    for (const auto generation : {4U, 6U}) {
        other.what.ref.generation = generation;
        must(trial.pause(other));
        trial.require_listed(there, workload_state::paused);
        must(trial.resume(other));
        trial.require_listed(there, workload_state::up);
    }
}

template <backend Backend> void nothing_to_pause(backend_trial<Backend>& trial) {
    const auto never = trial.fresh();
    const auto stopped = trial.boot();
    must(trial.stop(stopped));
    const auto crashed = trial.boot();
    trial.crash(crashed);
    trial.await_exit(crashed);
    for (const auto& engine : {never, stopped, crashed}) {
        require_refused(trial.pause(engine), errc::backend_error);
        require_refused(trial.resume(engine), errc::backend_error);
    }
    trial.require_gone(never);
    trial.require_listed(stopped, workload_state::down);
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"a paused workload is listed so and answers nothing, until it is resumed",
         paused_until_resumed<Backend>},
        {"pause and resume can be repeated", repeats_find_the_work_done<Backend>},
        {"pause and resume take whatever generation they find", any_generation<Backend>},
        {"what is not up can be neither paused nor resumed", nothing_to_pause<Backend>},
    };
}

} // namespace testing::pause_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
