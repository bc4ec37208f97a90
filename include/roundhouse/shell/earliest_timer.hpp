#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/detail/task.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// One timer for the earliest of any number of times on the steady clock. Thread-safe.
class earliest_timer {
public:
    /// `fired` is called from the executor when the time has come, and now and then before. Times
    /// that are still to come must be asked for again then.
    earliest_timer(services& services, std::function<void()> fired)
        : services_(services), fired_(std::move(fired)) {}

    /// Fires at `due`, or earlier if that was asked for.
    void ask(duration due);
    void close();

private:
    asio::awaitable<void> wait(duration due);
    void woke();

    services& services_;
    const std::function<void()> fired_;
    std::mutex mutex_;
    std::shared_ptr<task> waiting_;
    duration waits_until_{};
    bool closed_ = false;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/earliest_timer.ipp>
#endif
