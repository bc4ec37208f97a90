#include "listener.hpp"

#include "http_loop.hpp"

#include <asio/io_context.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <pthread.h>

#include <algorithm>
#include <utility>

namespace roundhouse::server {

namespace {

/// Throws if another socket listens on the address. SO_REUSEPORT would hide that, so this socket
/// does not set it. SO_REUSEADDR ignores lingering connections of an earlier server, but not
/// listeners. Two servers that start within the same microseconds may both succeed.
void refuse_to_share(const asio::ip::tcp::endpoint& address) {
    asio::io_context context;
    asio::ip::tcp::acceptor probe(context, address.protocol());
    probe.set_option(asio::socket_base::reuse_address(true));
    probe.bind(address);
    probe.listen();
}

} // namespace

bool shared_loop_state::try_add_connection() noexcept {
    auto count = connections.load(std::memory_order_relaxed);
    do {
        if (count >= limits.max_connections) return false;
    } while (!connections.compare_exchange_weak(count, count + 1, std::memory_order_relaxed));
    return true;
}

void shared_loop_state::remove_connection() noexcept {
    // Sequentially consistent, as `draining_loops` is: either this thread sees that a loop drains,
    // or the waiting thread sees 0 connections.
    if (connections.fetch_sub(1) == 1 && draining_loops.load() > 0) notify();
}

void shared_loop_state::notify() noexcept {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
}

bool shared_loop_state::wait_until_drained(std::size_t loops, std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(
        lock, timeout, [&] { return draining_loops.load() == loops && connections.load() == 0; });
}

listener::listener(listener_options options, request_handler handler)
    : shared_(std::make_shared<shared_loop_state>()) {
    shared_->limits = options.limits;
    shared_->handler = std::move(handler);
    shared_->warn = options.warn ? std::move(options.warn) : [](std::string_view) {};
    asio::ip::tcp::endpoint address(asio::ip::make_address(options.host), options.port);
    if (options.port != 0) refuse_to_share(address);
    // If the system chooses the port, it does so for the first loop, and chooses a free one.
    for (std::size_t i = 0; i < std::max<std::size_t>(options.loops, 1); ++i) {
        loops_.push_back(std::make_shared<http_loop>(shared_, address));
        address = loops_.front()->address();
    }
    port_ = address.port();
    try {
        for (const auto& loop : loops_) {
            threads_.emplace_back([loop] { loop->run(); });
            // Only for debuggers; an error does not matter.
            ::pthread_setname_np(threads_.back().native_handle(), "http");
        }
    } catch (...) {
        stop();
        throw;
    }
}

listener::~listener() { stop(); }

std::size_t listener::connections() const noexcept {
    return shared_->connections.load(std::memory_order_relaxed);
}

bool listener::drain(std::chrono::milliseconds timeout) {
    for (const auto& loop : loops_) loop->drain();
    return shared_->wait_until_drained(loops_.size(), timeout);
}

void listener::stop() {
    for (const auto& loop : loops_) loop->stop();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    loops_.clear();
}

} // namespace roundhouse::server
