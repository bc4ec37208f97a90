#pragma once

#include <roundhouse/core/backoff.hpp>
#include <roundhouse/core/store_plan/conditions.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

/// The deletion of products. What is decided is in the product's record (`deleting_since`), so that a
/// later start goes on with it; the record goes last, in a commit that the store refuses while there
/// is an engine.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

[[nodiscard]] inline error not_empty(const product& asked, std::uint64_t engines) {
    error out{errc::product_not_empty, "Product '" + asked.slug + "' has " +
                                           std::to_string(engines) +
                                           (engines == 1 ? " engine" : " engines") +
                                           ". Destroy them, or delete it with cascade=true."};
    out.details.emplace();
    out.details->engines = engines;
    return out;
}

ROUNDHOUSE_DECL void orchestrator_state::delete_product(std::string id_or_slug, bool cascade,
                                                        std::string actor,
                                                        completion<product_deletion> done) {
    if (auto refused = refusal()) return done(unexpected(std::move(*refused)));
    services.tasks.run(
        decide_deletion(std::move(id_or_slug), cascade, std::move(actor), std::move(done)));
}

ROUNDHOUSE_DECL asio::awaitable<void>
orchestrator_state::decide_deletion(std::string id_or_slug, bool cascade, std::string actor,
                                    completion<product_deletion> done) {
    for (int attempt = 0; attempt < services.settings.commit_attempts; ++attempt) {
        pending_result<product_ptr> pending;
        services.store->read_product(id_or_slug, pending.complete());
        auto reading = pending.wait();
        const auto found = co_await std::move(reading);
        if (!found) co_return done(unexpected(found.error()));
        const auto& known = *found;
        if (!known) co_return done(unexpected(core::no_product(id_or_slug)));
        auto counting = count_engines(known->id);
        const auto engines = co_await std::move(counting);
        if (!engines) co_return done(unexpected(engines.error()));
        if (known->deleting_since) {
            begin_destruction(known); // as a rule that goes on already
            co_return done(product_deletion{known->id, false, *engines});
        }
        if (*engines > 0 && !cascade) co_return done(unexpected(not_empty(*known, *engines)));
        auto committing = commit_deletion(*known, *engines, actor);
        const auto stored = co_await std::move(committing);
        if (stored) {
            if (*engines == 0) forget_product(*known);
            else begin_destruction(known);
            co_return done(product_deletion{known->id, *engines == 0, *engines});
        }
        const auto& cause = stored.error();
        if (cause.code == errc::store_unavailable) services.tasks.run(learn_deletion(*known));
        if (cause.code != errc::revision_conflict && cause.code != errc::product_not_empty)
            co_return done(unexpected(cause));
    }
    done(fail(errc::internal_error, "The product kept changing. Try again."));
}

ROUNDHOUSE_DECL asio::awaitable<result<std::uint64_t>>
orchestrator_state::count_engines(uuid product) {
    pending_result<fleet_counts> pending;
    services.store->counts(product, pending.complete());
    auto counting = pending.wait();
    const auto counts = co_await std::move(counting);
    if (!counts) co_return unexpected(counts.error());
    co_return counts->total();
}

/// Removes a product without engines; of one that has some ends the keys, and stores that it is being
/// deleted. An engine that comes or goes meanwhile makes it fail.
ROUNDHOUSE_DECL asio::awaitable<result<void>>
orchestrator_state::commit_deletion(product record, std::uint64_t engines, std::string actor) {
    auto decided = row_by_admin(record, actor);
    decided.action = audit_action::product_delete;
    decided.metadata = {{"engines", static_cast<std::int64_t>(engines)}};
    change_set changes;
    changes.audit.push_back(decided);
    if (engines == 0) {
        auto ended = row_by_admin(record, std::move(actor));
        ended.action = audit_action::product_deleted;
        ended.timestamp = decided.timestamp;
        ended.took = duration{0};
        changes.audit.push_back(std::move(ended));
        changes.changes.push_back(erase_product{record.id, record.revision});
    } else {
        record.keys.clear();
        record.deleting_since = decided.timestamp;
        changes.changes.push_back(put_product{std::move(record)});
    }
    pending_result<committed> pending;
    services.store->commit(std::move(changes), pending.complete());
    auto committing = pending.wait();
    const auto done = co_await std::move(committing);
    if (!done) co_return unexpected(done.error());
    co_return result<void>{};
}

/// A store that refuses a deletion may have made it all the same.
ROUNDHOUSE_DECL asio::awaitable<void> orchestrator_state::learn_deletion(product before) {
    pending_result<product_ptr> pending;
    services.store->read_product(to_string(before.id), pending.complete());
    auto reading = pending.wait();
    const auto found = co_await std::move(reading);
    if (!found) co_return; // the next start learns it
    if (!*found) forget_product(before);
    else if ((*found)->deleting_since) begin_destruction(*found);
}

// The engines

ROUNDHOUSE_DECL void orchestrator_state::resume_deletions() {
    for (const auto& product : recovery.deleting()) begin_destruction(product);
}

ROUNDHOUSE_DECL void orchestrator_state::begin_destruction(const product_ptr& product) {
    if (!services.ended.begin(product->id)) return;
    for (const auto& key : product->keys) key_uses.forget(key.hash);
    services.log(log_level::info, "a product is deleted, with its engines",
                 {{"product", product->slug}});
    // It is cancelled where the orchestrator goes away: then the next start goes on.
    services.tasks.spawn(run_deletion(product), [](const std::exception_ptr&) {});
}

