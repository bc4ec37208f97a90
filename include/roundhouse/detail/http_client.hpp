#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <http_parser.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace roundhouse::inline ROUNDHOUSE_ABI {

namespace detail {

/// Where a request goes: `address:port`, or a Unix socket.
using http_peer = std::variant<asio::ip::tcp::endpoint, asio::local::stream_protocol::endpoint>;

using http_headers = std::vector<std::pair<std::string, std::string>>;

struct http_request {
    std::string method = "GET";
    std::string target = "/";
    http_headers headers; ///< Beside Host, Connection and Content-Length, which the client writes.
    std::string body;
};

struct http_response {
    unsigned status = 0;
    http_headers headers;
    std::string body;

    /// The first value of a header, whose name is matched in any case; empty if there is none.
    [[nodiscard]] std::string_view header(std::string_view name) const {
        const auto same = [](char a, char b) {
            const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; };
            return lower(a) == lower(b);
        };
        for (const auto& [key, value] : headers)
            if (std::ranges::equal(key, name, same)) return value;
        return {};
    }
};

/// What one request may take. A peer that wants more is given up.
struct http_limits {
    duration deadline = std::chrono::seconds{10}; ///< From the connect to the end of the answer.
    std::size_t header_bytes = std::size_t{16} * 1024;
    std::size_t body_bytes = std::size_t{1024} * 1024;
};

[[nodiscard]] inline std::string to_string(const http_peer& peer) {
    if (const auto* local = std::get_if<asio::local::stream_protocol::endpoint>(&peer)) {
        return local->path();
    }
    const auto& remote = std::get<asio::ip::tcp::endpoint>(peer);
    const auto address = remote.address().to_string();
    const auto host = remote.address().is_v6() ? '[' + address + ']' : address;
    return host + ':' + std::to_string(remote.port());
}

/// Puts an answer together from its bytes, as they come. Interim answers (1xx) are passed over.
class http_response_reader {
public:
    http_response_reader(const http_limits& limits, bool answers_head)
        : limits_{limits}, answers_head_{answers_head} {
        http_parser_init(&parser_, HTTP_RESPONSE);
        parser_.data = this;
    }
    http_response_reader(const http_response_reader&) = delete; // the parser points back to it
    http_response_reader& operator=(const http_response_reader&) = delete;

    /// Takes the next bytes, or the end of the stream if there are none. Returns what is wrong with
    /// the answer, or nothing.
    [[nodiscard]] std::string_view feed(std::string_view bytes) {
        static const auto callbacks = make_callbacks();
        if (bytes.empty() && !begun_) return "closed the connection without an answer";
        begun_ = true;
        http_parser_execute(&parser_, &callbacks, bytes.data(), bytes.size());
        if (complete_) return {};
        if (too_large_ != nullptr) return too_large_;
        if (bytes.empty()) return "cut the connection in the middle of its answer";
        const auto problem = HTTP_PARSER_ERRNO(&parser_);
        return problem == HPE_OK ? std::string_view{} : http_errno_description(problem);
    }

    [[nodiscard]] bool head_complete() const noexcept { return head_complete_; }
    [[nodiscard]] bool complete() const noexcept { return complete_; }
    [[nodiscard]] http_response& response() noexcept { return response_; }

private:
    static http_response_reader& self(http_parser* parser) {
        return *static_cast<http_response_reader*>(parser->data);
    }

