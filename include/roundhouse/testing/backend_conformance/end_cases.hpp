#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/workload.hpp>

#include <vector>

/// What a backend promises of `stop` and `destroy`.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::end_cases {

template <backend Backend> void stop_ends_and_keeps(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.stop(engine));
    trial.require_listed(engine, workload_state::down);
    trial.require_unhealthy(engine);
    trial.require_no_exit(engine);
    must(trial.stop(engine));
    trial.require_listed(engine, workload_state::down);
}

template <backend Backend> void stop_frees_the_port(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.stop(engine));
    const auto port = engine.workload.ref.port;
    if (port == 0) return;
    trial.await([&] { return trial.tested().port_usable(port); }, "the port should be free");
}

template <backend Backend> void destroy_frees_the_port(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.destroy(engine));
    const auto port = engine.workload.ref.port;
    if (port == 0) return;
    trial.await([&] { return trial.tested().port_usable(port); }, "the port should be free");
}

template <backend Backend> void stop_while_paused(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.pause(engine));
    must(trial.stop(engine));
    trial.require_listed(engine, workload_state::down);
    trial.require_no_exit(engine);
}

template <backend Backend> void end_of_an_unknown_engine(backend_trial<Backend>& trial) {
    const auto engine = trial.fresh();
    must(trial.stop(engine));
    trial.require_gone(engine);
    must(trial.destroy(engine));
    trial.require_gone(engine);
}

template <backend Backend> void end_after_a_crash(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    trial.crash(engine);
    trial.await_exit(engine);
    must(trial.stop(engine));
    trial.require_listed(engine, workload_state::down);
    must(trial.destroy(engine));
    trial.require_gone(engine);
    trial.require_one_exit(engine);
}

template <backend Backend> void stop_of_any_generation(backend_trial<Backend>& trial) {
    for (const auto generation : {4U, 6U}) {
        const auto present = trial.boot(5);
        auto asked = present;
        asked.workload.ref.generation = generation;
        must(trial.stop(asked));
        trial.require_listed(present, workload_state::down);
        trial.require_unhealthy(present);
        trial.require_no_exit(present);
    }
}

template <backend Backend> void destroy_of_any_generation(backend_trial<Backend>& trial) {
    for (const auto generation : {4U, 6U}) {
        const auto present = trial.boot(5);
        auto asked = present;
        asked.workload.ref.generation = generation;
        must(trial.destroy(asked));
        trial.require_gone(present);
    }
}

template <backend Backend> void destroy_leaves_nothing(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.destroy(engine));
    trial.require_gone(engine);
    trial.require_unhealthy(engine);
    trial.require_no_exit(engine);
    must(trial.destroy(engine));
    trial.require_gone(engine);
}

template <backend Backend> void destroy_while_paused(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.pause(engine));
    must(trial.destroy(engine));
    trial.require_gone(engine);
    trial.require_no_exit(engine);
}

template <backend Backend> void destroy_after_a_stop(backend_trial<Backend>& trial) {
    const auto engine = trial.boot();
    must(trial.stop(engine));
    must(trial.destroy(engine));
    trial.require_gone(engine);
}

template <backend Backend> void create_after_destroy(backend_trial<Backend>& trial) {
    const auto engine = trial.boot(2);
    must(trial.destroy(engine));
    auto again = engine;
    again.workload.ref.generation = 1; // nothing is known of the earlier one
    must(trial.create(again));
    trial.await_healthy(again);
    trial.require_listed(again, workload_state::up);
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"a stop ends the workload, which stays listed as down", stop_ends_and_keeps<Backend>},
        {"a stop frees the port", stop_frees_the_port<Backend>},
        {"a destroy frees the port", destroy_frees_the_port<Backend>},
        {"a paused workload can be stopped", stop_while_paused<Backend>},
        {"an engine without a workload can be stopped and destroyed",
         end_of_an_unknown_engine<Backend>},
        {"a crashed workload can be stopped and destroyed", end_after_a_crash<Backend>},
        {"a stop acts on any generation", stop_of_any_generation<Backend>},
        {"a destroy acts on any generation", destroy_of_any_generation<Backend>},
        {"a destroy leaves nothing", destroy_leaves_nothing<Backend>},
        {"a paused workload can be destroyed", destroy_while_paused<Backend>},
        {"a stopped workload can be destroyed", destroy_after_a_stop<Backend>},
        {"an engine that was destroyed can be created again", create_after_destroy<Backend>},
    };
}

} // namespace testing::end_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
