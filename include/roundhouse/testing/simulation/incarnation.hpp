#pragma once

#include <roundhouse/orchestrator.hpp>
#include <roundhouse/testing/faulty_store.hpp>
#include <roundhouse/testing/simulation/backend_observer.hpp>
#include <roundhouse/testing/simulation/fault_injector.hpp>
#include <roundhouse/testing/simulation/faulty_backend.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/process.hpp>
#include <roundhouse/testing/simulation/random_generator.hpp>
#include <roundhouse/testing/simulation/scenario.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/trace.hpp>
#include <roundhouse/testing/simulation/virtual_clock.hpp>
#include <roundhouse/testing/simulation/wall_clock.hpp>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// One life of the process under test: an orchestrator, on one thread, over parts of the world that
/// outlive it.
///
/// Lifetime: when the process dies, coroutines and handlers of the orchestrator and of the backend
/// are still suspended. They are held by `io`, or by waits of `clock`, and refer to the members
/// that stand before `io`; the destructor cancels the waits, and members are destroyed from the
/// last to the first. The orchestrator takes shared pointers, and gets some that own nothing.
template <class Store> struct incarnation {
    using store_type = faulty_store<Store>;
    using orchestrator_type = roundhouse::orchestrator<faulty_backend, store_type, virtual_clock>;

    /// The parts of the world that an incarnation uses.
    struct surroundings {
        timeline& time;
        const wall_clock& wall;
        crash_plan& crashes;
        fault_injector& faults;
        machine& host;
        trace& events;
        const sim::detail::scenario& scenario;
        const crypto::key_ring& keys;
        std::shared_ptr<Store> store; ///< Shared because `faulty_store` takes it so.
    };

    incarnation(const surroundings& world, random_generator random, backend_observer observer,
                const std::function<store_script(incarnation&)>& make_script)
        : process(world.crashes),
          entropy(random),
          clock(world.time, world.wall, process),
          backend(world.host, world.faults, clock, process, world.events, world.scenario.needs_port,
                  std::move(observer)),
          store(world.store, make_script(*this)),
          work(asio::make_work_guard(io)),
          orchestrator(std::make_unique<orchestrator_type>(io.get_executor(), unowned(backend),
                                                           unowned(store), unowned(clock),
                                                           options_for(world))) {}
    ~incarnation() {
        process.die();
        orchestrator.reset();
        // Ends what is still under way as a cancellation does. It has no effect any more.
        do clock.abandon();
        while (io.poll() > 0);
    }
    incarnation(const incarnation&) = delete;
    incarnation& operator=(const incarnation&) = delete;

    sim::detail::process process;
    crash_time commit_crash = crash_time::never; ///< Of the commit under way.
    bool commit_denied = false;                  ///< The same.
    random_generator entropy;
    virtual_clock clock;
    faulty_backend backend;
    store_type store;
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work;
    std::unique_ptr<orchestrator_type> orchestrator;
    bool recovered = false;
    std::set<uuid> keys_rotating; ///< Products whose platform key is being rotated.

private:
    template <class Part> static std::shared_ptr<Part> unowned(Part& part) {
        return std::shared_ptr<Part>(&part, [](Part*) {});
    }

    orchestrator_options options_for(const surroundings& world) {
        orchestrator_options out(world.keys);
        out.settings = world.scenario.settings;
        out.entropy = [this](std::span<std::uint8_t> bytes) { entropy.fill(bytes); };
        return out;
    }
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
