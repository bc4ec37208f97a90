#pragma once

#include <httplib.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace demo_engine {

/// Runs each connection on a thread of its own. Threads are started when they are needed, and end
/// when they are idle.
///
/// cpp-httplib's own pool has a fixed number of threads. Every stalled client occupies one, and if
/// all are occupied, /health is not answered. This pool grows up to `max_workers` and shrinks
/// again.
class worker_pool final : public httplib::TaskQueue {
public:
    static constexpr std::size_t max_workers = 64;
    static constexpr std::chrono::seconds idle_timeout{10};

    void enqueue(std::function<void()> task) override {
        const std::lock_guard lock{state_->mutex};
        state_->tasks.push_back(std::move(task));
        if (state_->tasks.size() > state_->idle && state_->workers < max_workers) {
            ++state_->workers;
            std::thread{[state = state_] { work(*state); }}.detach();
        } else {
            state_->changed.notify_all();
        }
    }

    /// Does not wait for the workers: a worker may serve a stalled or an idle connection, which
    /// ends with the process.
    void shutdown() override {
        const std::lock_guard lock{state_->mutex};
        state_->stopping = true;
        state_->changed.notify_all();
    }

private:
    /// Shared with the workers, which may outlive the pool.
    struct shared_state {
        std::mutex mutex;
        std::condition_variable changed;
        std::deque<std::function<void()>> tasks;
        std::size_t workers = 0;
        std::size_t idle = 0;
        bool stopping = false;
    };

    static void work(shared_state& state) {
        std::unique_lock lock{state.mutex};
        for (;;) {
            ++state.idle;
            state.changed.wait_for(lock, idle_timeout,
                                   [&] { return state.stopping || !state.tasks.empty(); });
            --state.idle;
            if (state.tasks.empty()) {
                break;
            }
            auto task = std::move(state.tasks.front());
            state.tasks.pop_front();
            lock.unlock();
            task();
            task = nullptr;
            lock.lock();
        }
        --state.workers;
    }

    std::shared_ptr<shared_state> state_ = std::make_shared<shared_state>();
};

} // namespace demo_engine
