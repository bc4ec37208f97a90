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
struct shared_loop_state;

/// Handles a request: returns the reply, or returns nothing and calls `later` at some time, from
/// any thread. `later` may be copied; only its first call counts. The reply is a 500 if all copies
/// are destroyed without a call, or if the handler throws. Runs on a thread of the listener, so it
/// must not block.
using request_handler = std::function<std::optional<http::reply>(
    const http::request&, std::function<void(http::reply)> later)>;

/// The limits that a listener sets to its clients.
struct listener_limits {
    /// Further connections are closed as soon as they are accepted.
    std::size_t max_connections = 10'000;
    /// Longer bodies are read and dropped, and `request::body_too_large` is set.
    std::size_t max_body_bytes = std::size_t{64} * 1024;
    std::size_t max_target_bytes = std::size_t{8} * 1024;
    std::size_t max_header_name_bytes = 256;
    std::size_t max_header_value_bytes = std::size_t{8} * 1024;
    std::size_t max_header_count = 100;
    /// Requests of a connection that are handled at the same time. They are answered in order.
    /// Further requests are not read until one has been answered.
    std::size_t max_pipelined = 4;
    /// From the end of one request to the end of the next, so that it bounds idle connections as
    /// well as slow clients.
    std::chrono::milliseconds request_timeout = std::chrono::seconds{75};
    /// How long a client may take to receive its reply.
    std::chrono::milliseconds reply_timeout = std::chrono::seconds{60};
    /// How long a handler may take. Handlers have deadlines of their own: this one only ends
    /// requests that were forgotten.
    std::chrono::milliseconds handler_timeout = std::chrono::hours{24};
    /// How often the time limits of each connection are checked, and so their accuracy.
    std::chrono::milliseconds timeout_check_interval = std::chrono::seconds{5};
    /// The wait after a failed accept, for example when there is no free file descriptor.
    std::chrono::milliseconds accept_retry = std::chrono::milliseconds{100};
};

struct listener_options {
    std::string host;       ///< A numeric address.
    std::uint16_t port = 0; ///< 0 stands for a free port.
    std::size_t loops = 1;  ///< Threads, each with an event loop and a listening socket.
    listener_limits limits;
    std::function<void(std::string_view)> warn; ///< Called from any thread.
};

/// Serves HTTP/1.1 on one address.
///
/// Each thread runs an event loop and has a listening socket on the shared address (SO_REUSEPORT).
/// A connection stays on one thread. Slow clients cost memory, and no threads.
class listener {
public:
    /// Starts to listen. Throws `std::system_error` if it cannot, and also if another server
    /// listens on the address, which SO_REUSEPORT would allow.
    listener(listener_options options, request_handler handler);
    /// Stops without draining.
    ~listener();
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    [[nodiscard]] std::size_t connections() const noexcept;

    /// Stops accepting, closes idle connections, and waits for the calls under way, whose
    /// connections close after the reply. Returns false if some are still under way after
    /// `timeout`. Blocks.
    [[nodiscard]] bool drain(std::chrono::milliseconds timeout);

    /// Closes all connections and joins the threads. Later replies are dropped.
    void stop();

private:
    std::shared_ptr<shared_loop_state> shared_;
    std::vector<std::shared_ptr<http_loop>> loops_;
    std::vector<std::thread> threads_;
    std::uint16_t port_ = 0;
};

} // namespace roundhouse::server
