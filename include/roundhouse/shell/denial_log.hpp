#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/types.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Folds denied admits into one audit row per product, reason and minute, so that a flood of
/// denials is no flood of writes: the first of a minute is written at once, and its count is
/// amended when the row is next wanted or the minute is over. Thread-safe.
class denial_log {
public:
    /// Counts a denial. True if it is the first of its row, and `write` should be called soon.
    bool count(const product& who, std::string_view reason, instant now) {
        const auto minute = std::chrono::floor<std::chrono::minutes>(now);
        const std::lock_guard lock(mutex_);
        auto& one = rows_[{who.id, std::string(reason), minute}];
        if (one.count == 0) {
            one.actor = who.slug;
            one.first_at = now;
        }
        return one.count++ == 0;
    }

    /// Writes down what has been counted since, through `commit(change_set) -> result<committed>`.
    /// Blocks as that does.
    template <class Commit> void write(instant now, Commit commit) {
        const std::lock_guard writing(write_mutex_);
        const auto minute = std::chrono::floor<std::chrono::minutes>(now);
        for (auto& [key, count] : changed()) {
            change_set set;
            audit_entry row;
            row.id = count.row_id;
            row.timestamp = count.first_at;
            row.product_id = std::get<0>(key);
            row.action = audit_action::admit_denied;
            row.actor = count.actor;
            row.metadata = {{"reason", std::get<1>(key)},
                            {"count", static_cast<std::int64_t>(count.count)}};
            if (count.row_id == 0) set.audit.push_back(std::move(row));
            else set.amend = std::move(row);
            const auto done = commit(set);
            if (!done) continue; // counted again at the next write
            written(key, count.count,
                    done->audit_ids.empty() ? count.row_id : done->audit_ids.front(), minute);
        }
    }

private:
    using row_key = std::tuple<uuid, std::string, std::chrono::sys_time<std::chrono::minutes>>;
    struct tally {
        std::uint64_t count = 0;
        std::uint64_t written = 0;
        std::uint64_t row_id = 0; ///< 0 until the row is written.
        std::string actor;
        instant first_at{};
    };

    std::vector<std::pair<row_key, tally>> changed() {
        const std::lock_guard lock(mutex_);
        std::vector<std::pair<row_key, tally>> out;
        for (const auto& [key, one] : rows_)
            if (one.count != one.written) out.emplace_back(key, one);
        return out;
    }

    void written(const row_key& key, std::uint64_t count, std::uint64_t row_id,
                 std::chrono::sys_time<std::chrono::minutes> minute) {
        const std::lock_guard lock(mutex_);
        auto& one = rows_[key];
        one.written = count;
        one.row_id = row_id;
        std::erase_if(rows_, [&](const auto& entry) {
            return std::get<2>(entry.first) < minute && entry.second.written == entry.second.count;
        });
    }

    std::mutex write_mutex_; // held across commits, by writers only
    std::mutex mutex_;
    std::map<row_key, tally> rows_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
