#pragma once

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>
#include <asio/use_future.hpp>

#include <chrono>
#include <cstddef>
#include <future>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace roundhouse_tests {

/// Longer than any step of a test takes, even under a sanitizer on a busy machine.
inline constexpr std::chrono::seconds patience{60};

/// An io_context that is run by its own threads.
class io_threads {
public:
    explicit io_threads(std::size_t threads = 2) {
        for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { context_.run(); });
    }
    io_threads(const io_threads&) = delete;
    io_threads& operator=(const io_threads&) = delete;
    ~io_threads() {
        work_.reset();
        context_.stop();
    }

    asio::io_context& context() { return context_; }
    asio::io_context::executor_type executor() { return context_.get_executor(); }

    /// Starts a coroutine on a new strand.
    template <class T> std::future<T> start(asio::awaitable<T> work) {
        return asio::co_spawn(asio::make_strand(context_), std::move(work), asio::use_future);
    }

    /// Runs a coroutine and returns its result. Throws if it takes longer than `patience`.
    template <class T> T wait(asio::awaitable<T> work) { return get(start(std::move(work))); }

    template <class T> static T get(std::future<T> future) {
        if (future.wait_for(patience) != std::future_status::ready)
            throw std::runtime_error{"a coroutine does not end"};
        return future.get();
    }

private:
    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    std::vector<std::jthread> threads_;
};

/// Waits until `condition()` is true, checking every millisecond; false if that takes longer than
/// `patience`.
template <class Condition> bool eventually(Condition condition) {
    const auto give_up = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > give_up) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return true;
}

} // namespace roundhouse_tests
