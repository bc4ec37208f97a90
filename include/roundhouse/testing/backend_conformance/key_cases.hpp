#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <source_location>
#include <string>
#include <vector>

/// Which key opens an engine. A key that was swapped is known to that workload only, and not to a
/// later one of the engine: so the key also shows whether a workload is still the same.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::key_cases {

template <backend Backend>
void require_opened_by(backend_trial<Backend>& trial, const trial_engine& engine,
                       const std::string& key, const std::string& other_key,
                       const std::source_location& where = std::source_location::current()) {
    require(!trial.count(engine, other_key), "the other key should not open the engine", where);
    require(trial.count(engine, key).has_value(), "the key should open the engine", where);
}

template <backend Backend> void opened_by_its_own(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    require_opened_by(trial, engine, engine.key, trial.fresh().key);
}

template <backend Backend> void swapped(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    const auto next = trial.fresh().key;
    trial.require_count(engine, 1);
    const auto answer = must(trial.swap_key(engine, engine.key, next));
    require(answer != key_swap::unknown, "an engine that answers has one key or the other");
    if (answer == key_swap::unsupported) return require_opened_by(trial, engine, engine.key, next);
    require_opened_by(trial, engine, next, engine.key);
    require(trial.count(engine, next) == 3, "a new key keeps the data");
}

template <backend Backend> void not_swapped_by_a_wrong_key(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    const auto wrong = trial.fresh().key;
    const auto next = trial.fresh().key;
    const auto answer = must(trial.swap_key(engine, wrong, next));
    require(answer != key_swap::done, "a wrong key is not swapped");
    require_opened_by(trial, engine, engine.key, next);
}

template <backend Backend> void newer_generation_with_another(backend_trial<Backend>& trial) {
    const auto older = trial.boot();
    trial.require_count(older, 1);
    auto newer = next_generation(older);
    newer.key = trial.fresh().key;
    newer.workload.key_hash = crypto::sha256(newer.key);
    must(trial.create(newer));
    trial.await_healthy(newer);
    require_opened_by(trial, newer, newer.key, older.key);
    require(trial.count(newer, newer.key) == 3, "a new key keeps the data");
}

template <backend Backend> void kept_where_nothing_is_started(backend_trial<Backend>& trial) {
    const auto engine = trial.boot(2);
    const auto next = trial.fresh().key;
    if (must(trial.swap_key(engine, engine.key, next)) != key_swap::done) return;
    must(trial.create(engine));
    require_opened_by(trial, engine, next, engine.key);
    auto older = engine;
    older.workload.ref.generation = 1;
    require_refused(trial.create(older), errc::backend_error);
    require_opened_by(trial, engine, next, engine.key);
    must(trial.pause(engine));
    must(trial.resume(engine));
    require_opened_by(trial, engine, next, engine.key);
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"an engine is opened by the key that it was created with, and by no other",
         opened_by_its_own<Backend>},
        {"only the new key opens an engine that has taken it", swapped<Backend>},
        {"a wrong key is not swapped, and the engine keeps its own",
         not_swapped_by_a_wrong_key<Backend>},
        {"a newer generation has the key that it was created with, and the data",
         newer_generation_with_another<Backend>},
        {"a repeated create, a refused one, pause and resume start no new workload",
         kept_where_nothing_is_started<Backend>},
    };
}

} // namespace testing::key_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
