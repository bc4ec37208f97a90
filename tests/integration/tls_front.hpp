#pragma once

#include "certificates.hpp"

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/redirect_error.hpp>
#include <asio/ssl/context.hpp>
#include <asio/ssl/stream.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace roundhouse_tests {

/// Listens on a free port of 127.0.0.1 with TLS, and passes on what it receives to a Unix socket, and
/// back: a daemon with TLS, in front of a `recorded_daemon`. Clients need a certificate of the
/// authority.
class tls_front {
public:
    tls_front(std::string to, const signed_key& own, const signed_key& authority_of_clients)
        : to_{std::move(to)} {
        auto* const context = tls_.native_handle();
        SSL_CTX_use_certificate(context, own.certificate());
        SSL_CTX_use_PrivateKey(context, own.key());
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority_of_clients.certificate());
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
        asio::co_spawn(context_, serve(*this), asio::detached);
        thread_ = std::jthread{[this] { context_.run(); }};
    }
    tls_front(const tls_front&) = delete;
    tls_front& operator=(const tls_front&) = delete;
    ~tls_front() { context_.stop(); }

    [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

private:
    struct relayed {
        relayed(asio::ip::tcp::socket accepted, asio::io_context& context,
                asio::ssl::context& settings)
            : client{std::move(accepted), settings}, daemon{context} {}

        asio::ssl::stream<asio::ip::tcp::socket> client;
        asio::local::stream_protocol::socket daemon;
        std::array<char, 8192> sent{};
        std::array<char, 8192> received{};
    };
    using relayed_ptr = std::shared_ptr<relayed>;

    static asio::awaitable<void> serve(tls_front& self) {
        for (;;) {
            asio::ip::tcp::socket accepted = co_await self.acceptor_.async_accept(
                asio::use_awaitable);
            auto made = std::make_shared<relayed>(std::move(accepted), self.context_, self.tls_);
            asio::co_spawn(self.context_, relay(self, std::move(made)), asio::detached);
        }
    }

    static asio::awaitable<void> relay(tls_front& self, relayed_ptr both) {
        std::error_code failed;
        co_await both->client.async_handshake(asio::ssl::stream_base::server,
                                              asio::redirect_error(asio::use_awaitable, failed));
        if (failed) {
            // What a client sends and nobody reads would reset its connection, and our alert with it.
            auto& socket = both->client.next_layer();
            std::error_code gone;
            socket.shutdown(asio::ip::tcp::socket::shutdown_send, gone);
            const auto into = asio::buffer(both->sent);
            for (std::error_code ended; !ended;)
                co_await socket.async_read_some(into,
                                                asio::redirect_error(asio::use_awaitable, ended));
            co_return;
        }
        const asio::local::stream_protocol::endpoint to{self.to_};
        co_await both->daemon.async_connect(to, asio::redirect_error(asio::use_awaitable, failed));
        if (failed) co_return;
        asio::co_spawn(self.context_, pass_answers(both), asio::detached);
        auto passing = pass_requests(both);
        co_await std::move(passing);
    }

    /// Passes on what comes from one side, until it ends or the other does.
    template <class From, class To, class Buffer>
    static asio::awaitable<void> pass(From& from, To& to, Buffer& buffer) {
        std::error_code failed;
        while (!failed) {
            const auto size = co_await from.async_read_some(
                asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, failed));
            if (failed) break;
            const auto bytes = asio::buffer(buffer.data(), size);
            co_await asio::async_write(to, bytes,
                                       asio::redirect_error(asio::use_awaitable, failed));
        }
    }

    static asio::awaitable<void> pass_requests(relayed_ptr both) {
        auto passing = pass(both->client, both->daemon, both->sent);
        co_await std::move(passing);
        std::error_code ignored;
        both->daemon.close(ignored);
    }

    static asio::awaitable<void> pass_answers(relayed_ptr both) {
        auto passing = pass(both->daemon, both->client, both->received);
        co_await std::move(passing);
        // Tells the client that the answer is whole.
        std::error_code failed;
        co_await both->client.async_shutdown(asio::redirect_error(asio::use_awaitable, failed));
        both->client.next_layer().close(failed);
    }

    const std::string to_;
    asio::io_context context_;
    asio::ssl::context tls_{asio::ssl::context::tls_server};
    asio::ip::tcp::acceptor acceptor_{context_, {asio::ip::address_v4::loopback(), 0}};
    std::jthread thread_;
};

} // namespace roundhouse_tests
