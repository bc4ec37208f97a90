#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/shell/brakes.hpp>
#include <roundhouse/shell/denial_log.hpp>
#include <roundhouse/shell/ports.hpp>
#include <roundhouse/shell/running_engines.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>

#include <functional>
#include <optional>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Stores what was only noted in memory, and removes old audit rows, once per
/// `settings::write_behind_interval`.
class housekeeping {
public:
    housekeeping(services& services, running_engines& running, denial_log& denials,
                 class brakes& brakes)
        : services_(services), running_(running), denials_(denials), brakes_(brakes) {}

    /// Goes on until the tasks are closed.
    void start();

    /// Stores what was only noted; `done` is called from the executor. What the store refuses is
    /// stored the next time.
    void store_notes(std::function<void()> done);

private:
    asio::awaitable<void> run();
    asio::awaitable<void> store_activity();
    asio::awaitable<void> store_activity_then(std::function<void()> done);
    /// What removes records from before a time, at most so many at once.
    using prune_function = void (store_port::*)(instant before, std::size_t most,
                                                completion<std::size_t> done);
    asio::awaitable<void> prune();
    asio::awaitable<void> prune(prune_function remove, instant before);
    [[nodiscard]] bool wall_clock_is_settled();

    services& services_;
    running_engines& running_;
    denial_log& denials_;
    class brakes& brakes_;
    /// How far the wall clock is ahead of the steady clock, and since when (steady time).
    std::optional<duration> offset_;
    duration offset_since_{};
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/housekeeping.ipp>
#endif
