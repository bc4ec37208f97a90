#pragma once

#include <roundhouse/detail/sock_diag.hpp>
#include <roundhouse/version.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <unordered_set>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail {

/// The ports on which connections of this machine are being closed, such as those of an engine that
/// has just ended. They keep a port bound for up to a minute (TIME_WAIT).
class closing_ports {
public:
    /// Whether a connection with this port of its own is being closed. True if the kernel does not
    /// tell. To ask the kernel takes milliseconds: one look serves all that is asked soon after.
    [[nodiscard]] bool contains(std::uint16_t port) {
        constexpr std::chrono::seconds still_closing{1};
        constexpr std::chrono::milliseconds still_all{10};
        const auto now = std::chrono::steady_clock::now();
        if (seen_at_ && now - *seen_at_ < still_closing && ports_.contains(port)) return true;
        if (!seen_at_ || now - *seen_at_ >= still_all) look();
        return !known_ || ports_.contains(port);
    }

private:
    void look() {
        constexpr std::uint32_t states = 1U << TCP_FIN_WAIT1 | 1U << TCP_FIN_WAIT2 |
                                         1U << TCP_CLOSING | 1U << TCP_LAST_ACK |
                                         1U << TCP_TIME_WAIT;
        ports_.clear();
        known_ = true;
        const sock_diag kernel;
        for (const int family : {AF_INET, AF_INET6}) // 127.0.0.1 may have been mapped
            if (kernel.list(family, states, 1, UINT16_MAX, [this](const inet_diag_msg& socket) {
                    ports_.insert(ntohs(socket.id.idiag_sport));
                }) != 0)
                known_ = false;
        seen_at_ = std::chrono::steady_clock::now();
    }

    std::unordered_set<std::uint16_t> ports_;
    std::optional<std::chrono::steady_clock::time_point> seen_at_;
    bool known_ = false;
};

/// Binds a socket of IPv4 to a port of the loopback address. `shared`: beside others with
/// SO_REUSEADDR of which none listens. On failure returns false, with the cause in errno.
[[nodiscard]] inline bool bind_loopback(int socket, std::uint16_t port, bool shared) noexcept {
    const int share = shared ? 1 : 0;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &share, sizeof share);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

/// Whether a socket can be bound to a port of the loopback address, `shared` as above.
[[nodiscard]] inline bool can_bind(std::uint16_t port, bool shared) noexcept {
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return false;
    const bool bound = bind_loopback(probe, port, shared);
    ::close(probe);
    return bound;
}

/// Whether a port of this machine's loopback address is free. Who has bound it takes it, also on all
/// addresses and without listening; connections that are being closed do not. Makes a few system
/// calls, and does not block.
[[nodiscard]] inline bool port_usable(std::uint16_t port) {
    if (port == 0) return false;
    if (can_bind(port, false)) return true;
    // What is left may be a stranger who does not listen yet, or connections of an engine that has
    // ended. The kernel lists the latter only (before Linux 6.8).
    thread_local closing_ports closing;
    return can_bind(port, true) && closing.contains(port);
}

} // namespace detail

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
