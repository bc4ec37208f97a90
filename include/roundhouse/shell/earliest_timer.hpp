#pragma once

#include <roundhouse/detail/task.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// One waiting coroutine, for the earliest of any number of times. Times are the steady clock's: a
/// wall clock that is set back delays nothing. Thread-safe.
template <class Clock>
class earliest_timer : public std::enable_shared_from_this<earliest_timer<Clock>> {
public:
    earliest_timer(asio::any_io_executor executor, std::shared_ptr<Clock> clock,
                   std::shared_ptr<task_group> tasks)
        : executor_(std::move(executor)), clock_(std::move(clock)), tasks_(std::move(tasks)) {}

    /// Called from the executor when the time has come, and now and then before: what is to come is
    /// then to be asked for again. To be set before the first `ask`.
    void on_wake(std::function<void()> call) { wake_ = std::move(call); }

    /// Wakes at `due`, or earlier if that was asked for.
    void ask(duration due) {
        const std::lock_guard lock(mutex_);
        if (closed_) return;
        if (waiting_ && waits_until_ <= due) return;
        waits_until_ = due;
        if (waiting_) waiting_->cancel(); // it wakes, and is asked anew
        else start(due);
    }

    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        if (waiting_) waiting_->cancel();
    }

private:
    void start(duration due) {
        waiting_ = std::make_shared<task>(executor_);
        auto self = this->shared_from_this();
        auto done = [self](std::exception_ptr) { self->woke(); };
        tasks_->spawn(waiting_, wait(self, due), std::move(done));
    }

    static asio::awaitable<void> wait(std::shared_ptr<earliest_timer> self, duration due) {
        const auto until = self->clock_->now() + (due - self->clock_->steady_now());
        co_await self->clock_->wait_until(until);
    }

    void woke() {
        {
            const std::lock_guard lock(mutex_);
            waiting_.reset();
            if (closed_) return;
        }
        wake_();
    }

    const asio::any_io_executor executor_;
    const std::shared_ptr<Clock> clock_;
    const std::shared_ptr<task_group> tasks_;
    std::function<void()> wake_;

    std::mutex mutex_;
    std::shared_ptr<task> waiting_;
    duration waits_until_{};
    bool closed_ = false;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
