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

/// What a backend promises of operations that run at once.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::parallel_cases {

template <backend Backend> void engines_leave_each_other_alone(backend_trial<Backend>& trial) {
    std::vector<trial_engine> engines;
    for (int i = 0; i < 4; ++i) engines.push_back(trial.fresh());
    std::vector<std::future<result<void>>> begun;
    const auto finish_all = [&] {
        for (auto& one : std::exchange(begun, {})) must(trial.finish(std::move(one)));
    };
    for (const auto& engine : engines) begun.push_back(trial.start_create(engine));
    finish_all();
    for (const auto& engine : engines) trial.await_healthy(engine);
    begun.push_back(trial.start_stop(engines[0]));
    begun.push_back(trial.start_pause(engines[1]));
    begun.push_back(trial.start_destroy(engines[2]));
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

template <backend Backend> void looking_does_not_disturb(backend_trial<Backend>& trial) {
    constexpr auto timeout = std::chrono::seconds{10};
    constexpr std::size_t tail = 10;
    constexpr int looks = 8;
    const auto engine = trial.boot();
    std::vector<std::future<result<health>>> probes;
    std::vector<std::future<result<std::string>>> logs;
    const auto look = [&] {
        for (int i = 0; i < looks; ++i) {
            probes.push_back(trial.start_probe(engine, timeout));
            logs.push_back(trial.start_logs(engine, tail));
        }
    };
    look();
    auto stopping = trial.start_stop(engine);
    look();
    must(trial.finish(std::move(stopping)));
    // Whether it answered is a matter of who came first.
    for (auto& one : probes) static_cast<void>(trial.finish(std::move(one)));
    for (auto& one : logs) must(trial.finish(std::move(one)));
    trial.require_listed(engine, workload_state::down);
    trial.require_unhealthy(engine);
}

template <backend Backend> void cancelled_probe_ends(backend_trial<Backend>& trial) {
    constexpr auto for_ever = std::chrono::hours{24};
    const auto engine = trial.boot();
    must(trial.pause(engine)); // so that it says nothing
    trial.probe_and_cancel(engine, for_ever);
    must(trial.resume(engine));
    trial.await_healthy(engine);
}

template <backend Backend> std::vector<backend_case<Backend>> all() {
    return {
        {"engines that are worked on at once leave each other alone",
         engines_leave_each_other_alone<Backend>},
        {"probes and logs do not disturb a stop", looking_does_not_disturb<Backend>},
        {"a probe of an engine that hangs ends when it is cancelled",
         cancelled_probe_ends<Backend>},
    };
}

} // namespace testing::parallel_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
