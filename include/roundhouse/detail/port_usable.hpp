#pragma once

#include <roundhouse/version.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail {

/// Whether a port of this machine's loopback address is free. A listener on all addresses takes it
/// too. Makes a few system calls, and does not block.
[[nodiscard]] inline bool port_usable(std::uint16_t port) noexcept {
    if (port == 0) return false;
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return false;
    const int yes = 1; // so that connections in TIME_WAIT do not matter
    ::setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool free = ::bind(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
                      0;
    ::close(probe);
    return free;
}

} // namespace detail

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
