#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/store_plan.hpp>
#include <roundhouse/detail/store_rules.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::memory {

/// The audit log of a `memory_store`, oldest row first. Not thread-safe.
class audit_rows {
public:
    /// Keeps at most `max_rows`; the oldest go first.
    explicit audit_rows(std::size_t max_rows) : max_rows_(max_rows) {}

    /// Adds a row, and returns the id that it got.
    std::uint64_t append(audit_entry row) {
        row.id = ++last_id_;
        rows_.push_back(std::move(row));
        return last_id_;
    }

    void apply(core::audit_amendment amendment) {
        const auto row = std::lower_bound(
            rows_.begin(), rows_.end(), amendment.id,
            [](const audit_entry& entry, std::uint64_t id) { return entry.id < id; });
        if (row != rows_.end() && row->id == amendment.id)
            row->metadata = std::move(amendment.metadata);
    }

    /// Drops the oldest rows beyond the maximum.
    void trim() {
        while (rows_.size() > max_rows_) rows_.pop_front();
    }

    /// Removes the oldest rows, at most `most`, up to the first whose timestamp is not before
    /// `before`. Returns their number.
    std::size_t prune(instant before, std::size_t most) {
        std::size_t removed = 0;
        for (; removed < most && !rows_.empty() && rows_.front().timestamp < before; ++removed)
            rows_.pop_front();
        return removed;
    }

    [[nodiscard]] audit_page page(const audit_query& query) const {
        audit_page page;
        if (query.limit == 0) return page;
        audit_walk walk(query);
        for (auto row = rows_.rbegin(); row != rows_.rend(); ++row) {
            if (!spans(query, *row)) continue;
            if (!walk.may_examine(row->id, page)) break;
            if (!matches(query, *row)) continue;
            if (page.entries.size() == query.limit) {
                page.next_before = page.entries.back().id;
                break;
            }
            page.entries.push_back(*row);
        }
        return page;
    }

    void visit(instant since, const std::function<void(const result<audit_entry>&)>& visit) const {
        for (const auto& row : rows_)
            if (row.timestamp >= since) visit(row);
    }

private:
    const std::size_t max_rows_;
    std::uint64_t last_id_ = 0;
    std::deque<audit_entry> rows_;
};

} // namespace detail::memory
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
