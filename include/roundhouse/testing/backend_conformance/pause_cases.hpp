#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <vector>

/// What a backend promises of `pause` and `resume`, and of the reports of `on_pause`.
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

template <backend Backend> void repeated(backend_trial<Backend>& trial) {
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
    const auto present = trial.boot(5);
    auto asked = present;
    for (const auto generation : {4U, 6U}) {
        asked.workload.ref.generation = generation;
        must(trial.pause(asked));
        trial.require_listed(present, workload_state::paused);
        must(trial.resume(asked));
        trial.require_listed(present, workload_state::up);
    }
}

template <backend Backend> void nothing_to_pause(backend_trial<Backend>& trial) {
    const auto unknown = trial.fresh();
    const auto stopped = trial.boot();
    must(trial.stop(stopped));
    const auto crashed = trial.boot();
    trial.crash(crashed);
    trial.await_exit(crashed);
    for (const auto& engine : {unknown, stopped, crashed}) {
        require_refused(trial.pause(engine), errc::backend_error);
        require_refused(trial.resume(engine), errc::backend_error);
    }
    trial.require_gone(unknown);
    trial.require_listed(stopped, workload_state::down);
}

template <backend Backend> void others_pauses_are_reported(backend_trial<Backend>& trial) {
    if (!trial.can_pause_from_outside()) return;
    const auto engine = trial.boot(3);
    trial.pause_from_outside(engine, true);
    static_cast<void>(trial.await_pauses(engine, 1)); // looked at below
    trial.pause_from_outside(engine, false);
    const auto pauses = trial.await_pauses(engine, 2);
    require(pauses.size() == 2, "a pause and a resume are reported once each");
    require(pauses[0].paused && !pauses[1].paused, "a report has the state that was reached");
    for (const auto& pause : pauses) {
        require(pause.ref == engine.workload.ref, "a pause is reported as the workload's");
        require(pause.owner == engine.workload.owner, "a pause names the owner of create");
    }
}

template <backend Backend> void own_pauses_are_not_reported(backend_trial<Backend>& trial) {
    if (!trial.can_pause_from_outside()) return;
    const auto engine = trial.boot();
    const auto another = trial.boot();
    must(trial.pause(engine));
    must(trial.resume(engine));
    trial.pause_from_outside(another, true);
    require(trial.await_pauses(another, 1).size() == 1, "a pause is reported once");
    require(trial.pauses(engine).empty(), "a pause that was asked for is not reported");
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"a paused workload is listed as paused and does not answer until it is resumed",
         paused_until_resumed<Backend>},
        {"pause and resume can be repeated", repeated<Backend>},
        {"pause and resume act on any generation", any_generation<Backend>},
        {"a workload that is not up can be neither paused nor resumed", nothing_to_pause<Backend>},
        {"a pause from outside is reported once, with the workload and its owner",
         others_pauses_are_reported<Backend>},
        {"a pause that was asked for is not reported", own_pauses_are_not_reported<Backend>},
    };
}

} // namespace testing::pause_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
