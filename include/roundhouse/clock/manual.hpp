#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
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

    /// Returns once `advance` has moved the time by `span`. The awaiting executor must be a
    /// strand, or run by one thread.
    asio::awaitable<void> wait_for(duration span);

    /// Moves the time forward and resumes the waits that have become due, each on its own executor,
    /// in the order of their times.
    void advance(duration by);

    /// The earliest time of all waits; empty if there are none.
    [[nodiscard]] std::optional<instant> next_wake() const;

private:
    struct sleeper;

    void forget(instant until, const std::shared_ptr<sleeper>& entry);

    const instant start_;
    mutable std::mutex mutex_;
    instant now_;
    std::multimap<instant, std::shared_ptr<sleeper>> sleepers_;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/clock/manual.ipp>
#endif
