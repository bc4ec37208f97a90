#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/engine_cgroups.hpp>
#include <roundhouse/backend/subprocess/growing_waits.hpp>
#include <roundhouse/backend/subprocess/port_owner.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/backend/subprocess/process_watch.hpp>
#include <roundhouse/backend/subprocess/rights.hpp>
#include <roundhouse/backend/subprocess/uids.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/this_coro.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

/// Finds all processes of an engine and signals them: the leader's group in one step, the others
/// one by one. Its coroutines run on the supervisor's strand; their arguments must outlive them.
class workload_processes {
public:
    /// `of_engines` are the users that engines have for themselves, `cgroups` their control groups,
    /// and `store` is the `store_mark`.
    workload_processes(const asio::any_io_executor& executor, duration kill_timeout,
                       const uid_range& of_engines, engine_cgroups cgroups, std::string store)
        : table_{executor, of_engines, std::move(store)},
          kill_timeout_{kill_timeout},
          killer_{killer_of(of_engines)},
          cgroups_{std::move(cgroups)} {}

    /// All processes of the machine, as they are after this call.
    asio::awaitable<result<process_table_reader::snapshot>> table() { return table_.read(); }

    /// Returns false if the group cannot be signalled as a whole.
    static bool signal_group(process_watch& watched, int signal) {
        return send_signal_to_group(watched.pidfd(), watched.pid, is_our_child(watched.pidfd()),
                                    signal);
    }

    /// Sends a signal to every process of a workload, and resumes those that are paused, so that
    /// they receive it.
    asio::awaitable<result<void>> signal_all(const watch_ptr& watched, int signal) {
        const bool whole_group = signal_group(*watched, signal);
        if (whole_group) signal_group(*watched, SIGCONT);
        auto finding = members(watched);
        const auto found = co_await std::move(finding);
        if (!found) co_return unexpected{found.error()};
        for (const auto& member : *found) {
            if (whole_group && member.stat.group == watched->pid) continue;
            const auto pidfd = open_member(member);
            if (!pidfd) co_return unexpected{pidfd.error()};
            if (!*pidfd) continue;
            send_signal(pidfd->get(), signal);
            send_signal(pidfd->get(), SIGCONT);
        }
        co_return result<void>{};
    }

    /// Pauses or resumes the processes that are not in that state, and returns them.
    asio::awaitable<result<process_table>> signal_others(const watch_ptr& watched, bool paused) {
        const int signal = paused ? SIGSTOP : SIGCONT;
        signal_group(*watched, signal);
        auto finding = members(watched);
        const auto found = co_await std::move(finding);
        if (!found) co_return unexpected{found.error()};
        process_table others;
        for (const auto& member : *found) {
            if (member.stat.stopped() == paused) continue;
            others.push_back(member);
            const auto pidfd = open_member(member);
            if (!pidfd) co_return unexpected{pidfd.error()};
            if (*pidfd) send_signal(pidfd->get(), signal);
        }
        co_return others;
    }

    /// Pauses or resumes every process of an engine, and waits until /proc shows it, at most for
    /// `timeout`.
    asio::awaitable<result<void>> set_paused(const watch_ptr& watched, bool paused,
                                             duration timeout) {
        const auto engine = watched->ref.engine_id;
        result<process_table> others;
        const auto strand = co_await asio::this_coro::executor;
        growing_waits waits{strand, std::chrono::steady_clock::now() + timeout};
        for (;;) {
            auto signalling = signal_others(watched, paused);
            others = co_await std::move(signalling);
            if (!others) co_return unexpected{others.error()};
            if (has_ended(watched->pidfd()))
                co_return fail(errc::backend_error,
                               "engine " + to_string(engine) + ": its process has ended");
            if (others->empty()) co_return result<void>{};
            auto waiting = waits.next();
            if (!co_await std::move(waiting)) break;
            // A process in vfork cannot stop before its child has called exec, which the child
            // cannot do if it was stopped first. Resuming both lets them get past that.
            if (!paused || !waits.at_longest()) continue;
            auto resuming = signal_all(watched, SIGCONT);
            const auto resumed = co_await std::move(resuming);
            if (!resumed) co_return resumed;
        }
        // All processes are resumed rather than left paused in part.
        auto resuming = signal_all(watched, SIGCONT);
        const auto resumed = co_await std::move(resuming);
        if (!resumed) co_return resumed;
        co_return stuck(engine, *others, paused ? "stop" : "continue");
    }

    /// Sees that a socket which listens on an engine's port is the engine's: fails with `port_taken` if
    /// it is not, and if that cannot be told unless `trusts_unknown`. `watched` may be null.
    asio::awaitable<result<void>> check_listener(const watch_ptr& watched, listener found,
                                                 std::uint16_t port, bool trusts_unknown) {
        if (watched && watched->listener == found.inode) co_return result<void>{};
        auto owner = result<listener_owner>{listener_owner::stranger};
        if (watched) {
            auto looking = owner_of(watched, found);
            owner = co_await std::move(looking);
        }
        if (!owner) co_return unexpected{owner.error()};
        if (*owner == listener_owner::engine) watched->listener = found.inode;
        const bool is_refused = *owner == listener_owner::stranger ||
                                (*owner == listener_owner::unknown && !trusts_unknown);
        if (!is_refused) co_return result<void>{};
        co_return held_by_another(port);
    }

