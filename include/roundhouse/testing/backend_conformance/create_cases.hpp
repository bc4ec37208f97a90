#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <vector>

/// What a backend promises of `create`.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::create_cases {

template <backend Backend> void becomes_healthy(backend_trial<Backend>& trial) {
    const auto engine = trial.fresh();
    trial.require_gone(engine);
    trial.require_unhealthy(engine);
    must(trial.create(engine));
    trial.await_healthy(engine);
    trial.require_listed(engine, workload_state::up);
}

template <backend Backend> void repeated(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.create(engine));
    trial.require_listed(engine, workload_state::up);
    trial.await_healthy(engine);
    trial.require_no_exit(engine);
}

template <backend Backend> void repeated_while_paused(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.pause(engine));
    must(trial.create(engine));
    trial.require_listed(engine, workload_state::up);
    trial.await_healthy(engine);
    trial.require_no_exit(engine);
}

template <backend Backend> void newer_replaces_older(backend_trial<Backend>& trial) {
    const auto older = trial.boot();
    const auto newer = next_generation(older);
    must(trial.create(newer));
    trial.require_listed(newer, workload_state::up);
    trial.await_healthy(newer);
    trial.require_no_exit(older);
}

template <backend Backend> void newer_replaces_paused(backend_trial<Backend>& trial) {
    const auto older = trial.boot();
    must(trial.pause(older));
    const auto newer = next_generation(older);
    must(trial.create(newer));
    trial.require_listed(newer, workload_state::up);
    trial.await_healthy(newer);
    trial.require_no_exit(older);
}

template <backend Backend> void newer_replaces_stopped(backend_trial<Backend>& trial) {
    const auto older = trial.boot();
    must(trial.stop(older));
    const auto newer = next_generation(older);
    must(trial.create(newer));
    trial.require_listed(newer, workload_state::up);
    trial.await_healthy(newer);
}

template <backend Backend> void newer_replaces_crashed(backend_trial<Backend>& trial) {
    const auto older = trial.boot();
    trial.crash(older);
    trial.await_exit(older);
    const auto newer = next_generation(older);
    must(trial.create(newer));
    trial.require_listed(newer, workload_state::up);
    trial.await_healthy(newer);
    trial.require_one_exit(older);
}

template <backend Backend> void older_is_refused(backend_trial<Backend>& trial) {
    const auto older = trial.fresh(1);
    const auto newer = next_generation(older);
    must(trial.create(newer));
    trial.await_healthy(newer);
    require_refused(trial.create(older), errc::backend_error);
    trial.require_listed(newer, workload_state::up);
    trial.await_healthy(newer);
    trial.require_no_exit(newer);
}

template <backend Backend> void older_is_refused_while_paused(backend_trial<Backend>& trial) {
    const auto older = trial.fresh(1);
    const auto newer = next_generation(older);
    must(trial.create(newer));
    trial.await_healthy(newer);
    must(trial.pause(newer));
    require_refused(trial.create(older), errc::backend_error);
    trial.require_listed(newer, workload_state::paused);
    must(trial.resume(newer));
    trial.await_healthy(newer);
}

template <backend Backend> void has_its_variables(backend_trial<Backend>& trial) {
    auto older = trial.fresh();
    older.workload.env = {{"TRIAL_EMPTY", ""}, {"TRIAL_TEXT", "a \"b\" = $HOME \xC3\xBC"}};
    must(trial.create(older));
    trial.await_healthy(older);
    trial.require_variables(older);
    auto newer = next_generation(older);
    newer.workload.env = {{"TRIAL_TEXT", "another"}};
    must(trial.create(newer));
    trial.await_healthy(newer);
    trial.require_variables(newer);
    trial.require_no_variable(newer, "TRIAL_EMPTY");
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"a workload that is created is listed as up and becomes healthy",
         becomes_healthy<Backend>},
        {"a repeated create finds the work done", repeated<Backend>},
        {"a repeated create leaves a workload up that had been paused",
         repeated_while_paused<Backend>},
        {"a newer generation replaces an older one, whose exit is not reported",
         newer_replaces_older<Backend>},
        {"a newer generation replaces one that is paused", newer_replaces_paused<Backend>},
        {"a newer generation replaces one that was stopped", newer_replaces_stopped<Backend>},
        {"a newer generation replaces one that crashed", newer_replaces_crashed<Backend>},
        {"an older generation is refused while a newer one is up", older_is_refused<Backend>},
        {"an older generation is refused while a newer one is paused",
         older_is_refused_while_paused<Backend>},
        {"each workload has the variables that it is created with", has_its_variables<Backend>},
    };
}

} // namespace testing::create_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
