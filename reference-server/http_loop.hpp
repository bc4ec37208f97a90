#pragma once

#include "listener.hpp"

#include <asio/ip/tcp.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

namespace roundhouse::server {

/// The state that all loops of a listener share. Only the counts change.
struct shared_loop_state {
    listener_limits limits;
    request_handler handler;
    std::function<void(std::string_view)> warn;

    std::atomic<std::size_t> connections{0};
    std::atomic<std::size_t> draining_loops{0}; ///< Loops that have stopped accepting.

    /// Counts a new connection. Returns false if there are `max_connections` already.
    [[nodiscard]] bool try_add_connection() noexcept;
    void remove_connection() noexcept;
    /// Wakes `wait_until_drained` after a count has changed.
    void notify() noexcept;
    /// Waits until all `loops` loops are draining and no connection is left. Returns false if that
    /// takes longer than `timeout`.
    [[nodiscard]] bool wait_until_drained(std::size_t loops, std::chrono::milliseconds timeout);

private:
    std::mutex mutex_;
    std::condition_variable changed_;
};

/// An event loop that accepts connections and serves them, all on the thread that calls `run`.
class http_loop : public std::enable_shared_from_this<http_loop> {
public:
    /// Opens a listening socket that shares its address with the sockets of other loops. Throws
    /// `std::system_error`.
    http_loop(std::shared_ptr<shared_loop_state> shared, const asio::ip::tcp::endpoint& address);
    ~http_loop();
    http_loop(const http_loop&) = delete;
    http_loop& operator=(const http_loop&) = delete;

    [[nodiscard]] asio::ip::tcp::endpoint address() const;

    /// Serves until `stop` is called or the loop is drained. Call it from one thread only.
    void run();
    /// Stops accepting, closes idle connections, and closes the others after their replies. Any
    /// thread.
    void drain();
    /// Makes `run` return. Any thread.
    void stop();

private:
    class implementation; // Keeps RESTinio out of this header.
    friend class pending_reply;
    std::unique_ptr<implementation> implementation_;
};

} // namespace roundhouse::server