    /// Whose a socket that listens is.
    asio::awaitable<result<listener_owner>> owner_of(watch_ptr watched, listener socket) {
        if (watched->uid != 0)
            co_return socket.uid == watched->uid ? listener_owner::engine
                                                 : listener_owner::stranger;
        if (has_socket(watched->pid, socket.inode).value_or(false))
            co_return listener_owner::engine;
        auto finding = members(watched);
        const auto found = co_await std::move(finding);
        if (!found) co_return unexpected{found.error()};
        co_return owner_among(*found, socket.inode);
    }

    /// Ends the processes of an engine that has no leader any more: SIGTERM, then SIGKILL at the
    /// deadline.
    asio::awaitable<result<void>> end_unwatched(workload_marks marks, moment deadline) {
        const auto give_up = std::max(deadline, std::chrono::steady_clock::now()) + kill_timeout_;
        process_table found;
        for (;;) {
            auto reading = table_.read();
            const auto table = co_await std::move(reading);
            if (!table) co_return unexpected{table.error()};
            found = members_of(**table, marks, found);
            add_to(found, cgroups_.processes_of(marks.engine));
            const auto now = std::chrono::steady_clock::now();
            if (found.empty() || now >= deadline) kill_all(marks.engine, marks.uid);
            if (found.empty()) co_return result<void>{};
            if (now >= give_up) co_return stuck(marks.engine, found, "end");
            auto ending = end_these(found, now < deadline ? SIGTERM : SIGKILL,
                                    now < deadline ? deadline : give_up);
            const auto ended = co_await std::move(ending);
            if (!ended) co_return ended;
        }
    }

    /// Ends the other processes of a workload whose leader has ended: SIGKILL at the watch's
    /// deadline, until which those that were asked to end may do so by themselves.
    asio::awaitable<result<void>> end_rest(const watch_ptr& watched) {
        const auto begun_at = std::chrono::steady_clock::now();
        for (;;) {
            auto finding = members(watched);
            const auto found = co_await std::move(finding);
            if (!found) co_return unexpected{found.error()};
            const auto now = std::chrono::steady_clock::now();
            const auto deadline = watched->deadline; // may change during the waits
            if (found->empty() || now >= deadline) kill_all(watched->ref.engine_id, watched->uid);
            if (found->empty()) co_return result<void>{};
            const auto give_up = std::max(deadline, begun_at) + kill_timeout_;
            if (now >= give_up) co_return stuck(watched->ref.engine_id, *found, "end");
            auto ending = end_these(*found, now < deadline ? 0 : SIGKILL,
                                    now < deadline ? deadline : give_up);
            const auto ended = co_await std::move(ending);
            if (!ended) co_return ended;
        }
    }

    /// Signals processes, unless `signal` is 0, and waits until they have ended, at most until
    /// `until`.
    asio::awaitable<result<void>> end_these(const process_table& processes, int signal,
                                            moment until) {
        std::vector<descriptor> waited_for;
        for (const auto& process : processes) {
            auto pidfd = open_member(process);
            if (!pidfd) co_return unexpected{pidfd.error()};
            if (!*pidfd) continue;
            if (signal != 0) send_signal(pidfd->get(), signal);
            if (signal == SIGTERM) send_signal(pidfd->get(), SIGCONT);
            if (waited_for.size() < most_waited_for) waited_for.push_back(std::move(*pidfd));
        }
        for (auto& pidfd : waited_for) {
            auto waiting = wait_for_end(pidfd, until);
            static_cast<void>(co_await std::move(waiting)); // the next table shows what is left
        }
        co_return result<void>{};
    }

    /// Removes the control groups of an engine that has ended. The kernel may need a moment for
    /// processes that are about to be gone; groups that stay are used again by the engine's next start.
    asio::awaitable<void> remove_group(uuid engine) {
        constexpr duration patience{1'000};
        const auto strand = co_await asio::this_coro::executor;
        growing_waits waits{strand, std::chrono::steady_clock::now() + patience};
        while (!cgroups_.remove(engine)) {
            cgroups_.kill(engine);
            auto waiting = waits.next();
            if (!co_await std::move(waiting)) co_return;
        }
    }

    /// The failure of a call that these processes of an engine stand in the way of. `wanted` is a verb.
    static unexpected stuck(const uuid& engine, const process_table& processes,
                            std::string_view wanted) {
        return fail(errc::backend_error,
                    "engine " + to_string(engine) + ": " + why_unmoved(processes, wanted));
    }

private:
    /// The most processes of an engine that are waited for at a time.
    static constexpr std::size_t most_waited_for = 64;

    /// The running processes of a workload, from a new table.
    asio::awaitable<result<process_table>> members(const watch_ptr& watched) {
        auto reading = table_.read();
        const auto table = co_await std::move(reading);
        if (!table) co_return unexpected{table.error()};
        // If the leader or its zombie exists now, it did while the table was read.
        const bool held = is_our_child(watched->pidfd()) || !has_ended(watched->pidfd());
        if (held && watched->leader_ended) reap_orphans(**table, watched->pid);
        watched->members = members_of(**table,
                                      {.engine = watched->ref.engine_id,
                                       .session = watched->pid,
                                       .held = held,
                                       .uid = watched->uid},
                                      watched->members);
        add_to(watched->members, cgroups_.processes_of(watched->ref.engine_id));
        co_return watched->members;
    }

    /// Ends all processes of an engine's group and user. A process that starts others and ends all the
    /// time could outrun their being ended one by one, and be in no table.
    void kill_all(const uuid& engine, uid_t uid) const {
        cgroups_.kill(engine);
        if (uid != 0) static_cast<void>(kill_all_of(uid, killer_)); // a table shows what is left
    }

    process_table_reader table_;
    const duration kill_timeout_;
    const uid_t killer_;
    const engine_cgroups cgroups_;
};

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
