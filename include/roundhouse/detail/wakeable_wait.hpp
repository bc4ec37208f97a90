#pragma once

#include <roundhouse/version.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/error_code.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <system_error>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Lets one coroutine wait until it is woken. Used on one strand, where nothing is between the
/// coroutine's look at what it waits for and its call of `wait`: so no wake-up is lost.
class wakeable_wait {
public:
    explicit wakeable_wait(const asio::any_io_executor& strand)
        : timer_{strand, asio::steady_timer::time_point::max()} {}

    /// Waits for the next `wake`. Throws `operation_aborted` if it is cancelled. Must outlive the
    /// awaitable.
    asio::awaitable<void> wait() {
        woken_ = false;
        asio::error_code cancelled;
        co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
        if (!woken_) throw std::system_error{cancelled};
    }

    /// Ends a wait that is under way.
    void wake() {
        if (!std::exchange(woken_, true)) timer_.cancel();
    }

    [[nodiscard]] asio::any_io_executor strand() { return timer_.get_executor(); }

private:
    asio::steady_timer timer_;
    bool woken_ = false;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
