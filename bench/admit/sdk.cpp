// The cost of one admit of a running engine in a program that embeds the SDK: it checks the
// platform key, counts the rate limit, records the use, and returns URL and key. Random users, each
// of the stores, fleets of a thousand to a million engines, one thread and two. Beside it the floor
// (floor.hpp), which no program can be below.
//
//   bench_admit_sdk [Google Benchmark's options]
//   bench_admit_sdk --smoke
// Probes are an hour apart, so that probes of a million engines do not compete with the measured
// calls.
#include "../support/counted_new.hpp"
#include "../support/full_fleet.hpp"
#include "../support/temporary_folder.hpp"
#include "floor.hpp"

#include <roundhouse/store/lmdb.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <limits>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace {

using namespace roundhouse_bench;

struct memory_side {
    std::shared_ptr<memory_store> store = std::make_shared<memory_store>();
    static constexpr std::size_t batch = 50;
};

struct lmdb_side {
    temporary_folder folder;
    std::shared_ptr<lmdb_store> store = or_throw(
        lmdb_store::open({.folder = folder.path().string()}));
    static constexpr std::size_t batch = 5'000;
};

fleet_plan plan_for(std::size_t engines, std::size_t batch) {
    fleet_plan plan;
    plan.engines = engines;
    plan.batch = batch;
    plan.limits.rate_limit_rpm = std::numeric_limits<std::uint32_t>::max();
    plan.settings.health_check_interval = std::chrono::hours{1};
    return plan;
}

/// A filled fleet. The last one is kept for the next benchmark: filling a fleet takes seconds.
template <class Side> struct prepared {
    explicit prepared(std::size_t engines)
        : fleet(side.store, plan_for(engines, Side::batch)), size(engines) {
        for (std::size_t n = 0; n < engines; ++n) users.push_back(user_of(n));
        std::shuffle(users.begin(), users.end(), std::mt19937_64{seed});
        // The first admit of an engine after its boot unseals its key; later admits are measured.
        const auto product = or_throw(fleet.orchestrator()->authenticate(fleet.platform_key()));
        for (const auto& user : users) (void)fleet.orchestrator()->try_admit(product, user, {});
        memory = std::make_unique<floor_memory>(bytes_of_records(*side.store));
    }

    static constexpr std::uint64_t seed = 42;
    Side side;
    full_fleet<std::remove_reference_t<decltype(*side.store)>> fleet;
    std::size_t size;
    std::vector<std::string> users;
    std::unique_ptr<floor_memory> memory;
};

template <class Side> prepared<Side>& prepared_for(std::size_t engines) {
    static std::unique_ptr<prepared<Side>> kept;
    if (kept && kept->size == engines) return *kept;
    kept.reset();
    kept = std::make_unique<prepared<Side>>(engines);
    return *kept;
}

template <class Side> void admit_once(const prepared<Side>& setup, const std::string& user) {
    const auto& orchestrator = setup.fleet.orchestrator();
    const auto product = orchestrator->authenticate(setup.fleet.platform_key());
    auto answer = orchestrator->try_admit(*product, user, {});
    if (!answer || !*answer || !(*answer)->engine || (*answer)->engine->api_key().empty())
        throw std::logic_error("a running engine was not admitted");
    benchmark::DoNotOptimize(answer);
}

template <class Side> void admit(benchmark::State& state) {
    static prepared<Side>* setup;
    if (state.thread_index() == 0)
        setup = &prepared_for<Side>(static_cast<std::size_t>(state.range(0)));
    std::size_t next = 0;
    std::uint64_t before = 0;
    for (auto _ : state) {
        if (before == 0) { // after the benchmark's own barrier, when the fleet is filled
            before = allocations + 1;
            next = static_cast<std::size_t>(state.thread_index()) * setup->size / 2;
        }
        admit_once(*setup, setup->users[next]);
        if (++next == setup->users.size()) next = 0;
    }
    state.SetItemsProcessed(state.iterations());
    state.counters["allocations"] = benchmark::Counter(
        static_cast<double>(allocations + 1 - before) / static_cast<double>(state.iterations()),
        benchmark::Counter::kAvgThreads);
}

