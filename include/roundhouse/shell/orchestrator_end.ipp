#pragma once

#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

/// The end of an orchestrator's engines, where its program ends them.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL asio::awaitable<void> orchestrator_state::stop_all(completion<void> done) {
    draining.store(true);
    reconciler.quiesce();
    const auto engines = std::make_shared<std::vector<engine_ptr>>();
    pending_result<void> rows;
    std::function<void(const result<engine_ptr>&)> visit =
        [engines](const result<engine_ptr>& row) {
            if (row) engines->push_back(*row); // the others were logged at the start
        };
    services.store->for_each_engine(std::move(visit), rows.complete());
    auto reading = rows.wait();
    const auto read = co_await std::move(reading);
    if (!read) co_return done(read);
    for (const auto& engine : *engines)
        enqueue({engine->product_id, engine->user_id}, engine_event{core::event::parked{}});
    pending_result<void> quiet;
    reconciler.when_quiet([complete = quiet.complete()] { complete(result<void>{}); });
    auto waiting = quiet.wait();
    (void)co_await std::move(waiting);
    stop_workloads(*engines, std::move(done));
}

ROUNDHOUSE_DECL void orchestrator_state::stop_workloads(const std::vector<engine_ptr>& engines,
                                                        completion<void> done) {
    const auto left = std::make_shared<std::atomic<std::size_t>>(engines.size() + 1);
    const auto count_down = [left, done = std::move(done)] {
        if (left->fetch_sub(1) == 1) done(result<void>{});
    };
    for (const auto& engine : engines) {
        auto ended = [this, engine, count_down](const std::exception_ptr& failure,
                                                const result<void>& outcome) {
            if (failure || !outcome)
                services.log(
                    log_level::error, "an engine could not be stopped. Check the backend",
                    logged_engine(*engine),
                    {{"reason", failure ? "" : std::string_view(outcome.error().message)}});
            count_down();
        };
        services.tasks.spawn(stop_workload(engine), std::move(ended));
    }
    count_down();
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> orchestrator_state::stop_workload(engine_ptr engine) {
    const auto ref = ref_of(*engine);
    const auto defaults = services.defaults.of(engine->product_id);
    const auto grace = core::awaited_stop_grace_of(*engine, services.settings, defaults.get());
    auto done = co_await services.backend->stop(ref, grace);
    co_return done;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
