#include "http_loop.hpp"

#include "reply_writer.hpp"

#include <asio/ip/address.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <system_error>

namespace roundhouse::server {

namespace {

/// Memory that is kept for the next reply. A larger one is freed.
constexpr std::size_t most_spare_bytes = std::size_t{64} * 1024;

/// The address of a client; unspecified for a Unix socket.
asio::ip::address address_of(const sockaddr_storage& peer) {
    if (peer.ss_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &peer, sizeof v4);
        return asio::ip::address_v4(ntohl(v4.sin_addr.s_addr));
    }
    if (peer.ss_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &peer, sizeof v6);
        asio::ip::address_v6::bytes_type bytes{};
        std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
        return asio::ip::address_v6(bytes);
    }
    return asio::ip::address_v6();
}

/// Keep-alive probes find clients that vanish while they wait for a boot. The connection works
/// without these options, so errors do not matter.
void set_options(int descriptor, int family) noexcept {
    if (family != AF_INET && family != AF_INET6) return;
    const auto set = [descriptor](int level, int name, int value) {
        (void)::setsockopt(descriptor, level, name, &value, sizeof value);
    };
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

} // namespace

shared_loop_state::shared_loop_state(const listener_options& options, request_handler handles)
    : limits(options.limits),
      trusted(options.trusted),
      handler(std::move(handles)),
      warn(options.warn ? options.warn : [](std::string_view) {}),
      places(limits.max_connections, limits.max_connections_per_address) {}

void shared_loop_state::notify() noexcept {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
}

bool shared_loop_state::wait_until_drained(std::size_t loops, std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout,
                             [&] { return draining_loops.load() == loops && places.taken() == 0; });
}

http_loop::http_loop(std::shared_ptr<shared_loop_state> shared,
                     const std::vector<listening>& sockets)
    : shared_(std::move(shared)), connections_(shared_->limits) {
    for (const auto& socket : sockets)
        listening_.push_back(std::make_shared<listening_socket>(*this, socket));
}

void http_loop::run() {
    while (!events_.stopped()) {
        try {
            events_.run();
        } catch (...) {
            // Probably out of memory while serving one connection; the others go on.
        }
    }
    while (auto* const one = connections_.any()) one->close();
    listening_.clear();
}

void http_loop::stop() noexcept { events_.stop(); }

void http_loop::drain() {
    events_.post([this] {
        if (std::exchange(draining_, true)) return;
        listening_.clear();
        connections_.for_each([](connection& one) { one.drain(); });
        shared_->draining_loops.fetch_add(1);
        shared_->notify();
    });
}

http_loop::listening_socket::listening_socket(http_loop& loop, listening socket)
    : loop_(loop), socket_(std::move(socket)) {
    loop_.events().add_listening(socket_.descriptor, *this);
}

http_loop::listening_socket::~listening_socket() {
    loop_.events().remove(socket_.descriptor, *this);
    ::close(socket_.descriptor);
}

/// Accepts clients that are waiting. One round of a busy loop serves all of its connections: if each
/// round accepted one client only, a crowd of clients would wait for seconds.
void http_loop::listening_socket::on_events(std::uint32_t /*events*/) {
    constexpr int most_per_round = 64;
    for (int i = 0; i < most_per_round; ++i) {
        sockaddr_storage peer{};
        socklen_t size = sizeof peer;
        const int accepted = ::accept4(socket_.descriptor, reinterpret_cast<sockaddr*>(&peer),
                                       &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            loop_.admit(accepted, peer, socket_.tls.get());
            continue;
        }
        const int code = errno;
        if (code == EAGAIN) return;
        if (code == EINTR || code == ECONNABORTED) continue; // the client has gone
        loop_.warn(warning_kind::not_accepted,
                   "cannot accept connections: " + std::system_category().message(code));
        return pause();
    }
}

void http_loop::listening_socket::pause() {
    loop_.events().remove(socket_.descriptor, *this);
    const auto& listening = loop_.listening_;
    const auto self = std::ranges::find(listening, this, &std::shared_ptr<listening_socket>::get);
    loop_.events().call_at(
        event_loop::clock::now() + loop_.limits().accept_retry, [weak = std::weak_ptr(*self)] {
            if (const auto socket = weak.lock())
                socket->loop_.events().add_listening(socket->socket_.descriptor, *socket);
        });
}

