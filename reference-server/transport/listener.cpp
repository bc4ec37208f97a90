#include "listener.hpp"

#include "http_loop.hpp"

#include <asio/io_context.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
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

/// Opens a listening socket that shares its address with the sockets of other loops.
asio::ip::tcp::acceptor listen(asio::io_context& context, const asio::ip::tcp::endpoint& address) {
    asio::ip::tcp::acceptor acceptor(context, address.protocol());
    acceptor.set_option(asio::socket_base::reuse_address(true));
    const int yes = 1;
    if (::setsockopt(acceptor.native_handle(), SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes) != 0)
        throw std::system_error(errno, std::system_category(), "SO_REUSEPORT");
    acceptor.bind(address);
    acceptor.listen();
    acceptor.native_non_blocking(true);
    return acceptor;
}

} // namespace

listener::listener(listener_options options, request_handler handler)
    : shared_(std::make_shared<shared_loop_state>(options, std::move(handler))) {
    asio::ip::tcp::endpoint address(asio::ip::make_address(options.host), options.port);
    if (options.port != 0) refuse_to_share(address);
    asio::io_context context;
    // If the system chooses the port, it does so for the first loop, and chooses a free one.
    for (std::size_t i = 0; i < std::max<std::size_t>(options.loops, 1); ++i) {
        auto acceptor = listen(context, address);
        address = acceptor.local_endpoint();
        loops_.push_back(std::make_shared<http_loop>(shared_, std::vector{acceptor.release()}));
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

std::size_t listener::connections() const { return shared_->places.taken(); }

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
