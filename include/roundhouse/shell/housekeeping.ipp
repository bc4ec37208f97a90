#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/shell/housekeeping.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <span>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL void housekeeping::start() {
    services_.tasks.spawn(run(), [](const std::exception_ptr&) {}); // ends when it is cancelled
}

ROUNDHOUSE_DECL asio::awaitable<void> housekeeping::run() {
    for (;;) {
        co_await services_.clock->wait_for(services_.settings.write_behind_interval);
        denials_.store([] {});
        brakes_.store();
        co_await store_activity();
        co_await prune();
    }
}

ROUNDHOUSE_DECL void housekeeping::store_notes(std::function<void()> done) {
    denials_.store(
        [this, done = std::move(done)] { services_.tasks.run(store_activity_then(done)); });
}

ROUNDHOUSE_DECL asio::awaitable<void>
housekeeping::store_activity_then(std::function<void()> done) {
    co_await store_activity();
    done();
}

/// Stores when engines were last used, so that a restart does not take them for idle.
ROUNDHOUSE_DECL asio::awaitable<void> housekeeping::store_activity() {
    const auto uses = running_.unstored();
    const auto now = services_.now();
    const auto steady_now = services_.steady_now();
    for (auto rest = std::span(uses); !rest.empty();) {
        const auto batch = rest.first(std::min(rest.size(), services_.settings.activity_batch));
        std::vector<engine_activity> seen;
        for (const auto& use : batch) seen.push_back({use.engine.id, now - (steady_now - use.at)});
        pending_result<void> pending;
        services_.store->note_activity(std::move(seen), pending.complete());
        auto storing = pending.wait();
        const auto done = co_await std::move(storing);
        if (!done) co_return;
        running_.stored(batch);
        rest = rest.subspan(batch.size());
    }
}

/// The wall clock may have been set to a wrong time, in which rows only seem to be old. Nothing is
/// removed until it has gone on steadily for `settings::clock_settles_after`.
ROUNDHOUSE_DECL bool housekeeping::wall_clock_is_settled() {
    constexpr duration drift = std::chrono::seconds{10};
    const auto steady_now = services_.steady_now();
    const auto offset = services_.now().time_since_epoch() - steady_now;
    if (!offset_) {
        // At the start there is nothing to compare the clock with: it is taken as it is.
        offset_since_ = steady_now - services_.settings.clock_settles_after;
    } else if (offset > *offset_ + drift || offset < *offset_ - drift) {
        offset_since_ = steady_now;
    }
    offset_ = offset;
    return steady_now - offset_since_ >= services_.settings.clock_settles_after;
}

ROUNDHOUSE_DECL asio::awaitable<void> housekeeping::prune() {
    if (!wall_clock_is_settled()) co_return;
    co_await prune(&store_port::prune_idempotency, services_.now() - idempotency_lifetime);
    const auto days = services_.settings.audit_retention_days;
    if (days == 0) co_return;
    co_await prune(&store_port::prune_audit, services_.now() - std::chrono::days{days});
}

ROUNDHOUSE_DECL asio::awaitable<void> housekeeping::prune(prune_function remove, instant before) {
    const auto most = services_.settings.audit_prune_batch;
    // A short batch means that there is no more; after a failure the next time is soon enough.
    for (;;) {
        pending_result<std::size_t> pending;
        ((*services_.store).*remove)(before, most, pending.complete());
        auto pruning = pending.wait();
        const auto removed = co_await std::move(pruning);
        if (!removed || *removed < most) co_return;
    }
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
