#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/engine_cgroups.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/workload.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

using moment = std::chrono::steady_clock::time_point;

/// The watch over the process that leads an engine's session, from its launch or its adoption until
/// all processes of the workload have ended. Used on the supervisor's strand only.
struct process_watch {
    process_watch(const asio::any_io_executor& strand, const workload_ref& workload,
                  engine_owner workload_owner, uid_t own_uid, pid_t leader, descriptor pidfd)
        : ref{workload},
          owner{std::move(workload_owner)},
          uid{own_uid},
          pid{leader},
          stream{strand, pidfd.get()} {
        static_cast<void>(pidfd.release()); // `stream` owns it now
    }

    [[nodiscard]] int pidfd() { return stream.native_handle(); }

    workload_ref ref;
    engine_owner owner;
    uid_t uid; ///< The user that the engine has for itself, or 0.
    pid_t pid;
    std::uint64_t out_of_memory_kills = 0; ///< Those that do not count.
    asio::posix::stream_descriptor stream; ///< A pidfd: readable once the process has ended.
    asio::cancellation_signal cancel;      ///< Cancels the coroutine that watches.
    bool asked = false;                    ///< The exit was asked for, and is not reported.
    std::string end_reason;                ///< Why this program has ended it, though not asked to.
    process_table members;                 ///< As found last.
    std::uint32_t listener = 0;            ///< The inode of the socket that was seen to be its own.
    bool looked_at = false;                ///< `second_ports` has looked where it listens.
    moment deadline{}; ///< Until then the other processes may end by themselves.
    bool leader_ended = false;
    std::atomic<bool> ended{false}; ///< All processes have. Read from any thread.
    result<void> outcome;           ///< Whether all other processes could be ended.
    std::vector<std::weak_ptr<asio::steady_timer>> waiting; ///< Cancelled once `ended` is true.
};

using watch_ptr = std::shared_ptr<process_watch>;

/// The process that leads an engine, as it is now.
[[nodiscard]] inline process_entry leader_of(const process_watch& watched) {
    process_entry leader;
    leader.pid = watched.pid;
    leader.stat = read_process_stat(watched.pid).value_or(process_stat{});
    return leader;
}

/// What is reported of a process that has ended, and is not waited for yet.
[[nodiscard]] inline workload_exit exit_of(process_watch& watched, const engine_cgroups& cgroups) {
    workload_exit exit{.ref = watched.ref,
                       .owner = watched.owner,
                       .exit_code = {},
                       .signal = {},
                       .out_of_memory = false,
                       .reason = watched.end_reason};
    const auto status = look_at_exit(watched.pidfd());
    if (status) {
        exit.exit_code = status->code;
        exit.signal = status->signal;
    }
    exit.out_of_memory = cgroups.ended_out_of_memory(watched.ref.engine_id,
                                                     watched.out_of_memory_kills, status);
    return exit;
}

/// Waits until the process of a pidfd has ended, and takes the pidfd. Returns false at `until`, and
/// sooner where the reactor takes no more descriptors. On a strand.
inline asio::awaitable<bool> wait_for_end(descriptor& pidfd, moment until) {
    struct wait_state {
        asio::posix::stream_descriptor stream;
        asio::steady_timer timer;
        bool expired = false;
    };
    const auto strand = co_await asio::this_coro::executor;
    asio::posix::stream_descriptor stream{strand};
    asio::error_code full;
    stream.assign(pidfd.get(), full);
    if (full) {
        constexpr std::chrono::milliseconds look_again{20};
        asio::steady_timer timer{strand, std::min(until, moment::clock::now() + look_again)};
        co_await timer.async_wait(asio::use_awaitable);
        co_return has_ended(pidfd.get());
    }
    static_cast<void>(pidfd.release()); // `stream` owns it now
    const auto wait = std::make_shared<wait_state>(std::move(stream),
                                                   asio::steady_timer{strand, until});
    wait->timer.async_wait([weak = std::weak_ptr{wait}](const asio::error_code& cancelled) {
        const auto state = weak.lock();
        if (cancelled || !state) return;
        state->expired = true;
        asio::error_code ignored; // on failure the wait goes on until the process ends
        state->stream.cancel(ignored);
    });
    asio::error_code cut_short;
    do // the reactor may wake it spuriously: see supervisor::run
        co_await wait->stream.async_wait(asio::posix::stream_descriptor::wait_read,
                                         asio::redirect_error(asio::use_awaitable, cut_short));
    while (!cut_short && !wait->expired && !has_ended(wait->stream.native_handle()));
    wait->timer.cancel();
    if (cut_short && !wait->expired) throw std::system_error{cut_short};
    co_return has_ended(wait->stream.native_handle());
}

/// Waits until all processes of the watched workload have ended. Returns false at `until`. On the
/// supervisor's strand.
inline asio::awaitable<bool> wait_for_all(watch_ptr watch, moment until) {
    const auto strand = co_await asio::this_coro::executor;
    const auto timer = std::make_shared<asio::steady_timer>(strand, until);
    watch->waiting.push_back(timer);
    asio::error_code cut_short;
    if (!watch->ended)
        co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, cut_short));
    if (cut_short && !watch->ended) throw std::system_error{cut_short};
    co_return watch->ended;
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
