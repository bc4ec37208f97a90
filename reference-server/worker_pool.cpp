#include "worker_pool.hpp"

#include <pthread.h>

#include <exception>
#include <utility>

namespace roundhouse::server {

worker_pool::worker_pool(std::size_t threads, std::function<void(std::string_view)> failed)
    : failed_(std::move(failed)), running_(threads) {
    for (std::size_t i = 0; i < threads; ++i) {
        threads_.emplace_back([this] { run(); });
        // Only for debuggers; an error does not matter.
        ::pthread_setname_np(threads_.back().native_handle(), "worker");
    }
}

worker_pool::~worker_pool() {
    context_.stop();
    for (auto& thread : threads_) thread.join();
}

bool worker_pool::finish(std::chrono::milliseconds timeout) {
    work_.reset();
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [this] { return running_ == 0; });
}

void worker_pool::run() {
    for (;;) {
        try {
            context_.run();
            break;
        } catch (const std::exception& problem) {
            failed_(problem.what());
        } catch (...) {
            failed_("an unknown exception");
        }
    }
    const std::lock_guard lock(mutex_);
    --running_;
    changed_.notify_all();
}

} // namespace roundhouse::server
