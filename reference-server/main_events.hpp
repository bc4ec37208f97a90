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

/// SIGHUP was received.
struct reload_asked {};

/// A recovery has ended.
struct recovery_ended {
    result<void> outcome;
};

using main_event = std::variant<stop_asked, reload_asked, recovery_ended>;

/// The queue of events that the main thread waits for. From its construction on, the first SIGTERM
/// or SIGINT is an event, and so is every SIGHUP. A second SIGTERM or SIGINT ends the process at once
/// with the exit code 128 plus the number of the signal. Other signals that would end the process,
/// and report no fault of it, are ignored from then on; programs that it starts must reset them.
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
    void wait_for_stop(bool first);
    void wait_for_reload();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<main_event> events_;

    asio::io_context context_{1};
    asio::signal_set stops_{context_, SIGTERM, SIGINT};
    asio::signal_set reloads_{context_, SIGHUP};
    std::thread thread_;
};

} // namespace roundhouse::server
