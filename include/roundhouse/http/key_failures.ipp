#pragma once

#include <roundhouse/http/key_failures.hpp>

#include <algorithm>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

ROUNDHOUSE_DECL key_failures::verdict key_failures::note(std::string_view client,
                                                         clock::time_point now) {
    const std::lock_guard lock(mutex_);
    verdict out;
    if (!client.empty()) {
        auto& known = entry_of(client, now);
        ++known.count;
        known.last = now;
        known.blocked = known.blocked || known.count > most_a_minute;
        out.too_many = known.blocked;
        out.delay = std::min<std::chrono::milliseconds>(
            longest_delay, delay_each * std::min(known.count, most_a_minute));
    }
    ++unreported_;
    out.unreported = take_unreported(now);
    return out;
}

ROUNDHOUSE_DECL bool key_failures::too_many(std::string_view client, clock::time_point now) const {
    const std::lock_guard lock(mutex_);
    const auto known = by_client_.find(client);
    return known != by_client_.end() && known->second->blocked &&
           now - known->second->last < window;
}

/// Returns the client's entry as the newest one, begun anew if its time is over.
ROUNDHOUSE_DECL key_failures::entry& key_failures::entry_of(std::string_view client,
                                                            clock::time_point now) {
    const auto known = by_client_.find(client);
    if (known == by_client_.end()) {
        if (by_time_.size() >= most_clients) {
            by_client_.erase(by_time_.front().client);
            by_time_.pop_front();
        }
        by_time_.push_back({std::string(client), 0, false, now, now});
        by_client_.emplace(by_time_.back().client, std::prev(by_time_.end()));
        return by_time_.back();
    }
    auto& before = *known->second;
    by_time_.splice(by_time_.end(), by_time_, known->second);
    const auto over = before.blocked ? before.last : before.since;
    if (now - over >= window) {
        before.count = 0;
        before.blocked = false;
        before.since = now;
    }
    return before;
}

ROUNDHOUSE_DECL std::size_t key_failures::take_unreported(clock::time_point now) {
    if (reported_at_ && now - *reported_at_ < window) return 0;
    reported_at_ = now;
    return std::exchange(unreported_, 0);
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
