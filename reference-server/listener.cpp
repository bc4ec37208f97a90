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

/// Fails if anybody listens on the address, whom SO_REUSEPORT would let us share it with: so this
/// socket goes without. SO_REUSEADDR is harmless here: it passes over connections that linger from
/// a server before, not over listeners. Two servers that start within the same microseconds could
/// still pass each other.
void refuse_to_share(const asio::ip::tcp::endpoint& address) {
    asio::io_context context;
    asio::ip::tcp::acceptor probe(context, address.protocol());
    probe.set_option(asio::socket_base::reuse_address(true));
    probe.bind(address);
    probe.listen();
}

} // namespace

bool loops_in_common::take_place() noexcept {
    auto count = connections.load(std::memory_order_relaxed);
    do {
        if (count >= limits.max_connections) return false;
    } while (!connections.compare_exchange_weak(count, count + 1, std::memory_order_relaxed));
    return true;
}

void loops_in_common::give_place_back() noexcept {
    // Sequentially consistent, as `draining` is: either this thread sees that someone waits, or the
    // waiter sees 0.
    if (connections.fetch_sub(1) == 1 && draining.load() > 0) tell();
}

void loops_in_common::tell() noexcept {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
}

bool loops_in_common::wait_until_empty(std::size_t loops, std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, most,
                             [&] { return draining.load() == loops && connections.load() == 0; });
}

listener::listener(listener_options options, request_handler handler)
    : common_(std::make_shared<loops_in_common>()) {
    common_->limits = options.limits;
    common_->handler = std::move(handler);
    common_->warn = options.warn ? std::move(options.warn) : [](std::string_view) {};
    asio::ip::tcp::endpoint address(asio::ip::make_address(options.host), options.port);
    if (options.port != 0) refuse_to_share(address);
    // If the system chooses the port, it does so for the first, and never one that anybody has.
    for (std::size_t i = 0; i < std::max<std::size_t>(options.loops, 1); ++i) {
        loops_.push_back(std::make_shared<http_loop>(common_, address));
        address = loops_.front()->address();
    }
    port_ = address.port();
    try {
        for (const auto& loop : loops_) {
            threads_.emplace_back([loop] { loop->run(); });
            ::pthread_setname_np(threads_.back().native_handle(),
                                 "http"); // only a help in debuggers
        }
    } catch (...) {
        stop();
        throw;
    }
}

listener::~listener() { stop(); }

std::size_t listener::connections() const noexcept {
    return common_->connections.load(std::memory_order_relaxed);
}

bool listener::drain(std::chrono::milliseconds most) {
    for (const auto& loop : loops_) loop->drain();
    return common_->wait_until_empty(loops_.size(), most);
}

void listener::stop() {
    for (const auto& loop : loops_) loop->stop();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    loops_.clear();
}

} // namespace roundhouse::server
