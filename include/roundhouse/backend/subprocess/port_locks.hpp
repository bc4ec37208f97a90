#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <sys/socket.h>
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

/// The name of a port's lock, in the abstract namespace of Unix sockets (unix(7)).
[[nodiscard]] inline std::string port_lock_name(std::uint16_t port) {
    return "roundhouse-port-" + std::to_string(port);
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
    return fail(errc::port_taken, "port " + std::to_string(port) +
                                      " is held by another server of this machine (the socket @" +
                                      name + ')');
}

/// The ports that this program holds against other servers of its network namespace, from the choice
/// of a port to the end of the workload that has it. From any thread.
class port_locks {
public:
    /// `log` may be empty.
    explicit port_locks(log_sink log) : log_{std::move(log)} {}

    /// Takes a port before it is known for which engine. If `keep` does not follow, the port is given
    /// back by a later call. Fails with `port_taken`.
    [[nodiscard]] result<void> reserve(std::uint16_t port) {
        const std::lock_guard lock{mutex_};
        const auto now = std::chrono::steady_clock::now();
        if (now - looked_at_ > longest_reservation) { // seldom, because there may be many ports
            looked_at_ = now;
            std::erase_if(held_, [now](const auto& entry) {
                return !entry.second.engine && now - entry.second.since > longest_reservation;
            });
        }
        return take(port, now);
    }

    /// Takes a port for an engine, until `release`. Fails with `port_taken`.
    [[nodiscard]] result<void> keep(std::uint16_t port, const uuid& engine) {
        const std::lock_guard lock{mutex_};
        if (auto taken = take(port, std::chrono::steady_clock::now()); !taken) return taken;
        if (const auto found = held_.find(port); found != held_.end())
            found->second.engine = engine;
        return {};
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

    [[nodiscard]] result<void> take(std::uint16_t port, moment now) {
        if (port == 0 || closed_) return {};
        if (const auto found = held_.find(port); found != held_.end()) {
            found->second.since = now;
            return {};
        }
        auto lock = lock_port(port);
        if (!lock) return unexpected{lock.error()};
        if (*lock) held_.emplace(port, held_port{std::move(*lock), std::nullopt, now});
        return {};
    }

    const log_sink log_;
    std::mutex mutex_;
    std::unordered_map<std::uint16_t, held_port> held_;
    moment looked_at_ = std::chrono::steady_clock::now(); ///< For reservations that are over.
    bool closed_ = false;
};

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
