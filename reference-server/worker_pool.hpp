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

/// The threads that do the orchestrator's work: commits, forks, probes and timers. None of them
/// serves a listener.
class worker_pool {
public:
    /// `failed` hears of what a task throws; the thread goes on.
    worker_pool(std::size_t threads, std::function<void(std::string_view)> failed);
    /// Drops what has not begun.
    ~worker_pool();
    worker_pool(const worker_pool&) = delete;
    worker_pool& operator=(const worker_pool&) = delete;

    [[nodiscard]] asio::any_io_executor executor() noexcept { return context_.get_executor(); }

    /// Ends once there is nothing left to do, at the latest after so long. True if all was done.
    /// Blocks.
    bool finish(std::chrono::milliseconds most);

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
