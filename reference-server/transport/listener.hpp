#pragma once

#include "client_address.hpp"
#include "limits.hpp"

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

/// Handles a request: returns the reply, or opens the channel and returns nothing. The function
/// that the channel returns may be called at some time from any thread, and may be copied; only its
/// first call counts. The reply is a 500 if all copies are destroyed without a call, or if the
/// handler throws. Runs on a thread of the listener, so it must not block.
using request_handler =
    std::function<std::optional<http::reply>(const http::request&, http::reply_channel&)>;

struct listener_options {
    std::string host;       ///< A numeric address.
    std::uint16_t port = 0; ///< 0 stands for a free port.
    std::size_t loops = 1;  ///< Threads, each with an event loop and a listening socket.
    listener_limits limits;
    address_set trusted; ///< Proxies, which have no share of the connections.
    std::function<void(std::string_view)> warn; ///< Called from any thread.
};

/// Serves HTTP/1.1 on one address.
///
/// Each thread runs an event loop and has a listening socket on the shared address (SO_REUSEPORT).
/// A connection stays on one thread. Slow clients cost some memory, and no threads.
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
    [[nodiscard]] std::size_t connections() const;

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
