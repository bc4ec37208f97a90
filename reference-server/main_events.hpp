#pragma once

#include <roundhouse/error.hpp>

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>

namespace roundhouse::server {

/// SIGTERM or SIGINT was received.
struct stop_asked {
    int signal = 0;
};

/// A recovery has ended.
struct recovery_ended {
    result<void> outcome;
};

using main_event = std::variant<stop_asked, recovery_ended>;

/// The queue of events that the main thread waits for. From its construction on, the first SIGTERM
/// or SIGINT is an event. A second signal ends the process at once with the exit code 128 plus the
/// number of the signal.
class main_events {
public:
    main_events();
    ~main_events();
    main_events(const main_events&) = delete;
    main_events& operator=(const main_events&) = delete;

    /// Adds an event. Any thread.
    void enqueue(main_event event);

    /// Waits for the next event; returns nothing if there is none until then. Blocks.
    std::optional<main_event>
    next(std::optional<std::chrono::steady_clock::time_point> until = std::nullopt);

private:
    void wait_for_signal(bool first);

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<main_event> events_;

    asio::io_context context_{1};
    asio::signal_set signals_{context_, SIGTERM, SIGINT};
    std::thread thread_;
};

} // namespace roundhouse::server
