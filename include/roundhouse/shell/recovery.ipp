#pragma once

#include <roundhouse/core/backoff.hpp>
#include <roundhouse/core/ceilings.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/core/rolling_metrics.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/shell/recovery.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Stands for a workload without a row while it is ended: not its owner, who may have an engine.
[[nodiscard]] inline engine_owner owner_of(const found_workload& orphan) {
    return {orphan.ref.engine_id, {}};
}

/// A policy is taken whatever the backend holds, but no engine is run without its ceilings.
ROUNDHOUSE_DECL void recovery::warn_of_default_policy() const {
    const auto& backend = *services_.backend;
    const auto fault = core::check_held(services_.settings.default_policy, backend.limits(),
                                        backend.name());
    if (!fault) return;
    services_.log(
        log_level::warning,
        "a ceiling of the default policy cannot be held by the backend: the products that "
        "it holds for can neither make nor boot engines. Change ORCH_DEFAULT_POLICY, or "
        "set the server up for it",
        {{"member", fault->member}, {"backend", backend.name()}});
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> recovery::run(std::shared_ptr<task> self) {
    if (const auto fault = core::check_policy(services_.settings.default_policy))
        co_return fail(errc::invalid_request,
                       "settings::default_policy: " + fault->member + ": " + fault->complaint);
    const auto listed = co_await services_.backend->list();
    if (!listed) co_return unexpected(listed.error());
    auto known = co_await read_products();
    if (!known) co_return known;
    const auto engines = co_await read_rows();
    if (!engines) co_return unexpected(engines.error());
    auto counted = co_await count_metrics();
    if (!counted) co_return counted;
    warn_of_default_policy();
    auto unclaimed = by_engine(*listed);
    for (const auto& engine : *engines) reconcile_row(*engine, unclaimed);
    for (const auto& [id, orphan] : unclaimed) {
        auto handling = handle_orphan(orphan);
        co_await std::move(handling);
    }
    auto waiting = wait_for_reconciliation(std::move(self));
    co_await std::move(waiting);
    co_return result<void>{};
}

/// Of several workloads of one engine, the newest that lives.
ROUNDHOUSE_DECL recovery::found_by_engine
recovery::by_engine(const std::vector<found_workload>& listed) {
    found_by_engine out;
    for (const auto& found : listed) {
        auto& known = out[found.ref.engine_id];
        if (known.state == workload_state::down || found.ref.generation > known.ref.generation)
            known = found;
    }
    return out;
}

ROUNDHOUSE_DECL void recovery::log_unreadable(const error& cause) const {
    services_.log(log_level::error,
                  "a damaged record is left out. Restore a backup that --verify-store accepts",
                  {{"reason", cause.message}});
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> recovery::read_products() {
    product_query query{.limit = 1'000};
    products_.clear();
    deleting_.clear();
    for (;;) {
        pending_result<product_page> pending;
        services_.store->list_products(query, pending.complete());
        auto reading = pending.wait();
        const auto page = co_await std::move(reading);
        if (!page) co_return unexpected(page.error());
        for (const auto& product : page->products) {
            products_.insert(product->id);
            services_.defaults.learn(*product);
            if (product->deleting_since) deleting_.push_back(product);
        }
        if (!page->next) co_return result<void>{};
        query.after = *page->next;
    }
}

ROUNDHOUSE_DECL asio::awaitable<result<recovery::rows>> recovery::read_rows() {
    const auto read = std::make_shared<rows>();
    pending_result<void> pending;
    std::function<void(const result<engine_ptr>&)> visit = [this,
                                                            read](const result<engine_ptr>& row) {
        if (row) read->push_back(*row);
        else log_unreadable(row.error());
    };
    services_.store->for_each_engine(std::move(visit), pending.complete());
    auto reading = pending.wait();
    const auto done = co_await std::move(reading);
    if (!done) co_return unexpected(done.error());
    co_return std::move(*read);
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> recovery::count_metrics() {
    metrics_.clear();
    pending_result<void> pending;
    std::function<void(const result<audit_entry>&)> visit = [this](const result<audit_entry>& row) {
        if (row) count(*row);
        else log_unreadable(row.error());
    };
    services_.store->for_each_audit(services_.now() - core::rolling_metrics::window,
                                    std::move(visit), pending.complete());
    auto reading = pending.wait();
    auto done = co_await std::move(reading);
    co_return done;
}

/// The rows of products that are gone count for nothing.
ROUNDHOUSE_DECL void recovery::count(const audit_entry& row) {
    if (row.product_id && products_.contains(*row.product_id)) metrics_.add(row);
}

/// Hands an engine what was found of it, and takes that out of `unclaimed`.
ROUNDHOUSE_DECL void recovery::reconcile_row(const engine_record& engine,
                                             found_by_engine& unclaimed) {
    std::optional<found_workload> found;
    if (const auto claimed = unclaimed.find(engine.id); claimed != unclaimed.end()) {
        found = claimed->second;
        unclaimed.erase(claimed);
    }
    // One that was being destroyed needs its command again, which a further call would only join.
    if (is_deleted_with_product(engine) && engine.status != engine_status::destroying) return;
    if (engine.status == engine_status::running) prober_.watch(engine, services_.moment());
    reconciler_.enqueue_found(engine, std::move(found));
}

ROUNDHOUSE_DECL bool recovery::is_deleted_with_product(const engine_record& engine) const {
    return std::ranges::any_of(
        deleting_, [&](const product_ptr& product) { return product->id == engine.product_id; });
}

ROUNDHOUSE_DECL asio::awaitable<void>
recovery::wait_for_reconciliation(std::shared_ptr<task> self) {
    auto& unreconciled = reconciler_.unreconciled();
    if (unreconciled.size() == 0) co_return;
    const auto all_done = std::make_shared<std::atomic<bool>>(false);
    unreconciled.when_none([self, all_done] {
        all_done->store(true);
        self->cancel();
    });
    try {
        co_await services_.clock->wait_for(services_.settings.recovery_wait);
    } catch (const std::system_error&) {
        if (!all_done->load()) throw; // cancelled because the orchestrator goes away
    }
    unreconciled.when_none([] {});
}

ROUNDHOUSE_DECL asio::awaitable<void> recovery::handle_orphan(found_workload orphan) {
    if (!orphan.ours) co_return;
    const logged_engine named(orphan.ref.engine_id);
    pending_result<engine_ptr> pending;
    services_.store->read_engine(orphan.ref.engine_id, pending.complete());
    auto reading = pending.wait();
    const auto row = co_await std::move(reading);
    if (!row) {
        services_.log(log_level::error,
                      "a workload is left alone: its engine's row cannot be read. Restore a backup "
                      "that --verify-store accepts",
                      named, {{"reason", row.error().message}});
    } else if (orphan.state == workload_state::down) {
        services_.log(log_level::warning,
                      "data of an engine has no row: it is left alone. Remove it by hand if it is "
                      "not wanted",
                      named);
    } else {
        // The start waits for it as for an engine that is not reconciled.
        reconciler_.unreconciled().add(owner_of(orphan));
        end_orphan(orphan, 1);
    }
}

/// Nothing else would end a workload without a row, so this is tried again until it is done. Each
/// try has a limit, in case the backend does not answer.
ROUNDHOUSE_DECL void recovery::end_orphan(const found_workload& orphan, std::uint32_t attempt) {
    const auto& settings = services_.settings;
    const auto ending = services_.tasks.make_task();
    auto ended = [this, orphan, attempt](const std::exception_ptr& failure,
                                         const result<void>& outcome) {
        reconciler_.unreconciled().remove(owner_of(orphan)); // the start waits for the first try
        if (!failure && outcome) return services_.tasks.run(audit_end(orphan));
        services_.log(log_level::error,
                      "a workload that has no row could not be ended; it is tried again. Check the "
                      "backend",
                      logged_engine(orphan.ref.engine_id),
                      {{"reason", failure ? "" : std::string_view(outcome.error().message)}});
        end_orphan_later(orphan, attempt);
    };
    services_.tasks.spawn(ending, discard(orphan), std::move(ended));
    services_.tasks.spawn(
        services_.clock->wait_for(settings.failed_grace + settings.backend_timeout),
        [ending](const std::exception_ptr&) { ending->cancel(); });
}

ROUNDHOUSE_DECL void recovery::end_orphan_later(const found_workload& orphan,
                                                std::uint32_t attempt) {
    const auto& settings = services_.settings;
    auto again = [this, orphan, attempt](const std::exception_ptr& failure) {
        if (!failure) end_orphan(orphan, attempt + 1); // else the orchestrator goes away
    };
    services_.tasks.spawn(services_.clock->wait_for(
                              core::backoff(attempt, settings.retry_base, settings.retry_max, 0)),
                          std::move(again));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> recovery::discard(found_workload orphan) {
    auto done = co_await services_.backend->discard(orphan.ref, services_.settings.failed_grace);
    co_return done;
}

ROUNDHOUSE_DECL asio::awaitable<void> recovery::audit_end(found_workload orphan) {
    services_.log(log_level::warning,
                  "a workload that had no row was ended; its data is left alone",
                  logged_engine(orphan.ref.engine_id));
    audit_entry row;
    row.timestamp = services_.now();
    if (orphan.owner) {
        row.product_id = orphan.owner->product_id;
        row.user_id = orphan.owner->user_id;
    }
    row.engine_id = orphan.ref.engine_id;
    row.action = audit_action::orphan_removed;
    row.actor = "system";
    change_set changes;
    changes.audit.push_back(std::move(row));
    pending_result<committed> pending;
    services_.store->commit(std::move(changes), pending.complete());
    auto committing = pending.wait();
    const auto done = co_await std::move(committing);
    if (!done)
        services_.log(log_level::error,
                      "the audit row orphan_removed could not be stored. Check the store's disk",
                      logged_engine(orphan.ref.engine_id), {{"reason", done.error().message}});
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
