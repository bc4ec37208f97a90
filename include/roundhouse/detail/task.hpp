#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/version.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/strand.hpp>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// A coroutine on a strand of its own that can be cancelled from any thread.
class task : public std::enable_shared_from_this<task> {
public:
    explicit task(const asio::any_io_executor& executor);

    /// Asks the coroutine to end: the wait that it is in throws `operation_aborted`, unless it has
    /// shielded itself.
    void cancel();

    [[nodiscard]] bool cancelled() const noexcept { return cancelled_.load(); }

private:
    friend class task_group;

    asio::strand<asio::any_io_executor> strand_;
    asio::cancellation_signal signal_;
    std::atomic<bool> cancelled_ = false;
};

/// Receives the end of a coroutine: the exception that ended it, or what it returned.
template <class T> struct task_end {
    using type = std::function<void(const std::exception_ptr&, T)>;
};
template <> struct task_end<void> {
    using type = std::function<void(const std::exception_ptr&)>;
};

template <class T>
asio::awaitable<void> run_to_end(asio::awaitable<T> body, typename task_end<T>::type done) {
    std::exception_ptr failure;
    T value{};
    try {
        value = co_await std::move(body);
    } catch (...) {
        failure = std::current_exception();
    }
    done(failure, std::move(value));
}

/// The work that an object has under way on an executor: tasks and posted functions. All of it keeps
/// that object alive, so that it may use the object's members. Thread-safe.
class task_group {
public:
    explicit task_group(asio::any_io_executor executor) : executor_(std::move(executor)) {}

    /// Names the object that is kept alive. To be called once, before anything is started. Nothing
    /// is started any more once the object is being destroyed.
    void keep_alive(std::weak_ptr<void> owner) { owner_ = std::move(owner); }

    /// The object that is kept alive, for a callback to hold. Null while it is being destroyed.
    [[nodiscard]] std::shared_ptr<void> owner() const { return owner_.lock(); }

    [[nodiscard]] std::shared_ptr<task> make_task() const {
        return std::make_shared<task>(executor_);
    }

    /// Starts a coroutine as `which`. `done` is called on its strand.
    template <class T>
    void spawn(const std::shared_ptr<task>& which, asio::awaitable<T> body,
               typename task_end<T>::type done) {
        start(which, run_to_end(std::move(body), std::move(done)));
    }
    template <class T> void spawn(asio::awaitable<T> body, typename task_end<T>::type done) {
        spawn(make_task(), std::move(body), std::move(done));
    }

    /// Starts a coroutine that ends by itself: it is not cancelled by `close`, and must not throw.
    void run(asio::awaitable<void> body);

    void post(std::function<void()> work);

    /// Cancels the tasks that run, and those that will be started.
    void close();

private:
    void start(const std::shared_ptr<task>& which, asio::awaitable<void> body);
    void forget(const std::shared_ptr<task>& which);

    const asio::any_io_executor executor_;
    std::weak_ptr<void> owner_;
    std::mutex mutex_;
    std::set<std::shared_ptr<task>> running_;
    bool closed_ = false;
};

template <>
inline asio::awaitable<void> run_to_end(asio::awaitable<void> body, task_end<void>::type done) {
    std::exception_ptr failure;
    try {
        co_await std::move(body);
    } catch (...) {
        failure = std::current_exception();
    }
    done(failure);
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/detail/task.ipp>
#endif
