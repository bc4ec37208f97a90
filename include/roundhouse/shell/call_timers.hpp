#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/shell/call_ticket.hpp>
#include <roundhouse/shell/earliest_timer.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The times, on the steady clock, until which callers wait. All of them share one timer. Thread-safe.
class call_timers {
public:
    explicit call_timers(services& services)
        : services_(services), timer_(services, [this] { tell_passed(); }) {}

    /// Calls `passed` from the executor once the time has come, unless it is removed before.
    call_ticket add(duration until, std::function<void()> passed);
    /// Without effect if its time has come.
    void remove(const call_ticket& of);
    void close();

private:
    void tell_passed();

    services& services_;
    earliest_timer timer_;
    std::mutex mutex_;
    std::map<call_ticket, std::function<void()>> waiting_;
    std::uint64_t last_ = 0;
    bool closed_ = false;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/call_timers.ipp>
#endif
