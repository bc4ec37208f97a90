#pragma once

#include <roundhouse/clock/manual.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <memory>
#include <mutex>
#include <system_error>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Used on the waiting executor only, except for its place in the map.
struct manual_clock::sleeper {
    explicit sleeper(const asio::any_io_executor& executor) : timer(executor) {
        timer.expires_at(asio::steady_timer::time_point::max());
    }
    asio::steady_timer timer;
    bool due = false;
};

ROUNDHOUSE_DECL asio::awaitable<void> manual_clock::wait_for(duration span) {
    if (span <= duration{0}) co_return;
    const auto executor = co_await asio::this_coro::executor;
    const auto entry = std::make_shared<sleeper>(executor);
    instant until;
    {
        const std::lock_guard lock(mutex_);
        until = now_ + span;
        sleepers_.emplace(until, entry);
    }
    std::error_code ended;
    co_await entry->timer.async_wait(asio::redirect_error(asio::use_awaitable, ended));
    if (entry->due) co_return;
    forget(until, entry);
    throw std::system_error(asio::error::operation_aborted);
}

ROUNDHOUSE_DECL void manual_clock::advance(duration by) {
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

ROUNDHOUSE_DECL std::optional<instant> manual_clock::next_wake() const {
    const std::lock_guard lock(mutex_);
    if (sleepers_.empty()) return std::nullopt;
    return sleepers_.begin()->first;
}

ROUNDHOUSE_DECL void manual_clock::forget(instant until, const std::shared_ptr<sleeper>& entry) {
    const std::lock_guard lock(mutex_);
    const auto [first, last] = sleepers_.equal_range(until);
    for (auto it = first; it != last; ++it)
        if (it->second == entry) {
            sleepers_.erase(it);
            return;
        }
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
