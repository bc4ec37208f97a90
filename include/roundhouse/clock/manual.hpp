#pragma once

#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// A clock that moves only by `advance`: for tests and simulations. Thread-safe.
class manual_clock {
public:
    explicit manual_clock(instant start = instant{std::chrono::seconds{1'700'000'000}})
        : start_(start), now_(start) {}

    [[nodiscard]] instant now() const noexcept {
        const std::lock_guard lock(mutex_);
        return now_;
    }

    [[nodiscard]] duration steady_now() const noexcept { return now() - start_; }

    /// Returns once `advance` has moved the time to `until`. The awaiting executor must be a
    /// strand, or run by one thread.
    asio::awaitable<void> wait_until(instant until) {
        const auto executor = co_await asio::this_coro::executor;
        const auto entry = std::make_shared<sleeper>(executor);
        {
            const std::lock_guard lock(mutex_);
            if (until <= now_) co_return;
            sleepers_.emplace(until, entry);
        }
        std::error_code ended;
        co_await entry->timer.async_wait(asio::redirect_error(asio::use_awaitable, ended));
        if (entry->due) co_return;
        forget(until, entry);
        throw std::system_error(asio::error::operation_aborted);
    }

    /// Moves the time forward and resumes the waits that have become due, each on its own executor,
    /// in the order of their times.
    void advance(duration by) {
        std::vector<std::shared_ptr<sleeper>> due;
        {
            const std::lock_guard lock(mutex_);
            now_ += by;
            while (!sleepers_.empty() && sleepers_.begin()->first <= now_) {
                due.push_back(sleepers_.begin()->second);
                sleepers_.erase(sleepers_.begin());
            }
        }
        for (const auto& entry : due)
            asio::post(entry->timer.get_executor(), [entry] {
                entry->due = true;
                entry->timer.cancel();
            });
    }

    /// The earliest time of all waits; empty if there are none.
    [[nodiscard]] std::optional<instant> next_wake() const {
        const std::lock_guard lock(mutex_);
        if (sleepers_.empty()) return std::nullopt;
        return sleepers_.begin()->first;
    }

private:
    /// Used on the waiting executor only, except for its place in the map.
    struct sleeper {
        explicit sleeper(const asio::any_io_executor& executor) : timer(executor) {
            timer.expires_at(asio::steady_timer::time_point::max());
        }
        asio::steady_timer timer;
        bool due = false;
    };

    void forget(instant until, const std::shared_ptr<sleeper>& entry) {
        const std::lock_guard lock(mutex_);
        const auto [first, last] = sleepers_.equal_range(until);
        for (auto it = first; it != last; ++it)
            if (it->second == entry) {
                sleepers_.erase(it);
                return;
            }
    }

    const instant start_;
    mutable std::mutex mutex_;
    instant now_;
    std::multimap<instant, std::shared_ptr<sleeper>> sleepers_;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
