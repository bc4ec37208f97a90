#pragma once

#include <roundhouse/version.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// A coroutine on a strand of its own that can be cancelled from any thread.
class task : public std::enable_shared_from_this<task> {
public:
    explicit task(const asio::any_io_executor& executor) : strand_(asio::make_strand(executor)) {}

    /// Asks it to end: the wait that it is in throws `operation_aborted`, unless it has shielded
    /// itself.
    void cancel() {
        cancelled_.store(true);
        asio::post(strand_, [self = shared_from_this()] {
            self->signal_.emit(asio::cancellation_type::terminal);
        });
    }

    [[nodiscard]] bool cancelled() const noexcept { return cancelled_.load(); }

private:
    friend class task_group;

    asio::strand<asio::any_io_executor> strand_;
    asio::cancellation_signal signal_;
    std::atomic<bool> cancelled_ = false;
};

/// How a coroutine ended: its exception, or what it returned.
template <class T> struct task_end {
    using type = std::function<void(std::exception_ptr, T)>;
};
template <> struct task_end<void> {
    using type = std::function<void(std::exception_ptr)>;
};

/// All tasks of one owner. Thread-safe; held by shared pointers, since its tasks may outlive the
/// owner.
class task_group : public std::enable_shared_from_this<task_group> {
public:
    /// Starts a coroutine; `done` is called on its strand with what it returned, or with the
    /// exception that ended it. `done` is type-erased so that `co_spawn` is instantiated once per
    /// outcome, and not once per call.
    template <class T>
    void spawn(const std::shared_ptr<task>& one, asio::awaitable<T> body,
               typename task_end<T>::type done) {
        {
            const std::lock_guard lock(mutex_);
            live_.insert(one);
            if (closed_) one->cancelled_.store(true);
        }
        auto ended = [self = shared_from_this(), one, done = std::move(done)](auto&&... outcome) {
            done(std::forward<decltype(outcome)>(outcome)...);
            self->forget(one);
        };
        // On the strand, since the signal is used there; one that came before it comes again.
        asio::post(one->strand_, [one, body = std::move(body), ended = std::move(ended)]() mutable {
            asio::co_spawn(one->strand_, std::move(body),
                           asio::bind_cancellation_slot(one->signal_.slot(), std::move(ended)));
            if (one->cancelled()) one->cancel();
        });
    }

    /// Cancels what runs, and what will be started.
    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        for (const auto& one : live_) one->cancel();
    }

    /// Calls `idle` once nothing runs: at once, or from the task that ends last.
    void when_idle(std::function<void()> idle) {
        {
            const std::lock_guard lock(mutex_);
            if (!live_.empty()) {
                waiting_.push_back(std::move(idle));
                return;
            }
        }
        idle();
    }

private:
    void forget(const std::shared_ptr<task>& one) {
        std::vector<std::function<void()>> told;
        {
            const std::lock_guard lock(mutex_);
            live_.erase(one);
            if (live_.empty()) told.swap(waiting_);
        }
        for (const auto& idle : told) idle();
    }

    std::mutex mutex_;
    std::set<std::shared_ptr<task>> live_;
    std::vector<std::function<void()>> waiting_;
    bool closed_ = false;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
