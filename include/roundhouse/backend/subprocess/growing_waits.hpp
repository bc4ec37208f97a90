#pragma once

#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

/// The waits between looks at what the kernel reports to nobody: 1 ms, and then each twice as long as
/// the one before, up to 32 ms. On a strand.
class growing_waits {
public:
    growing_waits(const asio::any_io_executor& strand, std::chrono::steady_clock::time_point until)
        : timer_{strand}, until_{until} {}

    /// Waits. Returns false at once after `until`: the last look has been had.
    asio::awaitable<bool> next() {
        if (std::chrono::steady_clock::now() >= until_) co_return false;
        last_ = next_;
        next_ = std::min(next_ * 2, longest);
        timer_.expires_after(last_);
        co_await timer_.async_wait(asio::use_awaitable);
        co_return true;
    }

    /// Whether the last wait was as long as waits get.
    [[nodiscard]] bool at_longest() const noexcept { return last_ == longest; }

private:
    static constexpr duration longest{32};

    asio::steady_timer timer_;
    const std::chrono::steady_clock::time_point until_;
    duration next_{1};
    duration last_{0};
};

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
