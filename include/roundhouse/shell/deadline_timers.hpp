#pragma once

#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/detail/task.hpp>
#include <roundhouse/shell/earliest_timer.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// At most one alarm per engine, for those that have something under way. Thread-safe.
template <class Clock>
class deadline_timers : public std::enable_shared_from_this<deadline_timers<Clock>> {
public:
    using ring = std::function<void(const engine_owner&)>;

    deadline_timers(const asio::any_io_executor& executor, std::shared_ptr<Clock> clock,
                    std::shared_ptr<task_group> tasks)
        : clock_(std::move(clock)),
          wakeup_(std::make_shared<earliest_timer<Clock>>(executor, clock_, std::move(tasks))) {}

    /// Called from the executor when an alarm is due. To be set before the first `set`.
    void on_ring(ring call) {
        ring_ = std::move(call);
        wakeup_->on_wake([weak = this->weak_from_this()] {
            if (const auto self = weak.lock()) self->ring_what_is_due();
        });
    }

    /// Sets the engine's alarm, or takes it back. It counts from now on a steady clock: a wall
    /// clock that is set back delays nothing, and may make it ring too early by its own time.
    void set(const engine_owner& key, std::optional<instant> at) {
        const std::lock_guard lock(mutex_);
        if (const auto known = by_engine_.find(key); known != by_engine_.end()) {
            if (at && known->second.at == *at) return;
            by_time_.erase({known->second.due, key});
            by_engine_.erase(known);
        }
        if (!at || closed_) return;
        const auto due = clock_->steady_now() + (*at - clock_->now());
        by_engine_.emplace(key, alarm{*at, due});
        by_time_.emplace(due, key);
        wakeup_->ask(due);
    }

    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        by_engine_.clear();
        by_time_.clear();
        wakeup_->close();
    }

private:
    struct alarm {
        instant at;
        duration due; ///< By the steady clock.
    };

    void ring_what_is_due() {
        std::vector<engine_owner> due;
        {
            const std::lock_guard lock(mutex_);
            const auto now = clock_->steady_now();
            while (!by_time_.empty() && by_time_.begin()->first <= now) {
                due.push_back(by_time_.begin()->second);
                by_engine_.erase(due.back());
                by_time_.erase(by_time_.begin());
            }
            if (!by_time_.empty()) wakeup_->ask(by_time_.begin()->first);
        }
        for (const auto& key : due) ring_(key);
    }

    const std::shared_ptr<Clock> clock_;
    const std::shared_ptr<earliest_timer<Clock>> wakeup_;
    ring ring_;

    std::mutex mutex_;
    std::map<engine_owner, alarm> by_engine_;
    std::set<std::pair<duration, engine_owner>> by_time_;
    bool closed_ = false;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
