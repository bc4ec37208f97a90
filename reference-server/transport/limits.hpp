#pragma once

#include <chrono>
#include <cstddef>

namespace roundhouse::server {

/// The limits that a listener sets to its clients.
struct listener_limits {
    /// Connections at the same time, over all addresses. When all places are taken, a new client
    /// gets the place of the idlest connection of the address that has most.
    std::size_t max_connections = 10'000;
    /// Connections of one client address at the same time; further ones are closed at once.
    std::size_t max_connections_per_address = 10'000;

    std::size_t max_method_bytes = 32;
    std::size_t max_target_bytes = std::size_t{8} * 1024;
    std::size_t max_field_name_bytes = 256;
    std::size_t max_field_value_bytes = std::size_t{8} * 1024;
    std::size_t max_field_count = 100;
    std::size_t max_head_bytes = std::size_t{32} * 1024;
    /// Longer bodies are read and dropped, and `request::body_too_large` is set.
    std::size_t max_body_bytes = std::size_t{64} * 1024;
    /// A body that announces more than this is not read: its connection is closed after the reply.
    std::size_t max_dropped_bytes = std::size_t{16} * 1024 * 1024;
    /// The extensions of all chunks of a body together, and its trailers.
    std::size_t max_chunk_extension_bytes = std::size_t{4} * 1024;
    std::size_t max_trailer_bytes = std::size_t{8} * 1024;
    /// Replies that a client has not received yet. Beyond this its further requests wait until all
    /// of them are sent.
    std::size_t max_unsent_bytes = std::size_t{32} * 1024;

    /// From the connect until TLS is set up.
    std::chrono::milliseconds handshake_timeout = std::chrono::seconds{10};
    /// From the end of a request to the beginning of the next, and from the connect to the first.
    std::chrono::milliseconds idle_timeout = std::chrono::seconds{75};
    /// From the first byte of a head to its end.
    std::chrono::milliseconds head_timeout = std::chrono::seconds{10};
    /// From the end of a head to the end of the body.
    std::chrono::milliseconds body_timeout = std::chrono::seconds{30};
    /// How long a client may take to receive what is to be sent.
    std::chrono::milliseconds reply_timeout = std::chrono::seconds{30};
    /// How long a handler may take. Handlers have deadlines of their own: this one only ends
    /// requests that were forgotten.
    std::chrono::milliseconds handler_timeout = std::chrono::hours{24};
    /// How long a connection whose last reply was sent is read, so that the client can receive it:
    /// closing it with bytes unread would reset it.
    std::chrono::milliseconds linger_timeout = std::chrono::seconds{2};
    /// How often the time limits are checked, and so their accuracy.
    std::chrono::milliseconds timeout_check_interval = std::chrono::seconds{1};
    /// The wait after a failed accept, for example when there is no free file descriptor.
    std::chrono::milliseconds accept_retry = std::chrono::milliseconds{100};
};

} // namespace roundhouse::server
