#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/backend/subprocess/port_lock_holders.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

/// The failure of a port that is locked, by a socket of this user if the kernel tells it.
[[nodiscard]] inline unexpected port_is_locked(std::uint16_t port,
                                               const std::optional<uid_t>& holder) {
    const auto whose = holder ? ", by a process of user " + std::to_string(*holder) : std::string();
    return fail(errc::port_taken, "port " + std::to_string(port) +
                                      " is held by another server of this machine (the socket @" +
                                      port_lock_name(port) + whose + ')');
}

/// Takes the lock of a port, which is held while the descriptor is open. The kernel ends it with this
/// program. Fails with `port_taken` if another holds it. Empty if this machine gives no such sockets
/// to this program: a port is then protected by being bound only.
[[nodiscard]] inline result<descriptor> lock_port(std::uint16_t port) {
    descriptor lock{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!lock) return lock;
    const auto name = port_lock_name(port);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size()); // a first byte of 0: abstract
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (::bind(lock.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0) return lock;
    if (errno != EADDRINUSE) return descriptor{};
    return port_is_locked(port, std::nullopt);
}

/// The ports that this program holds against other servers of its network namespace, from the choice
/// of a port to the end of the workload that has it. An engine may bind the name of a lock too, which
/// Landlock does not restrict: a name that a user of engines has is no obstacle. From any thread.
class port_locks {
public:
    /// `log` may be empty. `of_engines` are the users that engines have for themselves.
    port_locks(log_sink log, const uid_range& of_engines)
        : log_{std::move(log)}, of_engines_{of_engines} {}

    /// Takes a port before it is known for which engine. If `keep` does not follow, the port is given
    /// back by a later call. Fails with `port_taken`.
    [[nodiscard]] result<void> reserve(std::uint16_t port) {
        return unless_an_engine_has(port, take(port, std::nullopt));
    }

    /// Takes a port for an engine, until `release`. Fails with `port_taken`.
    [[nodiscard]] result<void> keep(std::uint16_t port, const uuid& engine) {
        return unless_an_engine_has(port, take(port, engine));
    }

    /// The same for a workload that runs already. One whose port another holds is logged.
    void keep_running(const workload_ref& ref) {
        const auto kept = keep(ref.port, ref.engine_id);
        if (kept || !log_) return;
        const auto id = to_string(ref.engine_id);
        const std::array<log_field, 2> fields{log_field{"engine_id", id},
                                              log_field{"cause", kept.error().message}};
        log_({.level = log_level::warning,
              .message = "an engine runs on a port that another server holds too: it gets another "
                         "port at a boot after its port has been taken",
              .fields = fields});
    }

    /// Gives a port back that an engine had, or that was reserved. One that another engine has by now
    /// is left to that.
    void release(std::uint16_t port, const std::optional<uuid>& engine = {}) {
        const std::lock_guard lock{mutex_};
        const auto found = held_.find(port);
        if (found == held_.end()) return;
        if (!found->second.engine || found->second.engine == engine) held_.erase(found);
    }

    /// Gives all ports back, and holds none any more.
    void close() {
        const std::lock_guard lock{mutex_};
        closed_ = true;
        held_.clear();
    }

private:
    using moment = std::chrono::steady_clock::time_point;

    /// Longer than boots wait in most queues. One that waits longer takes its port anew.
    static constexpr std::chrono::minutes longest_reservation{5};

    struct held_port {
        descriptor lock;
        std::optional<uuid> engine; ///< Empty while it is only reserved.
        moment since;
    };

    [[nodiscard]] result<void> take(std::uint16_t port, const std::optional<uuid>& engine) {
        const std::lock_guard lock{mutex_};
        if (port == 0 || closed_) return {};
        const auto now = std::chrono::steady_clock::now();
        if (!engine) forget_reservations(now);
        auto found = held_.find(port);
        if (found == held_.end()) {
            auto taken = lock_port(port);
            if (!taken) return unexpected{taken.error()};
            if (!*taken) return {};
            found = held_.emplace(port, held_port{std::move(*taken), std::nullopt, now}).first;
        }
        found->second.since = now;
        if (engine) found->second.engine = engine;
        return {};
    }

    /// Gives those back that are over. Looks seldom, because there may be many ports.
    void forget_reservations(moment now) {
        if (now - looked_at_ <= longest_reservation) return;
        looked_at_ = now;
        std::erase_if(held_, [now](const auto& entry) {
            return !entry.second.engine && now - entry.second.since > longest_reservation;
        });
    }

    /// What it means that a port could not be taken: nothing, if an engine has the name of its lock.
    /// Then the port is protected by being bound only. Else the failure names the holder.
    [[nodiscard]] result<void> unless_an_engine_has(std::uint16_t port, const result<void>& taken) {
        if (taken) return taken;
        const auto holder = holder_of(port);
        if (!holder || !of_engines_.contains(*holder)) return port_is_locked(port, holder);
        if (!is_news(port, *holder) || !log_) return {};
        const std::array<log_field, 2> fields{log_field{"port", port}, log_field{"uid", *holder}};
        log_(
            {.level = log_level::warning,
             .message = "an engine has the name by which servers hold a port: the port is given to "
                        "engines all the same, and is not held against other servers",
             .fields = fields});
        return {};
    }

    /// The user of the process that has the lock of a port. Empty if the kernel does not tell, or
    /// nobody has it any more. A choice of a port asks about many that other servers hold: for those
    /// one list serves some time. That an engine is the holder is asked anew each time, because a
    /// server that comes after it counts.
    [[nodiscard]] std::optional<uid_t> holder_of(std::uint16_t port) {
        constexpr std::chrono::seconds still_held{1};
        const std::lock_guard lock{holders_mutex_};
        const auto known = holders_.find(port);
        if (known != holders_.end() && !of_engines_.contains(known->second) &&
            std::chrono::steady_clock::now() - listed_at_ < still_held)
            return known->second;
        holders_ = port_lock_holders();
        listed_at_ = std::chrono::steady_clock::now();
        const auto found = holders_.find(port);
        return found != holders_.end() ? std::optional(found->second) : std::nullopt;
    }

    /// Whether this holder of a port is not the one that was told last.
    [[nodiscard]] bool is_news(std::uint16_t port, uid_t holder) {
        const std::lock_guard lock{holders_mutex_};
        return std::exchange(told_[port], holder) != holder;
    }

    const log_sink log_;
    const uid_range of_engines_;
    std::mutex mutex_;
    std::unordered_map<std::uint16_t, held_port> held_;
    moment looked_at_ = std::chrono::steady_clock::now(); ///< For reservations that are over.
    bool closed_ = false;

    std::mutex holders_mutex_;
    std::unordered_map<std::uint16_t, uid_t> holders_; ///< At `listed_at_`.
    moment listed_at_;
    std::unordered_map<std::uint16_t, uid_t> told_; ///< The last holder in the log, of each port.
};

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
