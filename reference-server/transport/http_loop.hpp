#pragma once

#include "connection.hpp"
#include "connection_lists.hpp"
#include "connection_places.hpp"
#include "event_loop.hpp"
#include "limits.hpp"
#include "listener.hpp"
#include "tls_settings.hpp"
#include "warning_limiter.hpp"

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <ctime>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse::server {

/// The state that all loops of a listener share.
struct shared_loop_state {
    shared_loop_state(const listener_options& options, request_handler handles);

    const listener_limits limits;
    const address_set trusted;
    const request_handler handler;
    const std::function<void(std::string_view)> warn;
    connection_places places;
    std::atomic<std::size_t> draining_loops{0}; ///< Loops that have stopped accepting.

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
    /// A socket that listens, and does not block.
    struct listening {
        int descriptor = -1;
        std::shared_ptr<const tls_settings> tls; ///< Null for connections in the clear.
    };

    /// Takes the sockets.
    http_loop(std::shared_ptr<shared_loop_state> shared, const std::vector<listening>& sockets);
    http_loop(const http_loop&) = delete;
    http_loop& operator=(const http_loop&) = delete;

    /// Serves until `stop` is called. Call it from one thread, once.
    void run();
    /// Stops accepting, closes idle connections, and closes the others after their replies. Any
    /// thread.
    void drain();
    /// Makes `run` close all connections and return. Any thread.
    void stop() noexcept;

    // For the loop's connections, on its thread.

    [[nodiscard]] const listener_limits& limits() const noexcept { return shared_->limits; }
    [[nodiscard]] const request_handler& handler() const noexcept { return shared_->handler; }
    [[nodiscard]] event_loop& events() noexcept { return events_; }
    [[nodiscard]] bool draining() const noexcept { return draining_; }
    /// What a connection receives into, for as long as it does nothing else.
    [[nodiscard]] auto& read_buffer() noexcept { return read_buffer_; }
    /// Lends memory to an empty text, and takes it back: an idle connection needs none.
    void lend_buffer(std::string& to) noexcept;
    void return_buffer(std::string& from) noexcept;
    /// The present time, as replies tell it.
    [[nodiscard]] std::string_view date();
    /// Writes a line, unless one of its kind was written less than a minute ago.
    void warn(warning_kind kind, std::string_view message);
    void warn_of_setup(const std::exception& problem);
    void wait_as(connection& what, waiting_for until) noexcept;
    void forget(connection& closed) noexcept;

private:
    /// A socket that listens. Closed with this object.
    class listening_socket final : public event_handler {
    public:
        listening_socket(http_loop& loop, listening socket);
        ~listening_socket();
        listening_socket(const listening_socket&) = delete;
        listening_socket& operator=(const listening_socket&) = delete;

        void on_events(std::uint32_t events) override;

    private:
        void pause();

        http_loop& loop_;
        const listening socket_;
    };

    void admit(int descriptor, const sockaddr_storage& peer, const tls_settings* tls);
    connection_places::answer take_place(const std::optional<client_address>& client);
    void check_timeouts();

    std::shared_ptr<shared_loop_state> shared_;
    connection_lists connections_;
    std::array<char, std::size_t{16} * 1024> read_buffer_{};
    std::string spare_buffer_;
    std::time_t date_of_ = 0;
    std::string date_;
    warning_limiter warnings_;
    bool draining_ = false;
    bool checks_timeouts_ = false;

    event_loop events_;
    std::list<std::shared_ptr<listening_socket>> listening_;
};

} // namespace roundhouse::server