void http_loop::admit(int descriptor, const sockaddr_storage& peer, const tls_settings* tls) {
    const bool is_local = peer.ss_family == AF_UNIX;
    const auto address = address_of(peer);
    const auto client = is_local ? client_address{} : client_address::of(address);
    const bool has_share = !is_local && !shared_->trusted.contains(address);
    const auto share = has_share ? std::optional(client) : std::nullopt;
    auto answer = connection_places::answer::all_taken;
    try {
        answer = take_place(share);
    } catch (const std::exception& problem) {
        ::close(descriptor);
        return warn_of_setup(problem);
    }
    if (answer != connection_places::answer::taken) {
        ::close(descriptor);
        if (answer == connection_places::answer::all_taken)
            return warn(warning_kind::all_taken,
                        "connections are refused: there are as many as there may be");
        return warn(warning_kind::share_taken,
                    "connections of " + to_string(client) +
                        " are refused: it has as many as one client may have");
    }
    set_options(descriptor, peer.ss_family);
    std::shared_ptr<connection> added;
    try {
        const auto context = tls != nullptr ? tls->context() : nullptr;
        byte_stream stream(descriptor, context.get());
        added = std::make_shared<connection>(*this, std::move(stream), client, share);
        connections_.add(added, std::chrono::steady_clock::now());
    } catch (const std::exception& problem) {
        shared_->places.give_back(share);
        return warn_of_setup(problem);
    }
    try {
        added->start();
        check_timeouts();
    } catch (const std::exception& problem) {
        added->close();
        warn_of_setup(problem);
    }
}

connection_places::answer http_loop::take_place(const std::optional<client_address>& client) {
    const auto answer = shared_->places.take(client);
    if (answer != connection_places::answer::all_taken) return answer;
    // The fullest may have none on this loop that can be closed.
    constexpr std::size_t most_looked_at = 8;
    for (const auto& fullest : shared_->places.fullest(most_looked_at))
        if (auto* const idlest = connections_.idlest_of(fullest)) {
            idlest->close();
            return shared_->places.take(client);
        }
    return answer;
}

/// Closes the connections whose time is up, now and from time to time, for as long as there are
/// any.
void http_loop::check_timeouts() {
    if (checks_timeouts_) return;
    events_.call_at(event_loop::clock::now() + limits().timeout_check_interval, [this] {
        checks_timeouts_ = false;
        const auto now = event_loop::clock::now();
        while (auto* const late = connections_.expired(now)) late->close();
        if (!connections_.empty()) check_timeouts();
    });
    checks_timeouts_ = true;
}

void http_loop::wait_as(connection& what, waiting_for until) noexcept {
    connections_.move(what, until, std::chrono::steady_clock::now());
}

void http_loop::forget(connection& closed) noexcept {
    const auto client = closed.client();
    connections_.remove(closed);
    // Sequentially consistent, as `draining_loops` is: either this thread sees that a loop drains,
    // or the waiting thread sees no connection.
    if (shared_->places.give_back(client) == 0 && shared_->draining_loops.load() > 0)
        shared_->notify();
}

void http_loop::lend_buffer(std::string& to) noexcept {
    if (to.empty() && to.capacity() < spare_buffer_.capacity()) to.swap(spare_buffer_);
}

void http_loop::return_buffer(std::string& from) noexcept {
    if (from.capacity() > spare_buffer_.capacity() && from.capacity() <= most_spare_bytes)
        from.swap(spare_buffer_);
    if (from.capacity() > std::string().capacity()) std::string().swap(from);
}

std::string_view http_loop::date() {
    const auto now = std::time(nullptr);
    if (now != date_of_) write_http_date(date_of_ = now, date_);
    return date_;
}

void http_loop::warn(warning_kind kind, std::string_view message) {
    const auto suppressed = warnings_.admit(kind, std::chrono::steady_clock::now());
    if (!suppressed) return;
    std::string line(message);
    if (*suppressed > 0)
        line += " (" + std::to_string(*suppressed) + " more times since the last such line)";
    shared_->warn(line);
}

void http_loop::warn_of_setup(const std::exception& problem) {
    warn(warning_kind::not_set_up,
         std::string("a connection could not be set up: ") + problem.what());
}

} // namespace roundhouse::server
