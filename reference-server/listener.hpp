#pragma once

#include <roundhouse/http/reply.hpp>
#include <roundhouse/http/request.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace roundhouse::server {

class http_loop;
struct loops_in_common;

/// Answers a request: with a reply now, or with none and a call of `later` some time, from any
/// thread. `later` may be copied; its first call counts. If all copies go without a call, the
/// answer is a 500. Runs on a listener's thread, so it must not block. What it throws becomes a
/// 500.
using request_handler = std::function<std::optional<http::reply>(
    const http::request&, std::function<void(http::reply)> later)>;

/// The bounds that a listener keeps its clients to.
struct listener_limits {
    std::size_t max_connections = 10'000; ///< Further ones are closed as soon as they are accepted.
    std::size_t max_body_bytes =
        std::size_t{64} * 1024; ///< What is longer is read and thrown away; `body_too_large` tells.
    std::size_t max_target_bytes = std::size_t{8} * 1024;
    std::size_t max_header_name_bytes = 256;
    std::size_t max_header_value_bytes = std::size_t{8} * 1024;
    std::size_t max_header_count = 100;
    /// Calls of one connection under way at once: answered in order, and more are not read until
    /// one is answered.
    std::size_t max_pipelined = 4;
    /// From the end of one request to the end of the next: an idle connection and a slow client get
    /// the same.
    std::chrono::milliseconds request_timeout = std::chrono::seconds{75};
    std::chrono::milliseconds reply_timeout = std::chrono::seconds{
        60}; ///< For a client to take its reply.
    /// For the handler, which has deadlines of its own: this one only ends what was forgotten.
    std::chrono::milliseconds handler_timeout = std::chrono::hours{24};
    /// How often each connection's time limits are looked at: they are kept this exactly.
    std::chrono::milliseconds timeout_check_interval = std::chrono::seconds{5};
    /// How long accepting pauses after an error, such as no free file descriptor.
    std::chrono::milliseconds accept_retry = std::chrono::milliseconds{100};
};

struct listener_options {
    std::string host;       ///< A numeric address.
    std::uint16_t port = 0; ///< 0 takes a free one.
    std::size_t loops = 1;  ///< Threads, each with its own event loop and its own listening socket.
    listener_limits limits;
    std::function<void(std::string_view)> warn; ///< Called from any thread.
};

/// Serves HTTP/1.1 on one address.
///
/// Each thread runs an event loop of its own, with a listening socket of its own on the shared
/// address (SO_REUSEPORT): a connection lives and dies on one thread, and any number of slow
/// clients costs no more than memory.
class listener {
public:
    /// Listens when it returns. Throws `std::system_error` if it cannot, also where SO_REUSEPORT
    /// would let it share the address with another server.
    listener(listener_options options, request_handler handler);
    /// Stops at once.
    ~listener();
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] std::size_t connections() const noexcept;

    /// Stops accepting, closes idle connections, and gives the calls under way so long to end;
    /// their connections close after the answer. True if all did. Blocks.
    bool drain(std::chrono::milliseconds most);

    /// Closes every connection and joins the threads. Calls that are answered later are answered
    /// into the void.
    void stop();

private:
    std::shared_ptr<loops_in_common> common_;
    std::vector<std::shared_ptr<http_loop>> loops_;
    std::vector<std::thread> threads_;
    std::uint16_t port_ = 0;
};

} // namespace roundhouse::server
