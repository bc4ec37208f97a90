#pragma once

#include "client_address.hpp"
#include "limits.hpp"
#include "tls_settings.hpp"

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

/// Where a listener listens: at a host and port, at a path, or on a socket that listens already.
struct listening_place {
    std::string host = {};      ///< A numeric address.
    std::uint16_t port = 0;     ///< 0 stands for a free port.
    std::string unix_path = {}; ///< Of a Unix socket, in place of host and port.
    int descriptor = -1;        ///< Of a socket that was opened by others, in place of both.
    std::shared_ptr<const tls_settings> tls = {}; ///< Null for connections in the clear.
};

struct listener_options {
    std::vector<listening_place> places;
    std::size_t loops = 1; ///< Threads, each with an event loop and a socket for each place.
    listener_limits limits = {};
    address_set trusted = {}; ///< Proxies, which have no share of the connections.
    std::function<void(std::string_view)> warn = {}; ///< Called from any thread.
};

/// Serves HTTP/1.1.
///
/// Each thread runs an event loop and has a listening socket on the shared address (SO_REUSEPORT).
/// A connection stays on one thread. Slow clients cost some memory, and no threads.
class listener {
public:
    /// Starts to listen. Throws `std::system_error`, whose text names the place, if it cannot, and
    /// also if another server listens there, which SO_REUSEPORT would allow.
    listener(listener_options options, request_handler handler);
    /// Stops without draining.
    ~listener();
    listener(const listener&) = delete;
    listener& operator=(const listener&) = delete;

    /// The port of the first place; 0 if that has none.
    [[nodiscard]] std::uint16_t port() const noexcept { return ports_.front(); }
    /// Those of all places.
    [[nodiscard]] const std::vector<std::uint16_t>& ports() const noexcept { return ports_; }
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
    std::vector<std::uint16_t> ports_;
    std::vector<std::string> unix_paths_; ///< To be removed at the end.
};

} // namespace roundhouse::server
