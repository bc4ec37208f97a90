#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

namespace roundhouse::server {

/// The threads of the orchestrator: for commits, forks, probes and timers. Listeners have threads
/// of their own.
class worker_pool {
public:
    /// `failed` is called with the message of an exception that a task throws; the thread goes on.
    worker_pool(std::size_t threads, std::function<void(std::string_view)> failed);
    /// Drops tasks that have not begun.
    ~worker_pool();
    worker_pool(const worker_pool&) = delete;
    worker_pool& operator=(const worker_pool&) = delete;

    [[nodiscard]] asio::any_io_executor executor() noexcept { return context_.get_executor(); }

    /// Waits until there is no task left. Returns false if that takes longer than `timeout`.
    /// Blocks.
    [[nodiscard]] bool finish(std::chrono::milliseconds timeout);

private:
    void run();

    std::function<void(std::string_view)> failed_;
    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t running_ = 0;
    std::vector<std::thread> threads_;
};

} // namespace roundhouse::server
