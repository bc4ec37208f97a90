#pragma once

#include <roundhouse/version.hpp>

#include <asio/awaitable.hpp>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <cstdint>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// Says when work on many files is to let other work of its executor run. On a strand, all such works
/// together occupy one thread at most, and each gets its turn, so a long one holds back no short one.
/// A work can be cancelled where it rests.
class work_pace {
public:
    using clock = std::chrono::steady_clock;

    /// `span` is how long it works before it lets others run.
    explicit work_pace(clock::duration span = std::chrono::milliseconds{2})
        : span_{span}, end_{clock::now() + span} {}

    /// To be asked before each step: whether it may be made before a rest.
    [[nodiscard]] bool goes_on() { return steps_++ < least_steps || clock::now() < end_; }

    /// Lets what is ready on this executor run first.
    asio::awaitable<void> rest() {
        const auto executor = co_await asio::this_coro::executor;
        co_await asio::post(executor, asio::use_awaitable);
        steps_ = 0;
        end_ = clock::now() + span_;
    }

private:
    /// So many steps it makes at least, so that it gets on also where they take long.
    static constexpr std::uint64_t least_steps = 16;

    const clock::duration span_;
    clock::time_point end_;
    std::uint64_t steps_ = 0; ///< Since the last rest.
};

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
