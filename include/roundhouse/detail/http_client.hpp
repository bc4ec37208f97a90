#pragma once

#include <roundhouse/detail/http_client/client_socket.hpp>
#include <roundhouse/detail/http_client/messages.hpp>
#include <roundhouse/detail/http_client/response_reader.hpp>
#include <roundhouse/detail/http_client/secure_peer.hpp>
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

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail {

/// One connection for one request. Use `http_call` unless the answer is to be read as it arrives:
/// or the request is sent in pieces: then send, `read_head()`, and take `response().body` away before each further `read_more()`. Runs
/// on a strand, like `http_call`. It and the arguments must outlive the awaitables.
class http_exchange {
public:
    http_exchange(const asio::any_io_executor& strand, const http_peer& peer,
                  const http_limits& limits, bool answers_head)
        : peer_{peer},
          deadline_{limits.deadline},
          watch_peer_{limits.watch_peer},
          connection_{std::make_shared<connection>(strand, limits, answers_head)} {
        if (const auto* secure = std::get_if<secure_peer_ptr>(&peer_))
            connection_->channel = (*secure)->make_channel(strand, watch_peer_);
    }

    /// Starts the deadline, connects and sends the request.
    asio::awaitable<result<void>> send(const http_request& request) {
        start_deadline();
        if (connection_->channel) {
            auto sending = send_encrypted(request);
            co_return co_await std::move(sending);
        }
        const auto to = endpoint();
        auto& socket = connection_->socket;
        asio::error_code failed;
        open_socket(socket, to.protocol(), failed);
        if (failed) co_return failure("cannot make a socket: ", failed);
        co_await socket.async_connect(to, asio::redirect_error(asio::use_awaitable, failed));
        if (failed) co_return no_connection("cannot connect: ", failed);
        if (peer_.index() == 0) set_tcp_options(socket, watch_peer_);

        const auto text = wire_text(request);
        const auto bytes = asio::buffer(text);
        co_await asio::async_write(socket, bytes,
                                   asio::redirect_error(asio::use_awaitable, failed));
        if (failed) co_return failure("cannot send the request: ", failed);
        co_return result<void>{};
    }

    /// Sends a piece of the body of a request that is `streamed`; an empty one ends the body.
    asio::awaitable<result<void>> send_piece(std::string_view piece) {
        constexpr std::string_view digits = "0123456789abcdef";
        std::string text;
        for (auto rest = piece.size(); rest != 0; rest /= digits.size())
            text.insert(text.begin(), digits[rest % digits.size()]);
        if (piece.empty()) text = "0";
        text.append("\r\n").append(piece).append("\r\n");
        const auto bytes = asio::buffer(text);
        asio::error_code failed;
        if (connection_->channel) {
            auto writing = connection_->channel->write(bytes);
            failed = co_await std::move(writing);
        } else {
            co_await asio::async_write(connection_->socket, bytes,
                                       asio::redirect_error(asio::use_awaitable, failed));
        }
        if (failed) co_return failure("cannot send the request: ", failed);
        co_return result<void>{};
    }

    /// Waits for more of the answer. Returns false once the answer is complete.
    asio::awaitable<result<bool>> read_more() {
        auto& reader = connection_->reader;
        if (reader.complete()) co_return false;
        const auto into = asio::buffer(connection_->buffer);
        asio::error_code failed;
        std::size_t size = 0;
        if (connection_->channel) {
            auto reading = connection_->channel->read_some(into);
            const auto read = co_await std::move(reading);
            failed = read.failed;
            size = read.size;
        } else {
            size = co_await connection_->socket.async_read_some(
                into, asio::redirect_error(asio::use_awaitable, failed));
        }
        if (failed && failed != asio::error::eof)
            co_return failure("cannot read the answer: ", failed);
        const auto problem = reader.feed({connection_->buffer.data(), size});
        if (!problem.empty())
            co_return fail(errc::backend_error, to_string(peer_) + ": " + problem);
        co_return !reader.complete();
    }

    /// Reads until the head of the answer is complete, and perhaps a part of its body.
    asio::awaitable<result<void>> read_head() {
        for (bool more = true; more && !head_complete();) {
            auto reading = read_more();
            const auto read = co_await std::move(reading);
            if (!read) co_return unexpected{read.error()};
            more = *read;
        }
        co_return result<void>{};
    }

    /// Gives the rest of the answer a time of its own, from now on.
    void restart_deadline(duration deadline) {
        deadline_ = deadline;
        start_deadline();
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

        client_socket socket;
        std::unique_ptr<secure_channel> channel; ///< In place of the socket; null if it is not.
        asio::steady_timer deadline;
        http_response_reader reader;
        std::array<char, 8192> buffer{};
        bool expired = false;
    };

    /// At the deadline the connection is closed, which ends the operation that waits on it. The handler
    /// may run after the exchange has been destroyed.
    void start_deadline() {
        connection_->deadline.expires_after(deadline_);
        connection_->deadline.async_wait(
            [weak = std::weak_ptr{connection_}](const asio::error_code& cancelled) {
                const auto state = weak.lock();
                if (cancelled || !state) return;
                state->expired = true;
                asio::error_code ignored; // the descriptor is closed in either case
                if (state->channel) state->channel->close();
                else state->socket.close(ignored);
            });
    }

    /// The address of a peer that is reached over a plain socket.
    [[nodiscard]] asio::generic::stream_protocol::endpoint endpoint() const {
        if (const auto* local = std::get_if<asio::local::stream_protocol::endpoint>(&peer_))
            return *local;
        return std::get<asio::ip::tcp::endpoint>(peer_);
    }

    /// `send` over an encrypted connection. A coroutine of its own, so that the frame of `send` does
    /// not grow by it.
    asio::awaitable<result<void>> send_encrypted(const http_request& request) {
        auto& channel = *connection_->channel;
        auto opening = channel.open();
        const auto opened = co_await std::move(opening);
        if (opened.failed) co_return no_connection(opened.step, opened.failed);
        const auto text = wire_text(request);
        auto writing = channel.write(asio::buffer(text));
        const auto failed = co_await std::move(writing);
        if (failed) co_return failure("cannot send the request: ", failed);
        co_return result<void>{};
    }

    [[nodiscard]] unexpected no_connection(const std::string& step,
                                           const asio::error_code& cause) const {
        if (connection_->expired)
            return fail(errc::backend_away, to_string(peer_) + ": no connection within " + limit());
        return failure(step, cause, errc::backend_away);
    }

    [[nodiscard]] unexpected failure(const std::string& step, const asio::error_code& cause,
                                     errc code = errc::backend_error) const {
        if (connection_->expired)
            return fail(code, to_string(peer_) + ": no answer within " + limit());
        if (cause == asio::error::operation_aborted) throw std::system_error{cause};
        return fail(code, to_string(peer_) + ": " + step + cause.message());
    }

    [[nodiscard]] std::string limit() const { return std::to_string(deadline_.count()) + " ms"; }

    [[nodiscard]] std::string wire_text(const http_request& request) const {
        auto text = request.method + ' ' + request.target +
                    " HTTP/1.1\r\nHost: " + (peer_.index() == 1 ? "localhost" : to_string(peer_)) +
                    "\r\nConnection: close\r\n";
        for (const auto& [name, value] : request.headers) text += name + ": " + value + "\r\n";
        if (request.streamed) {
            text += "Transfer-Encoding: chunked\r\n";
        } else if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
            text += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
        }
        return text + "\r\n" + request.body;
    }

    http_peer peer_;
    duration deadline_;
    bool watch_peer_;
    std::shared_ptr<connection> connection_;
};

/// Sends one request and waits for the whole answer, whatever its status. A failure is a
/// `backend_error`, or `backend_away` if there was no connection; its message names the peer and
/// the cause, and holds nothing of the request. No thread waits for the peer. Must run on a strand,
/// or on an executor that one thread runs, because the deadline's handler shares its state. The
/// arguments must outlive the awaitable. Throws only `operation_aborted`, when it is cancelled.
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

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
