#pragma once

#include <roundhouse/version.hpp>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail {

/// A handler that can be replaced while it is being called. It is called with no lock held.
/// Thread-safe.
template <class Report> class replaceable_handler {
public:
    using function = std::function<void(const Report&)>;

    /// Replaces the handler; an empty one removes it. Once this has returned, no earlier handler
    /// runs any more and each has been destroyed: calls that are under way in other threads are
    /// waited for. A handler may call this itself, and then nothing is waited for.
    void set(function handler) {
        auto replaced = handler ? std::make_shared<const function>(std::move(handler)) : nullptr;
        const auto state = state_; // `*this` may go with the replaced handler
        std::unique_lock lock(state->mutex);
        state->handler.swap(replaced);
        const auto version = ++state->version;
        if (!state->has_call_in_this_thread())
            state->call_ended.wait(lock, [&] { return !state->has_call_before(version); });
        lock.unlock(); // what the replaced handler holds may lock this again
        replaced.reset();
    }

    /// Calls the handler, if there is one. `*this` may be destroyed by it.
    void operator()(const Report& report) const {
        const auto state = state_;
        const call_in_progress call(*state);
        if (const auto& handler = call.handler()) (*handler)(report);
    }

private:
    struct call_entry {
        std::thread::id thread;
        std::uint64_t version = 0;
    };

    struct shared_state {
        [[nodiscard]] bool has_call_in_this_thread() const {
            const auto here = std::this_thread::get_id();
            return std::ranges::find(calls, here, &call_entry::thread) != calls.end();
        }
        [[nodiscard]] bool has_call_before(std::uint64_t limit) const {
            return std::ranges::any_of(calls,
                                       [limit](const auto& call) { return call.version < limit; });
        }

        std::mutex mutex;
        std::condition_variable call_ended;
        std::shared_ptr<const function> handler;
        std::uint64_t version = 0; ///< Of `handler`: counts the replacements.
        std::vector<call_entry> calls;
    };

    /// Takes the present handler, and lists a call of it for as long as this object lives.
    class call_in_progress {
    public:
        explicit call_in_progress(shared_state& state) : state_(state) {
            const std::lock_guard lock(state_.mutex);
            handler_ = state_.handler;
            entry_ = {std::this_thread::get_id(), state_.version};
            state_.calls.push_back(entry_);
        }
        call_in_progress(const call_in_progress&) = delete;
        call_in_progress& operator=(const call_in_progress&) = delete;
        ~call_in_progress() {
            handler_.reset(); // a replaced handler is destroyed before `set` returns
            {
                const std::lock_guard lock(state_.mutex);
                const auto listed = std::ranges::find_if(state_.calls, [&](const auto& call) {
                    return call.thread == entry_.thread && call.version == entry_.version;
                });
                state_.calls.erase(listed);
            }
            state_.call_ended.notify_all();
        }

        [[nodiscard]] const std::shared_ptr<const function>& handler() const noexcept {
            return handler_;
        }

    private:
        shared_state& state_;
        std::shared_ptr<const function> handler_;
        call_entry entry_;
    };

    const std::shared_ptr<shared_state> state_ = std::make_shared<shared_state>();
};

} // namespace detail

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