/// Goes through the engines until none is left, and then removes the product. The waits between two
/// rounds grow as long as something fails.
ROUNDHOUSE_DECL asio::awaitable<void> orchestrator_state::run_deletion(product_ptr product) {
    const auto& settings = services.settings;
    for (std::uint32_t attempt = 1; !draining.load(); ++attempt) {
        auto destroying = destroy_engines(product);
        const bool all_gone = co_await std::move(destroying);
        if (draining.load()) co_return;
        if (all_gone) {
            auto erasing = erase_deleted(product);
            const bool gone = co_await std::move(erasing);
            if (gone) co_return forget_product(*product);
        }
        auto waiting = services.clock->wait_for(
            core::backoff(attempt, settings.retry_base, settings.retry_max, 0));
        co_await std::move(waiting);
    }
}

/// Engines that are destroyed a few at a time. Thread-safe.
class orchestrator_state::engines_to_destroy {
public:
    engines_to_destroy(product_ptr owner, std::vector<engine_ptr> engines, std::size_t workers,
                       completion<bool> done)
        : product(std::move(owner)),
          engines_(std::move(engines)),
          workers_(workers),
          done_(std::move(done)) {}

    const product_ptr product;

    /// The next one; null if there is none.
    [[nodiscard]] engine_ptr next() noexcept {
        const auto at = next_.fetch_add(1);
        return at < engines_.size() ? engines_[at] : nullptr;
    }
    void note_failure() noexcept { failed_.store(true); }
    /// To be called by each worker at its end: the last one tells whether all engines are gone.
    void leave() {
        if (workers_.fetch_sub(1) == 1) done_(!failed_.load());
    }

private:
    const std::vector<engine_ptr> engines_;
    std::atomic<std::size_t> next_ = 0;
    std::atomic<std::size_t> workers_;
    std::atomic<bool> failed_ = false;
    const completion<bool> done_;
};

/// Destroys every engine of a product, as far as that succeeds now; whether all are gone.
ROUNDHOUSE_DECL asio::awaitable<bool> orchestrator_state::destroy_engines(product_ptr product) {
    bool all_gone = true;
    engine_query query;
    query.product_id = product->id;
    query.limit = 1'000;
    while (!draining.load()) {
        pending_result<engine_page> pending;
        services.store->list_engines(query, pending.complete());
        auto reading = pending.wait();
        const auto page = co_await std::move(reading);
        if (!page) co_return false;
        const auto count = page->engines.size();
        if (count == 0) break;
        const auto workers = std::clamp<std::size_t>(services.settings.deletion_concurrency, 1,
                                                     count);
        pending_result<bool> ended;
        auto found = page->engines;
        if (services.forgets_an_engine) found.pop_back();
        const auto engines = std::make_shared<engines_to_destroy>(product, std::move(found),
                                                                  workers, ended.complete());
        for (std::size_t i = 0; i < workers; ++i) services.tasks.run(destroy_some(engines));
        auto destroying = ended.wait();
        const auto gone = co_await std::move(destroying);
        all_gone = all_gone && *gone;
        if (!page->next) break;
        query.after = page->next;
    }
    co_return all_gone;
}

ROUNDHOUSE_DECL asio::awaitable<void>
orchestrator_state::destroy_some(std::shared_ptr<engines_to_destroy> engines) {
    while (!draining.load()) {
        const auto engine = engines->next();
        if (!engine) break;
        pending_result<engine_ptr> pending;
        waiting_call call;
        call.call = core::call::destroy{};
        call.product = engines->product;
        call.done = pending.complete();
        enqueue({engine->product_id, engine->user_id}, std::move(call));
        auto destroying = pending.wait();
        const auto outcome = co_await std::move(destroying);
        if (!outcome && outcome.error().code != errc::engine_not_found) engines->note_failure();
    }
    engines->leave();
}

// The end

/// Removes the product's record; whether it is gone.
ROUNDHOUSE_DECL asio::awaitable<bool> orchestrator_state::erase_deleted(product_ptr product) {
    pending_result<product_ptr> pending;
    services.store->read_product(to_string(product->id), pending.complete());
    auto reading = pending.wait();
    const auto found = co_await std::move(reading);
    if (!found) co_return false;
    if (!*found) co_return true; // by a commit that seemed to have failed
    audit_entry row;
    row.timestamp = services.now();
    row.product_id = product->id;
    row.action = audit_action::product_deleted;
    row.actor = "system";
    row.took = row.timestamp - (*found)->deleting_since.value_or(row.timestamp);
    change_set changes;
    changes.changes.push_back(erase_product{product->id, (*found)->revision});
    changes.audit.push_back(std::move(row));
    pending_result<committed> erased;
    services.store->commit(std::move(changes), erased.complete());
    auto committing = erased.wait();
    const auto done = co_await std::move(committing);
    if (!done)
        services.log(
            log_level::warning,
            "a product whose engines are destroyed could not be removed; it is tried again",
            {{"product", product->slug}, {"reason", done.error().message}});
    co_return done.has_value();
}

ROUNDHOUSE_DECL void orchestrator_state::forget_product(const product& gone) {
    services.ended.end(gone.id);
    services.defaults.forget(gone.id);
    for (const auto& key : gone.keys) key_uses.forget(key.hash);
    rates.forget(gone.id);
    reconciler.forget_product(gone.id);
    rolling_metrics.forget(gone.id);
    services.log(log_level::info, "a product is gone: it was deleted", {{"product", gone.slug}});
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