template <class Side> void floor_of(benchmark::State& state) {
    static prepared<Side>* setup;
    if (state.thread_index() == 0)
        setup = &prepared_for<Side>(static_cast<std::size_t>(state.range(0)));
    const system_clock clock;
    auto random = prepared<Side>::seed + static_cast<std::uint64_t>(state.thread_index());
    for (auto _ : state) pass_floor(*setup->memory, setup->fleet.platform_key(), clock, random);
    state.SetItemsProcessed(state.iterations());
}

// Two parts of an admit, measured separately.

template <class Side> void authenticate(benchmark::State& state) {
    const auto& setup = prepared_for<Side>(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state)
        benchmark::DoNotOptimize(
            setup.fleet.orchestrator()->authenticate(setup.fleet.platform_key()));
}

template <class Side> void find(benchmark::State& state) {
    const auto& setup = prepared_for<Side>(static_cast<std::size_t>(state.range(0)));
    const auto product = or_throw(
        setup.fleet.orchestrator()->authenticate(setup.fleet.platform_key()));
    std::size_t next = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(setup.side.store->find_engine(product->id, setup.users[next]));
        if (++next == setup.users.size()) next = 0;
    }
}

/// Times each call separately, for percentiles only: reading the clock costs as much as the call.
template <class Side> void slowest(benchmark::State& state) {
    auto& setup = prepared_for<Side>(static_cast<std::size_t>(state.range(0)));
    std::vector<std::uint32_t> took;
    took.reserve(1U << 24U);
    std::size_t next = 0;
    for (auto _ : state) {
        const auto began = std::chrono::steady_clock::now();
        admit_once(setup, setup.users[next]);
        took.push_back(
            static_cast<std::uint32_t>((std::chrono::steady_clock::now() - began).count()));
        if (++next == setup.users.size()) next = 0;
    }
    const auto at = [&](double share) {
        const auto place = took.begin() + static_cast<std::ptrdiff_t>(
                                              share * static_cast<double>(took.size() - 1));
        std::nth_element(took.begin(), place, took.end());
        return static_cast<double>(*place);
    };
    state.counters["p50_ns"] = at(0.5);
    state.counters["p99_ns"] = at(0.99);
    state.counters["p999_ns"] = at(0.999);
}

template <class Side> void add(const std::string& name, bool smoke) {
    const std::vector<std::int64_t> sizes = smoke ? std::vector<std::int64_t>{100}
                                                  : std::vector<std::int64_t>{1'000, 100'000,
                                                                              1'000'000};
    const double seconds = smoke ? 0.01 : 0.5;
    for (const auto size : sizes) {
        const auto measure = [&](const std::string& benchmark_name,
                                 void (*body)(benchmark::State&)) {
            return benchmark::RegisterBenchmark((benchmark_name + "/" + name).c_str(), body)
                ->Arg(size)
                ->MinTime(seconds)
                ->UseRealTime();
        };
        for (const int threads : {1, 2}) {
            measure("admit", admit<Side>)->Threads(threads);
            measure("floor", floor_of<Side>)->Threads(threads);
        }
        measure("slowest", slowest<Side>);
        measure("authenticate", authenticate<Side>);
        measure("find", find<Side>);
    }
}

} // namespace

int main(int argc, char** argv) {
    const auto smoke = std::find(argv + 1, argv + argc, std::string_view("--smoke"));
    const bool is_smoke = smoke != argv + argc;
    if (is_smoke) {
        std::copy(smoke + 1, argv + argc, smoke);
        --argc;
    }
    add<memory_side>("memory", is_smoke);
    add<lmdb_side>("lmdb", is_smoke);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
