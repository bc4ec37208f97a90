#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

namespace roundhouse::server {

/// Handles what happens on a descriptor.
class event_handler {
public:
    /// `events` as in epoll_ctl(2).
    virtual void on_events(std::uint32_t events) = 0;

protected:
    ~event_handler() = default;
};

/// Waits for events of descriptors on one thread.
///
/// This is epoll(7) itself and not Asio, because a descriptor is registered once for all of its
/// events: each wait of Asio costs one more system call, a recv that finds nothing or an epoll_ctl
/// (docs/performance.md has the difference).
class event_loop {
public:
    using clock = std::chrono::steady_clock;
    using task = std::function<void()>;

    /// Throws `std::system_error`.
    event_loop();
    ~event_loop();
    event_loop(const event_loop&) = delete;
    event_loop& operator=(const event_loop&) = delete;

    /// Handles events until `stop` is called. Exceptions of handlers, tasks and timers end it; it
    /// may be called again, and goes on.
    void run();
    /// Makes `run` return. Any thread.
    void stop() noexcept;
    [[nodiscard]] bool stopped() const noexcept { return stopped_.load(); }

    /// Calls `next()` in `run`. Any thread.
    void post(task next);

    // On the loop's thread, or while it does not run:

    /// Reports each change of a descriptor to `handler`: from now on to `remove`, once each time
    /// that it becomes readable or writable, or is closed by the other side (EPOLLET). Throws
    /// `std::system_error`.
    void add_connection(int descriptor, event_handler& handler);
    /// Reports to `handler` as long as clients wait at a listening socket.
    void add_listening(int descriptor, event_handler& handler);
    /// Reports nothing more to `handler`.
    void remove(int descriptor, event_handler& handler) noexcept;
    /// Calls `due()` at a time.
    void call_at(clock::time_point when, task due);

private:
    void add(int descriptor, event_handler& handler, std::uint32_t events);
    void wait();
    void run_tasks();
    void run_timers();
    void wake() noexcept;
    [[nodiscard]] int milliseconds_to_wait() const;

    const int epoll_;
    const int wake_up_; ///< An eventfd(2).
    std::array<epoll_event, 128> events_{};
    int next_event_ = 0;
    int event_count_ = 0;
    std::multimap<clock::time_point, task> timers_;
    std::atomic<bool> stopped_{false};
    std::mutex mutex_;
    std::vector<task> tasks_;
};

} // namespace roundhouse::server
