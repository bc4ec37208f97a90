#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/backend/subprocess/port_owner.hpp>
#include <roundhouse/detail/port_usable.hpp>
#include <roundhouse/error.hpp>

#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

/// The number that a passed socket has among the engine's descriptors (`ENGINE_LISTEN_FD`).
inline constexpr int listener_number = 3;

/// Makes the socket that an engine is passed: it listens on a port of 127.0.0.1, and connections
/// wait in it until the engine accepts them. It belongs to `uid`, unless that is 0, so that the
/// kernel names the engine's user as the one who listens. Empty if the options pass none. Fails with
/// `port_taken` if another process has bound the port; connections there that are being closed do
/// not count. Does not block.
[[nodiscard]] inline result<descriptor> listener_to_pass(const subprocess_options& options,
                                                         std::uint16_t port, uid_t uid) {
    if (!options.pass_listener) return descriptor{};
    const auto name = "cannot listen for an engine on port " + std::to_string(port);
    descriptor listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!listener) return failed(name, errno);
    constexpr bool shared = true; // with connections that are being closed
    // If a stranger has bound it and shares it too, the second of the two cannot listen.
    if (!bind_loopback(listener.get(), port, shared) || ::listen(listener.get(), SOMAXCONN) != 0) {
        if (errno == EADDRINUSE) return held_by_another(port);
        return failed(name, errno);
    }
    constexpr auto same_group = static_cast<gid_t>(-1);
    if (uid != 0 && ::fchown(listener.get(), uid, same_group) != 0)
        return failed(name + " and give the socket to its user", errno);
    return listener;
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
