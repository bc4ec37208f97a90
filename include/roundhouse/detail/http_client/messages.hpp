#pragma once

#include <roundhouse/detail/ascii.hpp>
#include <roundhouse/detail/http_client/secure_peer.hpp>
#include <roundhouse/types.hpp>

#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail {

/// Where a request goes: `address:port`, a Unix socket, or over encrypted connections.
using http_peer =
    std::variant<asio::ip::tcp::endpoint, asio::local::stream_protocol::endpoint, secure_peer_ptr>;

using http_headers = std::vector<std::pair<std::string, std::string>>;

struct http_request {
    std::string method = "GET";
    std::string target = "/";
    http_headers headers; ///< Without Host, Connection and Content-Length: the client adds them.
    std::string body;
    /// The body is sent in pieces after the head, by `http_exchange::send_piece`, and `body` is empty.
    bool streamed = false;
};

struct http_response {
    unsigned status = 0;
    http_headers headers;
    std::string body;

    /// The first value of a header, or an empty text. The case of the name does not matter.
    [[nodiscard]] std::string_view header(std::string_view name) const {
        for (const auto& [key, value] : headers)
            if (same_but_case(key, name)) return value;
        return {};
    }
};

/// The deadline of an answer that goes on for as long as its reader likes.
inline constexpr duration no_deadline = std::chrono::hours{24 * 365 * 10};

/// Bounds on one request. A peer that exceeds one is given up.
struct http_limits {
    duration deadline = std::chrono::seconds{10}; ///< From the connect to the end of the answer.
    std::size_t header_bytes = std::size_t{16} * 1024;
    std::size_t header_count = 100;
    std::size_t interim_answers = 8; ///< Those with a status below 200.
    std::size_t body_bytes = std::size_t{1024} * 1024;
    /// All that is received: interim answers, and chunks' sizes, extensions and trailers too.
    std::size_t total_bytes = std::numeric_limits<std::size_t>::max();
    /// Whether to find out that a remote peer has vanished while nothing is read from it.
    bool watch_peer = false;
};

[[nodiscard]] inline std::string to_string(const http_peer& peer) {
    if (const auto* local = std::get_if<asio::local::stream_protocol::endpoint>(&peer)) {
        return local->path();
    }
    if (const auto* secure = std::get_if<secure_peer_ptr>(&peer)) return (*secure)->name();
    const auto& remote = std::get<asio::ip::tcp::endpoint>(peer);
    const auto address = remote.address().to_string();
    const auto host = remote.address().is_v6() ? '[' + address + ']' : address;
    return host + ':' + std::to_string(remote.port());
}

/// Whether no part of the request's head can end its line and add another header.
[[nodiscard]] inline bool well_formed(const http_request& request) {
    const auto clean = [](std::string_view text, char above) {
        return std::ranges::all_of(
            text, [above](char c) { return static_cast<unsigned char>(c) > above && c != 0x7F; });
    };
    return clean(request.method, ' ') && clean(request.target, ' ') &&
           std::ranges::all_of(request.headers, [&](const auto& header) {
               return clean(header.first, ' ') && clean(header.second, '\x1F');
           });
}

} // namespace detail

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
