#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/shell/denial_log.hpp>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL void denial_log::count(const product& product, std::string_view reason) {
    const auto now = services_.now();
    {
        const std::lock_guard lock(mutex_);
        auto& row =
            rows_[{product.id, std::string(reason), std::chrono::floor<std::chrono::minutes>(now)}];
        if (row.count++ > 0) return;
        row.actor = product.slug;
        row.first_at = now;
    }
    store([] {});
}

ROUNDHOUSE_DECL void denial_log::store(std::function<void()> done) {
    {
        const std::lock_guard lock(mutex_);
        waiting_.push_back(std::move(done));
        if (std::exchange(storing_, true)) return;
    }
    services_.tasks.run(store_all());
}

/// Rounds of storing, one at a time, until nobody waits for another.
ROUNDHOUSE_DECL asio::awaitable<void> denial_log::store_all() {
    for (;;) {
        std::vector<std::function<void()>> callbacks;
        {
            const std::lock_guard lock(mutex_);
            storing_ = !waiting_.empty();
            if (!storing_) co_return;
            callbacks.swap(waiting_);
        }
        for (const auto& [key, counted] : changed()) {
            audit_entry row;
            row.id = counted.row_id;
            row.timestamp = counted.first_at;
            row.product_id = std::get<0>(key);
            row.action = audit_action::admit_denied;
            row.actor = counted.actor;
            row.metadata = {{"reason", std::get<1>(key)},
                            {"count", static_cast<std::int64_t>(counted.count)}};
            change_set changes;
            if (counted.row_id == 0) changes.audit.push_back(std::move(row));
            else changes.amend = std::move(row);
            pending_result<committed> pending;
            services_.store->commit(std::move(changes), pending.complete());
            auto committing = pending.wait();
            const auto done = co_await std::move(committing);
            if (done)
                note_stored(key, counted.count,
                            done->audit_ids.empty() ? counted.row_id : done->audit_ids.front());
        }
        for (const auto& done : callbacks) done();
    }
}

ROUNDHOUSE_DECL std::vector<std::pair<denial_log::row_key, denial_log::tally>>
denial_log::changed() {
    const std::lock_guard lock(mutex_);
    std::vector<std::pair<row_key, tally>> out;
    for (const auto& [key, row] : rows_)
        if (row.count != row.stored) out.emplace_back(key, row);
    return out;
}

ROUNDHOUSE_DECL void denial_log::note_stored(const row_key& key, std::uint64_t count,
                                             std::uint64_t row_id) {
    const auto now = std::chrono::floor<std::chrono::minutes>(services_.now());
    const std::lock_guard lock(mutex_);
    auto& row = rows_[key];
    row.stored = count;
    row.row_id = row_id;
    std::erase_if(rows_, [&](const auto& entry) {
        return std::get<2>(entry.first) < now && entry.second.stored == entry.second.count;
    });
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
