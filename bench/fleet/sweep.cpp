// The time until each engine of a fleet has been probed once, and the processor time of the probes
// without the engines' own work.
//
//   bench_fleet_sweep [--engines N] [--interval-ms N]
//
// Prints a line of JSON.
#include "../support/stopwatch.hpp"
#include "found_fleet.hpp"

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <future>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <unordered_map>

namespace {

using namespace roundhouse_bench;

struct sizes {
    std::size_t engines = 10'000;
    duration interval = std::chrono::seconds{1};
};

/// Counts which engines have been probed since `begin`.
class sweep {
public:
    /// Adds an engine. All are added before the first is probed, so the map is constant afterwards.
    void add(const uuid& engine) { seen_.try_emplace(engine, false); }

    void begin() { begun_.store(true); }

    void probed(const uuid& engine) {
        if (!begun_.load(std::memory_order_relaxed)) return;
        probes_.fetch_add(1, std::memory_order_relaxed);
        if (seen_.at(engine).exchange(true, std::memory_order_relaxed)) return;
        if (engines_.fetch_add(1) + 1 == seen_.size()) all_.set_value();
    }

    void wait() {
        if (all_.get_future().wait_for(std::chrono::minutes{2}) != std::future_status::ready)
            throw std::runtime_error("not every engine has been probed within two minutes");
    }

    [[nodiscard]] std::uint64_t probes() const { return probes_.load(); }

private:
    std::unordered_map<uuid, std::atomic<bool>> seen_;
    std::atomic<bool> begun_ = false;
    std::atomic<std::uint64_t> probes_ = 0;
    std::atomic<std::size_t> engines_ = 0;
    std::promise<void> all_;
};

/// The processor time of all threads of the program.
milliseconds processor_time() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto total = [](const timeval& time) {
        return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
    };
    return total(used.ru_utime) + total(used.ru_stime);
}

void measure(const sizes& of) {
    const auto seen = std::make_shared<sweep>();
    memory_backend_script script;
    script.answer = [seen](const workload_ref& engine) -> result<health> {
        seen->probed(engine.engine_id);
        return health{};
    };
    const auto backend = std::make_shared<memory_backend>(std::move(script));
    const store_folder folder;
    const auto store = folder.open();
    const auto keys = make_keys();
    fleet_plan plan;
    plan.engines = of.engines;
    plan.batch = 10'000;
    fill(*store, *backend, keys, plan);
    or_throw(store->for_each_engine(
        [&](const result<engine_ptr>& row) { seen->add(or_throw(row)->id); }));

    auto settings = quiet_settings();
    settings.health_check_interval = of.interval;
    const found_fleet found(store, backend, keys, settings);
    or_throw(found.orchestrator()->async_recover(wait));
    const auto before = processor_time();
    const auto took = time_of([&] {
        seen->begin();
        seen->wait();
    });
    const auto used = processor_time() - before;
    std::printf(R"({"engines":%zu,"interval_ms":%lld,"sweep_ms":%.1f,"cpu_ms":%.1f,)"
                R"("cpu_us_per_probe":%.2f})"
                "\n",
                of.engines, static_cast<long long>(of.interval.count()), took.count(), used.count(),
                1'000 * used.count() / static_cast<double>(seen->probes()));
}

} // namespace

int main(int argc, char** argv) {
    sizes of;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        const bool more = i + 1 < argc;
        if (word == "--engines" && more) of.engines = std::strtoul(argv[++i], nullptr, 10);
        else if (word == "--interval-ms" && more) of.interval = duration{std::atoi(argv[++i])};
    }
    try {
        measure(of);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_fleet_sweep: %s\n", problem.what());
        return 1;
    }
    return 0;
}
