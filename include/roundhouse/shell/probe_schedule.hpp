#pragma once

#include <roundhouse/detail/task.hpp>
#include <roundhouse/shell/earliest_timer.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <queue>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// When the running engines are looked at: one time for each, in as few bytes as there can be. An
/// engine is known by its hash here, which another may have too. No time is taken back. Who asked
/// for it knows, when it comes, owner it was and whether it still counts. Thread-safe.
template <class Clock>
class probe_schedule : public std::enable_shared_from_this<probe_schedule<Clock>> {
public:
    /// An engine's hash, and the time of the steady clock that was asked for.
    using look = std::function<void(std::uint64_t hash, duration due)>;

    probe_schedule(const asio::any_io_executor& executor, std::shared_ptr<Clock> clock,
                   std::shared_ptr<task_group> tasks)
        : clock_(std::move(clock)),
          wakeup_(std::make_shared<earliest_timer<Clock>>(executor, clock_, std::move(tasks))) {}

    /// Called from the executor when a time has come. To be set before the first `add`.
    void on_look(look call) {
        look_ = std::move(call);
        wakeup_->on_wake([weak = this->weak_from_this()] {
            if (const auto self = weak.lock()) self->look_at_what_is_due();
        });
    }

    void add(std::uint64_t hash, duration due) {
        const std::lock_guard lock(mutex_);
        if (closed_) return;
        times_.push({due, hash});
        wakeup_->ask(due);
    }

    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        times_ = {};
        wakeup_->close();
    }

private:
    struct time {
        duration due;
        std::uint64_t hash;

        friend auto operator<=>(const time&, const time&) = default;
    };

    void look_at_what_is_due() {
        std::vector<time> due;
        {
            const std::lock_guard lock(mutex_);
            const auto now = clock_->steady_now();
            for (; !times_.empty() && times_.top().due <= now; times_.pop())
                due.push_back(times_.top());
            if (!times_.empty()) wakeup_->ask(times_.top().due);
        }
        for (const auto& one : due) look_(one.hash, one.due);
    }

    const std::shared_ptr<Clock> clock_;
    const std::shared_ptr<earliest_timer<Clock>> wakeup_;
    look look_;

    std::mutex mutex_;
    std::priority_queue<time, std::deque<time>, std::greater<>> times_;
    bool closed_ = false;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
