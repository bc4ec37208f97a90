#pragma once

#include <roundhouse/clock/system.hpp>

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

ROUNDHOUSE_DECL asio::awaitable<void> system_clock::wait_for(duration span) {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    timer.expires_after(std::max(duration{0}, span));
    co_await timer.async_wait(asio::use_awaitable);
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
