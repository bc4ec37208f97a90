#pragma once

#include <roundhouse/types.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Virtual time and the events that are planned in it. Time stands still until `advance`.
///
/// Planned events outlive the process that planned them; an event that refers to something
/// shorter-lived must be cancelled, or find out by itself that the thing is gone.
class timeline {
public:
    using event_id = std::uint64_t;

    [[nodiscard]] instant now() const noexcept { return now_; }
    [[nodiscard]] duration since_start() const noexcept { return now_ - start; }

    /// Plans an event. Events of the same time happen in the order in which they were planned.
    event_id at(instant time, std::function<void()> event) {
        const auto id = ++last_id_;
        queue_.emplace(std::pair{time, id}, std::move(event));
        times_.emplace(id, time);
        return id;
    }
    event_id after(duration wait, std::function<void()> event) {
        return at(now_ + wait, std::move(event));
    }

    /// Cancels an event; false if it has happened already.
    bool cancel(event_id id) {
        const auto known = times_.find(id);
        if (known == times_.end()) return false;
        // The event is destroyed only when it is no longer in the queue.
        const auto event = queue_.extract({known->second, id});
        times_.erase(known);
        return true;
    }

    /// The time of the next event.
    [[nodiscard]] std::optional<instant> next() const {
        if (queue_.empty()) return std::nullopt;
        return std::max(now_, queue_.begin()->first.first);
    }

    /// Moves on to the next event, and runs it. There must be one.
    void advance() {
        auto first = queue_.extract(queue_.begin());
        times_.erase(first.key().second);
        now_ = std::max(now_, first.key().first);
        first.mapped()();
    }

private:
    static constexpr instant start{std::chrono::seconds{1'700'000'000}};

    instant now_ = start;
    event_id last_id_ = 0;
    std::map<std::pair<instant, event_id>, std::function<void()>> queue_;
    std::unordered_map<event_id, instant> times_;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
