#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/shell/earliest_timer.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/types.hpp>

#include <compare>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <queue>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// A heap of (due, engine hash), in as few bytes as possible because there is an entry for each
/// running engine. Entries are never removed: the consumer ignores stale ones. Hashes may collide.
/// Thread-safe.
class probe_schedule {
public:
    /// `due` is called from the executor with an entry whose time on the steady clock has come.
    probe_schedule(services& services, std::function<void(std::uint64_t, duration)> due)
        : services_(services), due_(std::move(due)), timer_(services, [this] { deliver_due(); }) {}

    void add(std::uint64_t hash, duration due);
    void close();

private:
    struct entry {
        duration due;
        std::uint64_t hash;

        friend auto operator<=>(const entry&, const entry&) = default;
    };

    void deliver_due();

    services& services_;
    const std::function<void(std::uint64_t, duration)> due_;
    earliest_timer timer_;
    std::mutex mutex_;
    std::priority_queue<entry, std::deque<entry>, std::greater<>> entries_;
    bool closed_ = false;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/probe_schedule.ipp>
#endif
