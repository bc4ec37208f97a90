#pragma once

#include "listener.hpp"

#include <asio/ip/tcp.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

namespace roundhouse::server {

/// What the loops of one listener share. Immutable but for the counts.
struct loops_in_common {
    listener_limits limits;
    request_handler handler;
    std::function<void(std::string_view)> warn;

    std::atomic<std::size_t> connections{0};
    std::atomic<std::size_t> draining{0}; ///< Loops that have stopped accepting.

    /// Counts a connection, unless there are as many as there may be.
    [[nodiscard]] bool take_place() noexcept;
    void give_place_back() noexcept;
    /// Tells who waits in `wait_until_empty` to look again.
    void tell() noexcept;
    /// Waits until so many loops drain and no connection is left.
    bool wait_until_empty(std::size_t loops, std::chrono::milliseconds most);

private:
    std::mutex mutex_;
    std::condition_variable changed_;
};

/// One event loop: it accepts connections and runs them, all on the thread that is in `run`.
class http_loop : public std::enable_shared_from_this<http_loop> {
public:
    /// Opens a listening socket that shares its address with those of other loops. Throws
    /// `std::system_error`.
    http_loop(std::shared_ptr<loops_in_common> common, const asio::ip::tcp::endpoint& address);
    ~http_loop();
    http_loop(const http_loop&) = delete;
    http_loop& operator=(const http_loop&) = delete;

    [[nodiscard]] asio::ip::tcp::endpoint address() const;

    /// Serves until `stop`, or until it is drained. Call it from one thread.
    void run();
    /// Stops accepting, closes idle connections, and each other one after its answers. Any thread.
    void drain();
    /// Makes `run` return. Any thread.
    void stop();

private:
    class implementation; // keeps RESTinio out of this header
    friend class pending_reply;
    std::unique_ptr<implementation> implementation_;
};

} // namespace roundhouse::server
