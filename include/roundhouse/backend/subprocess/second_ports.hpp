#pragma once

#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/backend/subprocess/port_owner.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/backend/subprocess/process_watch.hpp>
#include <roundhouse/backend/subprocess/unended.hpp>
#include <roundhouse/backend/subprocess/workload_processes.hpp>
#include <roundhouse/detail/run_on.hpp>
#include <roundhouse/detail/sock_diag.hpp>
#include <roundhouse/types.hpp>

#include <arpa/inet.h>
#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/strand.hpp>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

/// A socket that listens, and its port.
struct listening_port {
    std::uint16_t port = 0;
    listener socket;
};

/// All sockets that listen on a port of a range, on any address. Empty if the kernel does not tell.
[[nodiscard]] inline std::vector<listening_port> listeners_in(const port_range& ports) {
    std::vector<listening_port> found;
    const sock_diag kernel;
    for (const int family : {AF_INET, AF_INET6})
        if (kernel.list(family, 1U << TCP_LISTEN, ports.low, ports.high,
                        [&found](const inet_diag_msg& socket) {
                            found.push_back(
                                {.port = ntohs(socket.id.idiag_sport),
                                 .socket = {.inode = socket.idiag_inode, .uid = socket.idiag_uid}});
                        }) != 0)
            return {};
    return found;
}

/// An engine that runs, and by what its processes are known.
struct engine_session {
    uuid engine;
    pid_t leader = 0;       ///< Of its session.
    std::uint16_t port = 0; ///< Its own.
};

/// An engine that listens on a port that is not its own.
struct second_port {
    uuid engine;
    std::uint16_t port = 0;
};

/// Which engine a process belongs to, by its session and its parents. What it says of itself, in its
/// environment, does not count: it could have another engine ended.
class engine_sessions {
public:
    /// Keeps references to both.
    engine_sessions(const process_table& table, const std::vector<engine_session>& engines) {
        for (const auto& process : table) by_pid_.emplace(process.pid, &process);
        for (const auto& engine : engines) by_leader_.emplace(engine.leader, &engine);
    }

    /// The engine in whose session a process is, or by whose session it was started; null if none.
    [[nodiscard]] const engine_session* engine_of(const process_entry& process) const {
        const auto* each = &process;
        for (std::size_t above = 0; above < by_pid_.size(); ++above) {
            if (const auto found = by_leader_.find(each->stat.session); found != by_leader_.end())
                return found->second;
            const auto parent = by_pid_.find(each->stat.parent);
            // A parent that began later has the pid of an earlier one.
            if (parent == by_pid_.end() || parent->second == each ||
                parent->second->stat.start_time > each->stat.start_time)
                return nullptr;
            each = parent->second;
        }
        return nullptr;
    }

private:
    std::unordered_map<pid_t, const process_entry*> by_pid_;
    std::unordered_map<pid_t, const engine_session*> by_leader_;
};

/// Which of these listeners belong to an engine whose port is another one. Looks at the descriptors
/// of all processes, which takes milliseconds.
[[nodiscard]] inline std::vector<second_port>
find_second_ports(const process_table& table, const std::vector<engine_session>& engines,
                  const std::vector<listening_port>& listeners) {
    const engine_sessions sessions(table, engines);
    std::unordered_map<std::uint32_t, std::uint16_t> ports;
    for (const auto& each : listeners) ports.emplace(each.socket.inode, each.port);
    std::vector<second_port> found;
    for (const auto& process : table) {
        const auto* const engine = sessions.engine_of(process);
        if (engine == nullptr) continue;
        static_cast<void>(any_socket(process.pid, [&](std::uint32_t inode) {
            const auto port = ports.find(inode);
            if (port == ports.end() || port->second == engine->port) return false;
            found.push_back({.engine = engine->engine, .port = port->second});
            return true;
        }));
    }
    return found;
}

/// Ends engines that listen on a port of the range that is not their own: it may be another engine's
/// next. Used on the supervisor's strand only.
class second_ports {
public:
    /// An empty range: nothing is looked at. `unended` gets those that cannot be ended.
    second_ports(const asio::any_io_executor& executor, const port_range& ports,
                 unended_processes& unended)
        : executor_{executor}, ports_{ports}, unended_{unended} {}

    /// Looks once at the listeners of the machine, for all engines. The end of an engine is reported
    /// as a crash, with the reason.
    asio::awaitable<void> look(std::vector<watch_ptr> running, workload_processes& processes) {
        if (ports_.empty() || running.empty()) co_return;
        auto unknown = sort_out(listeners_in(ports_), running);
        if (unknown.empty()) co_return;
        auto reading = processes.table();
        const auto table = co_await std::move(reading);
        if (!table) {
            seen_.clear(); // for the next look
            co_return;
        }
        std::vector<engine_session> engines;
        for (const auto& watched : running)
            if (watched->uid == 0 && !has_ended(watched->pidfd())) // so its pid was its own above
                engines.push_back({.engine = watched->ref.engine_id,
                                   .leader = watched->pid,
                                   .port = watched->ref.port});
        auto finding = find(*table, std::move(engines), std::move(unknown));
        auto elsewhere = run_on(asio::make_strand(executor_), std::move(finding));
        const auto found = co_await std::move(elsewhere);
        for (const auto& [engine, port] : found)
            for (const auto& watched : running)
                if (watched->ref.engine_id == engine) end(*watched, port);
    }

private:
    /// Ends those that are known by their user, and returns the listeners whose owner is not known
    /// and that no earlier look has seen.
    std::vector<listening_port> sort_out(const std::vector<listening_port>& listeners,
                                         const std::vector<watch_ptr>& running) {
        std::unordered_map<uid_t, process_watch*> by_user;
        std::unordered_set<std::uint32_t> own;
        for (const auto& watched : running) {
            if (watched->uid != 0) by_user.emplace(watched->uid, watched.get());
            if (watched->listener != 0) own.insert(watched->listener);
            // Earlier looks may have taken the listeners of an engine that was found later for a
            // stranger's.
            if (!std::exchange(watched->looked_at, true)) seen_.clear();
        }
        std::vector<listening_port> unknown;
        std::unordered_set<std::uint32_t> now;
        for (const auto& each : listeners) {
            if (own.contains(each.socket.inode)) continue;
            if (const auto user = by_user.find(each.socket.uid); user != by_user.end()) {
                if (user->second->ref.port != each.port) end(*user->second, each.port);
                continue;
            }
            now.insert(each.socket.inode);
            if (!seen_.contains(each.socket.inode)) unknown.push_back(each);
        }
        seen_ = std::move(now);
        return unknown;
    }

    static asio::awaitable<std::vector<second_port>> find(process_table_reader::snapshot table,
                                                          std::vector<engine_session> engines,
                                                          std::vector<listening_port> listeners) {
        co_return find_second_ports(*table, engines, listeners);
    }

    void end(process_watch& watched, std::uint16_t port) {
        if (watched.asked || watched.leader_ended || !watched.end_reason.empty()) return;
        if (!may_signal(watched.pidfd()) && !has_ended(watched.pidfd()))
            return unended_.refused(
                "an engine listens on a port that is not its own, and cannot be ended for it",
                leader_of(watched));
        watched.end_reason = "it listened on port " + std::to_string(port) +
                             ", which is not its own.";
        send_signal(watched.pidfd(), SIGKILL); // its watch ends the rest
    }

    const asio::any_io_executor executor_;
    const port_range ports_;
    unended_processes& unended_;
    std::unordered_set<std::uint32_t> seen_; ///< Inodes of listeners, as of the last look.
};

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
