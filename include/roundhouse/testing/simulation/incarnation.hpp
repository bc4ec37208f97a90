#pragma once

#include <roundhouse/orchestrator.hpp>
#include <roundhouse/testing/faulty_store.hpp>
#include <roundhouse/testing/simulation/backend.hpp>
#include <roundhouse/testing/simulation/clock.hpp>
#include <roundhouse/testing/simulation/process.hpp>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include <cstddef>
#include <memory>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// One life of the process under test: an orchestrator, in one thread, over a world that outlives
/// it.
template <class Store> struct sim_incarnation {
    using store_type = faulty_store<Store>;
    using orchestrator_type = orchestrator<sim_backend, store_type, sim_clock>;

    sim_incarnation() : work(asio::make_work_guard(io)) {}
    sim_incarnation(const sim_incarnation&) = delete;
    sim_incarnation& operator=(const sim_incarnation&) = delete;
    ~sim_incarnation() {
        process->die();
        over.reset();
        // What it still had under way is ended like work that is cancelled. It has no effect any
        // more, but it holds memory.
        do clock->abandon();
        while (io.poll() > 0);
    }

    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work;
    std::shared_ptr<sim_process> process;
    std::shared_ptr<sim_clock> clock;
    std::shared_ptr<sim_backend> backend;
    std::shared_ptr<store_type> store;
    std::shared_ptr<orchestrator_type> over;
    bool recovered = false;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
