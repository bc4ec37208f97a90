#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <vector>

/// What becomes of an engine's data, which is a count: if it goes on, the earlier data is there; if
/// it begins at 1, there was none.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::data_cases {

template <backend Backend>
void must_boot(backend_trial<Backend>& trial, const trial_engine& engine) {
    must(trial.create(engine));
    trial.await_healthy(engine);
}

template <backend Backend> void kept_by_stop(backend_trial<Backend>& trial) {
    auto engine = trial.boot();
    trial.require_count(engine, 1);
    must(trial.stop(engine));
    engine = next_generation(engine);
    must_boot(trial, engine);
    trial.require_count(engine, 2);
}

template <backend Backend> void kept_by_a_crash(backend_trial<Backend>& trial) {
    auto engine = trial.boot();
    trial.require_count(engine, 1);
    trial.crash(engine);
    trial.await_exit(engine);
    engine = next_generation(engine);
    must_boot(trial, engine);
    trial.require_count(engine, 2);
}

template <backend Backend> void kept_by_a_newer_generation(backend_trial<Backend>& trial) {
    auto engine = trial.boot();
    trial.require_count(engine, 1);
    engine = next_generation(engine);
    must_boot(trial, engine);
    trial.require_count(engine, 2);
}

template <backend Backend> void kept_by_a_failed_create(backend_trial<Backend>& trial) {
    const auto engine = trial.boot(2);
    trial.require_count(engine, 1);
    auto older = engine;
    older.workload.ref.generation = 1;
    require_refused(trial.create(older), errc::backend_error);
    trial.require_count(engine, 2);
}

template <backend Backend> void removed_by_destroy(backend_trial<Backend>& trial) {
    auto engine = trial.boot();
    trial.require_count(engine, 1);
    must(trial.destroy(engine));
    engine = next_generation(engine);
    must_boot(trial, engine);
    trial.require_count(engine, 1);
    must(trial.stop(engine));
    must(trial.destroy(engine));
    engine = next_generation(engine);
    must_boot(trial, engine);
    trial.require_count(engine, 1);
}

template <backend Backend> void separate_for_each_engine(backend_trial<Backend>& trial) {
    const auto first = trial.boot();
    const auto second = trial.boot();
    trial.require_count(first, 1);
    trial.require_count(first, 2);
    trial.require_count(second, 1);
    must(trial.destroy(first));
    trial.require_count(second, 2);
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"a stop keeps the data", kept_by_stop<Backend>},
        {"a crash keeps the data", kept_by_a_crash<Backend>},
        {"a newer generation has the data of the older one", kept_by_a_newer_generation<Backend>},
        {"a create that fails keeps the data", kept_by_a_failed_create<Backend>},
        {"a destroy removes the data", removed_by_destroy<Backend>},
        {"each engine has data of its own", separate_for_each_engine<Backend>},
    };
}

} // namespace testing::data_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
