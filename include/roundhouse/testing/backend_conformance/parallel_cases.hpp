#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/backend_conformance/case.hpp>
#include <roundhouse/testing/backend_conformance/trial.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <chrono>
#include <cstddef>
#include <future>
#include <string>
#include <utility>
#include <vector>

/// What a backend promises of operations that run at the same time.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::parallel_cases {

template <backend Backend> void engines_are_independent(backend_trial<Backend>& trial) {
    std::vector<trial_engine> engines;
    for (int i = 0; i < 4; ++i) engines.push_back(trial.fresh());
    std::vector<std::future<result<void>>> started;
    const auto finish_all = [&] {
        for (auto& operation : std::exchange(started, {})) must(trial.finish(std::move(operation)));
    };
    for (const auto& engine : engines) started.push_back(trial.start_create(engine));
    finish_all();
    for (const auto& engine : engines) trial.await_healthy(engine);
    started.push_back(trial.start_stop(engines[0]));
    started.push_back(trial.start_pause(engines[1]));
    started.push_back(trial.start_destroy(engines[2]));
    finish_all();
    trial.require_listed(engines[0], workload_state::down);
    trial.require_listed(engines[1], workload_state::paused);
    trial.require_gone(engines[2]);
    trial.require_listed(engines[3], workload_state::up);
    trial.await_healthy(engines[3]);
    trial.crash(engines[3]);
    trial.require_one_exit(engines[3]);
    for (const auto i : {0U, 1U, 2U}) trial.require_no_exit(engines[i]);
}

template <backend Backend> void probes_and_logs_during_a_stop(backend_trial<Backend>& trial) {
    constexpr auto timeout = std::chrono::seconds{10};
    constexpr std::size_t tail = 10;
    constexpr int count = 8;
    const auto engine = trial.boot();
    std::vector<std::future<result<health>>> probes;
    std::vector<std::future<result<std::string>>> logs;
    const auto start_some = [&] {
        for (int i = 0; i < count; ++i) {
            probes.push_back(trial.start_probe(engine, timeout));
            logs.push_back(trial.start_logs(engine, tail));
        }
    };
    start_some();
    auto stopping = trial.start_stop(engine);
    start_some();
    must(trial.finish(std::move(stopping)));
    // A probe succeeds or fails, depending on which came first.
    for (auto& probe : probes) static_cast<void>(trial.finish(std::move(probe)));
    for (auto& output : logs) must(trial.finish(std::move(output)));
    trial.require_listed(engine, workload_state::down);
    trial.require_unhealthy(engine);
}

template <backend Backend> void cancelled_probe_ends(backend_trial<Backend>& trial) {
    constexpr auto practically_never = std::chrono::hours{24};
    const auto engine = trial.boot();
    must(trial.pause(engine)); // so that it does not answer
    trial.probe_and_cancel(engine, practically_never);
    must(trial.resume(engine));
    trial.await_healthy(engine);
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"operations on different engines do not disturb each other",
         engines_are_independent<Backend>},
        {"probes and logs do not disturb a stop", probes_and_logs_during_a_stop<Backend>},
        {"a probe of an engine that hangs ends when it is cancelled",
         cancelled_probe_ends<Backend>},
    };
}

} // namespace testing::parallel_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
