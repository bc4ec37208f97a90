#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <vector>

/// What becomes of an engine's data. It counts in it, so that a count that goes on shows the data
/// of before, and one that begins at 1 shows none.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::data_cases {

template <backend Backend>
void must_boot(backend_trial<Backend>& trial, const trial_engine& engine) {
    must(trial.create(engine));
    trial.await_healthy(engine);
}

template <backend Backend> void stop_keeps_it(backend_trial<Backend>& trial) {
    auto engine = trial.boot();
    trial.require_count(engine, 1);
    must(trial.stop(engine));
    engine = next_generation(engine);
    must_boot(trial, engine);
    trial.require_count(engine, 2);
}

template <backend Backend> void crash_keeps_it(backend_trial<Backend>& trial) {
    auto engine = trial.boot();
    trial.require_count(engine, 1);
    trial.crash(engine);
    trial.await_exit(engine);
    engine = next_generation(engine);
    must_boot(trial, engine);
    trial.require_count(engine, 2);
}

template <backend Backend> void newer_generation_has_it(backend_trial<Backend>& trial) {
    auto engine = trial.boot();
    trial.require_count(engine, 1);
    engine = next_generation(engine);
    must_boot(trial, engine);
    trial.require_count(engine, 2);
}

template <backend Backend> void failed_create_keeps_it(backend_trial<Backend>& trial) {
    const auto engine = trial.boot(2);
    trial.require_count(engine, 1);
    auto older = engine;
    older.what.ref.generation = 1;
    require_refused(trial.create(older), errc::backend_error);
    trial.require_count(engine, 2);
}

template <backend Backend> void destroy_removes_it(backend_trial<Backend>& trial) {
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

template <backend Backend> void each_has_its_own(backend_trial<Backend>& trial) {
    const auto one = trial.boot();
    const auto other = trial.boot();
    trial.require_count(one, 1);
    trial.require_count(one, 2);
    trial.require_count(other, 1);
    must(trial.destroy(one));
    trial.require_count(other, 2);
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"a stop keeps the data", stop_keeps_it<Backend>},
        {"a crash keeps the data", crash_keeps_it<Backend>},
        {"a newer generation has the data of the older one", newer_generation_has_it<Backend>},
        {"a create that fails keeps the data", failed_create_keeps_it<Backend>},
        {"a destroy removes the data", destroy_removes_it<Backend>},
        {"each engine has data of its own", each_has_its_own<Backend>},
    };
}

} // namespace testing::data_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
