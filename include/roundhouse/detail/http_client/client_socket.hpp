#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/types.hpp>

#include <asio/error.hpp>
#include <asio/error_code.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail {

using client_socket = asio::generic::stream_protocol::socket;

/// Opens a socket that is close-on-exec, which Asio's own are not.
inline void open_socket(client_socket& socket, const asio::generic::stream_protocol& protocol,
                        asio::error_code& failed) {
    const int number = ::socket(protocol.family(), protocol.type() | SOCK_CLOEXEC, 0);
    if (number < 0) {
        failed.assign(errno, asio::error::get_system_category());
        return;
    }
    socket.assign(protocol, number, failed);
    if (failed) ::close(number);
}

/// Sets what connections of TCP need: no delay, because else a request waits for the
/// acknowledgement of the one before; and, to `watch` the peer, keepalive (tcp(7)): after 15 s of
/// silence three probes, 5 s apart. Failures are ignored: they cost time, and the peer's end is
/// noticed later.
inline void set_tcp_options(client_socket& socket, bool watch) {
    const auto set = [&](int level, int name, int value) {
        static_cast<void>(::setsockopt(socket.native_handle(), level, name, &value, sizeof value));
    };
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    if (!watch) return;
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 15);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

} // namespace detail

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