    static http_parser_settings make_callbacks() {
        http_parser_settings callbacks;
        http_parser_settings_init(&callbacks);
        callbacks.on_message_begin = [](http_parser* p) {
            self(p).response_ = {};
            self(p).header_bytes_ = 0;
            return 0;
        };
        callbacks.on_status = [](http_parser* p, const char*, std::size_t size) {
            return self(p).count_header(size);
        };
        callbacks.on_header_field = [](http_parser* p, const char* at, std::size_t size) {
            auto& reader = self(p);
            if (!std::exchange(reader.in_field_, true)) reader.response_.headers.emplace_back();
            reader.response_.headers.back().first.append(at, size);
            return reader.count_header(size);
        };
        callbacks.on_header_value = [](http_parser* p, const char* at, std::size_t size) {
            auto& reader = self(p);
            reader.in_field_ = false;
            reader.response_.headers.back().second.append(at, size);
            return reader.count_header(size);
        };
        callbacks.on_headers_complete = [](http_parser* p) {
            auto& reader = self(p);
            reader.in_field_ = false;
            reader.response_.status = p->status_code;
            reader.head_complete_ = p->status_code >= 200;
            return reader.answers_head_ ? 1 : 0; // 1: no body follows, whatever the headers say
        };
        callbacks.on_body = [](http_parser* p, const char* at, std::size_t size) {
            auto& reader = self(p);
            if (reader.response_.body.size() + size > reader.limits_.body_bytes) {
                reader.too_large_ = "sent a body over the limit";
                return 1;
            }
            reader.response_.body.append(at, size);
            return 0;
        };
        callbacks.on_message_complete = [](http_parser* p) {
            if (p->status_code < 200) return 0;
            self(p).complete_ = true;
            http_parser_pause(p, 1); // whatever comes behind the answer is nobody's
            return 0;
        };
        return callbacks;
    }

    int count_header(std::size_t size) {
        header_bytes_ += size;
        if (header_bytes_ <= limits_.header_bytes) return 0;
        too_large_ = "sent headers over the limit";
        return 1;
    }

    http_limits limits_;
    http_parser parser_{};
    http_response response_;
    std::size_t header_bytes_ = 0;
    const char* too_large_ = nullptr;
    bool answers_head_;
    bool begun_ = false;
    bool in_field_ = false;
    bool head_complete_ = false;
    bool complete_ = false;
};

/// One connection for one request. `http_call` is all that most need; a streaming caller sends,
/// then reads on until `head_complete()`, then takes `response().body` away after each further
/// `read_more()`. Runs on a strand, like `http_call`; it and the arguments outlive the awaitables.
class http_exchange {
public:
    http_exchange(const asio::any_io_executor& strand, const http_peer& peer,
                  const http_limits& limits, bool answers_head)
        : peer_{peer},
          deadline_{limits.deadline},
          connection_{std::make_shared<connection>(strand, limits, answers_head)} {}

    /// Connects, sends the request and starts the deadline.
    asio::awaitable<result<void>> send(const http_request& request) {
        start_deadline();
        using endpoint = asio::generic::stream_protocol::endpoint;
        const auto to = std::visit([](const auto& peer) { return endpoint{peer}; }, peer_);
        auto& socket = connection_->socket;
        asio::error_code failed;
        open_socket(to.protocol(), failed);
        if (failed) co_return failure("cannot make a socket: ", failed);
        co_await socket.async_connect(to, asio::redirect_error(asio::use_awaitable, failed));
        if (failed) co_return failure("cannot connect: ", failed);
        // Without it a request waits for the acknowledgement of one before it; only worth trying.
        asio::error_code ignored;
        if (peer_.index() == 0) socket.set_option(asio::ip::tcp::no_delay{true}, ignored);

        const auto text = wire_text(request);
        const auto bytes = asio::buffer(text);
        co_await asio::async_write(socket, bytes,
                                   asio::redirect_error(asio::use_awaitable, failed));
        if (failed) co_return failure("cannot send the request: ", failed);
        co_return result<void>{};
    }

    /// Waits for more of the answer; false once it is complete.
    asio::awaitable<result<bool>> read_more() {
        auto& reader = connection_->reader;
        if (reader.complete()) co_return false;
        const auto into = asio::buffer(connection_->buffer);
        asio::error_code failed;
        const auto size = co_await connection_->socket.async_read_some(
            into, asio::redirect_error(asio::use_awaitable, failed));
        if (failed && failed != asio::error::eof)
            co_return failure("cannot read the answer: ", failed);
        const auto problem = reader.feed({connection_->buffer.data(), size});
        if (!problem.empty())
            co_return fail(errc::backend_error, to_string(peer_) + ": " + std::string{problem});
        co_return !reader.complete();
    }

