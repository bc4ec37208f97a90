#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/backend_conformance/trial_engine.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <cstdint>
#include <optional>
#include <vector>

/// What becomes of the copy of an engine's data, which is a count (`data_cases`). Of a backend that
/// keeps none there is nothing to require.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::copy_cases {

/// Boots an engine's next generation, requires what it counts to, and stops it.
template <backend Backend>
void count_once(backend_trial<Backend>& trial, trial_engine& engine, std::uint64_t wanted) {
    engine = next_generation(engine);
    must(trial.create(engine));
    trial.await_healthy(engine);
    trial.require_count(engine, wanted);
    must(trial.stop(engine));
}

/// An engine that has counted to 1 and was stopped.
template <backend Backend> trial_engine make_counted(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    trial.require_count(engine, 1);
    must(trial.stop(engine));
    return engine;
}

template <backend Backend>
void must_copy(backend_trial<Backend>& trial, const trial_engine& engine) {
    require(must(trial.copy_data(engine, std::nullopt)), "data that is there should be copied");
}

template <backend Backend> void restored(backend_trial<Backend>& trial) {
    auto engine = make_counted(trial);
    must_copy(trial, engine);
    count_once(trial, engine, 2);
    count_once(trial, engine, 3);
    must(trial.restore_data(engine));
    count_once(trial, engine, 2);
    count_once(trial, engine, 3);
}

template <backend Backend> void restored_once(backend_trial<Backend>& trial) {
    auto engine = make_counted(trial);
    must_copy(trial, engine);
    count_once(trial, engine, 2);
    must(trial.restore_data(engine));
    must(trial.restore_data(engine));
    count_once(trial, engine, 2);
    must(trial.restore_data(engine));
    count_once(trial, engine, 3);
}

template <backend Backend> void nothing_to_restore(backend_trial<Backend>& trial) {
    auto engine = make_counted(trial);
    must(trial.restore_data(engine));
    count_once(trial, engine, 2);
}

template <backend Backend> void replaced(backend_trial<Backend>& trial) {
    auto engine = make_counted(trial);
    must_copy(trial, engine);
    must_copy(trial, engine);
    count_once(trial, engine, 2);
    must_copy(trial, engine);
    count_once(trial, engine, 3);
    must(trial.restore_data(engine));
    count_once(trial, engine, 3);
}

template <backend Backend> void too_large(backend_trial<Backend>& trial) {
    auto engine = make_counted(trial);
    must_copy(trial, engine);
    require(!must(trial.copy_data(engine, 0)), "data over the bound should not be copied");
    count_once(trial, engine, 2);
    must(trial.restore_data(engine));
    count_once(trial, engine, 3);
    require(must(trial.copy_data(engine, std::uint64_t{1} << 40U)),
            "data within the bound should be copied");
}

template <backend Backend> void dropped(backend_trial<Backend>& trial) {
    auto engine = make_counted(trial);
    must(trial.drop_copy(engine));
    must_copy(trial, engine);
    must(trial.drop_copy(engine));
    must(trial.drop_copy(engine));
    count_once(trial, engine, 2);
    must(trial.restore_data(engine));
    count_once(trial, engine, 3);
}

template <backend Backend> void not_listed(backend_trial<Backend>& trial) {
    auto engine = make_counted(trial);
    must_copy(trial, engine);
    trial.require_listed(engine, workload_state::down); // once
    engine = next_generation(engine);
    must(trial.create(engine));
    trial.await_healthy(engine);
    trial.require_listed(engine, workload_state::up);
}

template <backend Backend> void removed_by_destroy(backend_trial<Backend>& trial) {
    auto engine = make_counted(trial);
    must_copy(trial, engine);
    must(trial.destroy(engine));
    trial.require_gone(engine);
    count_once(trial, engine, 1);
    must(trial.restore_data(engine));
    count_once(trial, engine, 2);
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    if constexpr (copies_data<Backend>)
        return {
            {"a copy that is restored undoes what was written since", restored<Backend>},
            {"a copy is restored once", restored_once<Backend>},
            {"a restore without a copy changes nothing", nothing_to_restore<Backend>},
            {"a copy replaces an earlier one", replaced<Backend>},
            {"data that is too large is not copied, and the earlier copy goes", too_large<Backend>},
            {"a copy that was dropped is not restored", dropped<Backend>},
            {"a copy is not listed as an engine", not_listed<Backend>},
            {"a destroy removes the copy", removed_by_destroy<Backend>},
        };
    else return {};
}

} // namespace testing::copy_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
