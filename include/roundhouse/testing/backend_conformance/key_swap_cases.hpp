#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <vector>

/// What a backend promises of the result of `swap_key`. What becomes of the keys themselves is
/// tested in key_cases.hpp.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::key_swap_cases {

template <backend Backend> void swap_of_the_right_key(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    const auto swapped = must(trial.swap_key(engine, engine.key, trial.fresh().key));
    require(swapped != key_swap::unknown, "an engine that answers has one key or the other");
    trial.await_healthy(engine);
    trial.require_listed(engine, workload_state::up);
}

/// After a restored backup the store holds a key that the engine has replaced. A failure would say
/// that this key is still good; only recreating the engine helps.
template <backend Backend> void swap_of_a_wrong_key(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    const auto swapped = must(trial.swap_key(engine, trial.fresh().key, trial.fresh().key));
    require(swapped != key_swap::done, "a wrong key is not swapped");
    trial.await_healthy(engine);
}

template <backend Backend> void swap_while_down(backend_trial<Backend>& trial) {
    const auto unknown = trial.fresh();
    const auto stopped = trial.boot();
    must(trial.stop(stopped));
    for (const auto& engine : {unknown, stopped}) {
        const auto swapped = trial.swap_key(engine, engine.key, trial.fresh().key);
        if (!swapped) require_refused(swapped, errc::backend_error);
        require(!swapped || *swapped != key_swap::done, "an engine that is not up takes no key");
    }
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"an engine takes a new key, or is reported as one that cannot",
         swap_of_the_right_key<Backend>},
        {"an engine that refuses the present key is to be recreated", swap_of_a_wrong_key<Backend>},
        {"an engine that is not up takes no key", swap_while_down<Backend>},
    };
}

} // namespace testing::key_swap_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
