#include "event_loop.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace roundhouse::server {

namespace {

int checked(int descriptor, const char* what) {
    if (descriptor < 0) throw std::system_error(errno, std::system_category(), what);
    return descriptor;
}

} // namespace

event_loop::event_loop()
    : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_up_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    epoll_event event{};
    event.events = EPOLLIN; // and no handler
    if (wake_up_ >= 0 && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_up_, &event) == 0) return;
    const int code = errno;
    if (wake_up_ >= 0) ::close(wake_up_);
    ::close(epoll_);
    throw std::system_error(code, std::system_category(), "eventfd");
}

event_loop::~event_loop() {
    ::close(wake_up_);
    ::close(epoll_);
}

void event_loop::add_connection(int descriptor, event_handler& handler) {
    add(descriptor, handler, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

void event_loop::add_listening(int descriptor, event_handler& handler) {
    add(descriptor, handler, EPOLLIN);
}

void event_loop::add(int descriptor, event_handler& handler, std::uint32_t events) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = &handler;
    (void)checked(::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event), "epoll_ctl");
}

void event_loop::remove(int descriptor, event_handler& handler) noexcept {
    (void)::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr); // fails only if it is not there
    for (int i = next_event_; i < event_count_; ++i)
        if (events_[static_cast<std::size_t>(i)].data.ptr == &handler)
            events_[static_cast<std::size_t>(i)].data.ptr = nullptr;
}

void event_loop::call_at(clock::time_point when, task due) {
    timers_.emplace(when, std::move(due));
}

void event_loop::post(task next) {
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(next));
        if (tasks_.size() > 1) return; // the loop has been woken for the first
    }
    wake();
}

void event_loop::stop() noexcept {
    stopped_.store(true);
    wake();
}

void event_loop::wake() noexcept {
    const std::uint64_t one = 1;
    (void)!::write(wake_up_, &one, sizeof one); // fails only if it is set already
}

void event_loop::run() {
    while (!stopped_.load()) {
        wait();
        while (next_event_ < event_count_) {
            const auto& event = events_[static_cast<std::size_t>(next_event_++)];
            if (event.data.ptr != nullptr)
                static_cast<event_handler*>(event.data.ptr)->on_events(event.events);
        }
        run_tasks();
        run_timers();
    }
}

void event_loop::wait() {
    if (next_event_ < event_count_) return; // left by an exception
    next_event_ = 0;
    event_count_ = std::max(::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()),
                                         milliseconds_to_wait()),
                            0);
    for (int i = 0; i < event_count_; ++i) {
        if (events_[static_cast<std::size_t>(i)].data.ptr != nullptr) continue;
        std::uint64_t ignored = 0;
        (void)!::read(wake_up_, &ignored, sizeof ignored);
    }
}

int event_loop::milliseconds_to_wait() const {
    if (timers_.empty()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first -
                                                                   clock::now());
    return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

void event_loop::run_tasks() {
    std::vector<task> tasks;
    {
        const std::lock_guard lock(mutex_);
        if (tasks_.empty()) return;
        tasks.swap(tasks_);
    }
    for (auto& each : tasks) {
        try {
            each();
        } catch (...) {
            // Probably out of memory: the connection's time limit ends what waits for this.
        }
    }
}

void event_loop::run_timers() {
    if (timers_.empty()) return;
    const auto now = clock::now();
    while (!timers_.empty() && timers_.begin()->first <= now) {
        const auto due = timers_.extract(timers_.begin());
        due.mapped()();
    }
}

} // namespace roundhouse::server
