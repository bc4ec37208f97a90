#include "main_events.hpp"

#include <csignal>
#include <cstdlib>
#include <system_error>
#include <utility>

namespace roundhouse::server {

namespace {

/// A signal that was meant for another program must not look like a crash.
void ignore_other_signals() {
    for (const int signal : {SIGALRM, SIGIO, SIGPROF, SIGPWR, SIGQUIT, SIGSTKFLT, SIGUSR1, SIGUSR2,
                             SIGVTALRM, SIGXCPU})
        std::signal(signal, SIG_IGN);
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) std::signal(signal, SIG_IGN);
}

} // namespace

main_events::main_events() {
    ignore_other_signals();
    wait_for_stop(true);
    wait_for_reload();
    thread_ = std::thread([this] { context_.run(); });
}

main_events::~main_events() {
    context_.stop();
    thread_.join();
}

void main_events::wait_for_stop(bool first) {
    stops_.async_wait([this, first](const std::error_code& aborted, int signal) {
        if (aborted) return;
        if (!first) std::_Exit(128 + signal);
        enqueue(stop_asked{signal});
        wait_for_stop(false);
    });
}

void main_events::wait_for_reload() {
    reloads_.async_wait([this](const std::error_code& aborted, int) {
        if (aborted) return;
        enqueue(reload_asked{});
        wait_for_reload();
    });
}

void main_events::enqueue(main_event event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_one();
}

std::optional<main_event>
main_events::next(std::optional<std::chrono::steady_clock::time_point> until) {
    std::unique_lock lock(mutex_);
    const auto has_event = [this] { return !events_.empty(); };
    if (!until) changed_.wait(lock, has_event);
    else if (!changed_.wait_until(lock, *until, has_event)) return std::nullopt;
    auto event = std::move(events_.front());
    events_.pop_front();
    return event;
}

} // namespace roundhouse::server
