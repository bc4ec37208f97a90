#pragma once

#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The clocks of the machine. Stateless and thread-safe.
class system_clock {
public:
    [[nodiscard]] instant now() const noexcept {
        return std::chrono::floor<duration>(std::chrono::system_clock::now());
    }

    [[nodiscard]] duration steady_now() const noexcept {
        return std::chrono::duration_cast<duration>(
            std::chrono::steady_clock::now().time_since_epoch());
    }

    /// Waits on a steady timer for the time from now to `until`. A step of the wall clock does not
    /// change a wait that has begun.
    asio::awaitable<void> wait_until(instant until) {
        const auto executor = co_await asio::this_coro::executor;
        asio::steady_timer timer(executor);
        timer.expires_after(std::max(duration{0}, until - now()));
        co_await timer.async_wait(asio::use_awaitable);
    }
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