    [[nodiscard]] bool head_complete() const noexcept {
        return connection_->reader.head_complete();
    }
    [[nodiscard]] http_response& response() noexcept { return connection_->reader.response(); }

private:
    struct connection {
        connection(const asio::any_io_executor& strand, const http_limits& limits,
                   bool answers_head)
            : socket{strand}, deadline{strand}, reader{limits, answers_head} {}

        asio::generic::stream_protocol::socket socket;
        asio::steady_timer deadline;
        http_response_reader reader;
        std::array<char, 8192> buffer{};
        bool expired = false;
    };

    /// Closing the socket ends whatever waits for it. The handler may come after the exchange is
    /// gone.
    void start_deadline() {
        connection_->deadline.expires_after(deadline_);
        connection_->deadline.async_wait(
            [weak = std::weak_ptr{connection_}](const asio::error_code& cancelled) {
                const auto held = weak.lock();
                if (cancelled || !held) return;
                held->expired = true;
                asio::error_code ignored; // the descriptor is gone either way
                held->socket.close(ignored);
            });
    }

    /// Asio itself would not make it close-on-exec.
    void open_socket(const asio::generic::stream_protocol& protocol, asio::error_code& failed) {
        const int number = ::socket(protocol.family(), protocol.type() | SOCK_CLOEXEC, 0);
        if (number < 0) {
            failed.assign(errno, asio::error::get_system_category());
            return;
        }
        connection_->socket.assign(protocol, number, failed);
        if (failed) ::close(number);
    }

    [[nodiscard]] unexpected failure(const char* doing, const asio::error_code& cause) const {
        if (connection_->expired) {
            return fail(errc::backend_error, to_string(peer_) + ": no answer within " +
                                                 std::to_string(deadline_.count()) + " ms");
        }
        if (cause == asio::error::operation_aborted) throw std::system_error{cause};
        return fail(errc::backend_error, to_string(peer_) + ": " + doing + cause.message());
    }

    [[nodiscard]] std::string wire_text(const http_request& request) const {
        auto text = request.method + ' ' + request.target +
                    " HTTP/1.1\r\nHost: " + (peer_.index() == 0 ? to_string(peer_) : "localhost") +
                    "\r\nConnection: close\r\n";
        for (const auto& [name, value] : request.headers) text += name + ": " + value + "\r\n";
        if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
            text += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
        }
        return text + "\r\n" + request.body;
    }

    http_peer peer_;
    duration deadline_;
    std::shared_ptr<connection> connection_;
};

/// True if no part of the request's head could end its line early and pass for another header.
[[nodiscard]] inline bool well_formed(const http_request& request) {
    const auto clean = [](std::string_view text, char above) {
        return std::ranges::all_of(
            text, [above](char c) { return static_cast<unsigned char>(c) > above && c != 0x7F; });
    };
    return clean(request.method, ' ') && clean(request.target, ' ') &&
           std::ranges::all_of(request.headers, [&](const auto& header) {
               return clean(header.first, ' ') && clean(header.second, '\x1F');
           });
}

/// Sends one request and waits for the whole answer, whatever its status. Every failure is a
/// `backend_error` that names the peer and the cause, and nothing of the request; a peer that hangs
/// costs a socket and no thread. Must run on a strand, or on an executor that one thread runs: the
/// deadline's handler shares its state. The arguments must outlive the awaitable. Throws only
/// `operation_aborted`, when it is cancelled.
inline asio::awaitable<result<http_response>>
http_call(const http_peer& peer, const http_request& request, const http_limits& limits) {
    if (!well_formed(request)) {
        co_return fail(errc::backend_error,
                       to_string(peer) + ": the request has a control character in its head");
    }
    const auto strand = co_await asio::this_coro::executor;
    http_exchange exchange{strand, peer, limits, request.method == "HEAD"};
    const auto sent = co_await exchange.send(request);
    if (!sent) co_return unexpected{sent.error()};
    for (;;) {
        const auto more = co_await exchange.read_more();
        if (!more) co_return unexpected{more.error()};
        if (!*more) break;
    }
    co_return std::move(exchange.response());
}

} // namespace detail

} // namespace roundhouse::inline ROUNDHOUSE_ABI
