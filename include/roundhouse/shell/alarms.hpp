#pragma once

#include <roundhouse/detail/engine_key.hpp>
#include <roundhouse/detail/task.hpp>
#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>
#include <asio/error.hpp>
#include <asio/this_coro.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace roundhouse::inline ROUNDHOUSE_ABI::detail {

/// At most one alarm per engine, and one waiting coroutine for all of them. Thread-safe.
template <class Clock> class alarms : public std::enable_shared_from_this<alarms<Clock>> {
public:
    using ring = std::function<void(const engine_key&)>;

    alarms(asio::any_io_executor executor, std::shared_ptr<Clock> clock,
           std::shared_ptr<task_group> tasks)
        : executor_(std::move(executor)), clock_(std::move(clock)), tasks_(std::move(tasks)) {}

    /// Called from the executor when an alarm is due. To be set before the first `set`.
    void on_ring(ring call) { ring_ = std::move(call); }

    /// Sets the engine's alarm, or takes it back. It counts from now on a steady clock: a wall
    /// clock that is set back delays nothing, and may make it ring too early by its own time.
    void set(const engine_key& key, std::optional<instant> at) {
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
        if (!waiting_) start();
        else if (due < waits_until_) waiting_->cancel(); // it starts anew with the earlier one
    }

    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        by_engine_.clear();
        by_time_.clear();
        if (waiting_) waiting_->cancel();
    }

private:
    struct alarm {
        instant at;
        duration due; ///< By the steady clock.
    };

    /// Under the lock, with no coroutine waiting and an alarm set.
    void start() {
        waiting_ = std::make_shared<task>(executor_);
        waits_until_ = by_time_.begin()->first;
        auto self = this->shared_from_this();
        auto done = [self](std::exception_ptr) { self->after_wait(); };
        tasks_->spawn(waiting_, wait(self, waits_until_), std::move(done));
    }

    static asio::awaitable<void> wait(std::shared_ptr<alarms> self, duration due) {
        const auto until = self->clock_->now() + (due - self->clock_->steady_now());
        co_await self->clock_->wait_until(until);
    }

    void after_wait() {
        std::vector<engine_key> due;
        {
            const std::lock_guard lock(mutex_);
            waiting_.reset();
            const auto now = clock_->steady_now();
            while (!by_time_.empty() && by_time_.begin()->first <= now) {
                due.push_back(by_time_.begin()->second);
                by_engine_.erase(due.back());
                by_time_.erase(by_time_.begin());
            }
            if (!by_time_.empty()) start();
        }
        for (const auto& key : due) ring_(key);
    }

    const asio::any_io_executor executor_;
    const std::shared_ptr<Clock> clock_;
    const std::shared_ptr<task_group> tasks_;
    ring ring_;

    std::mutex mutex_;
    std::map<engine_key, alarm> by_engine_;
    std::set<std::pair<duration, engine_key>> by_time_;
    std::shared_ptr<task> waiting_;
    duration waits_until_{};
    bool closed_ = false;
};

} // namespace roundhouse::inline ROUNDHOUSE_ABI::detail
