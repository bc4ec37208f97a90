#pragma once

#include <roundhouse/backend/docker/tls.hpp>
#include <roundhouse/crypto/openssl_cause.hpp>
#include <roundhouse/detail/http_client/client_socket.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/error_code.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/ssl/context.hpp>
#include <asio/ssl/stream.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::docker {

struct tls_credentials {
    asio::ssl::context context{asio::ssl::context::tls_client};
};

/// The host and port of a daemon.
struct tls_host {
    std::string text;            ///< Without brackets.
    asio::ip::address address{}; ///< Where `is_address`.
    bool is_address = false;
    std::uint16_t port = 0;
    std::string name; ///< As in a URL.
};

/// A connection to a daemon over TLS. It is not ended by a notice: a request is answered in full by
/// then, or not wanted any more.
class tls_channel final : public secure_channel {
public:
    tls_channel(const asio::any_io_executor& strand, tls_credentials_ptr credentials, tls_host host,
                bool watch)
        : credentials_{std::move(credentials)},
          host_{std::move(host)},
          watch_{watch},
          resolver_{strand},
          stream_{client_socket{strand}, credentials_->context} {}

    asio::awaitable<channel_opening> open() override {
        channel_opening out;
        if (!expect_host()) {
            out.failed = asio::error::invalid_argument;
            out.step = "cannot check its certificate for " + host_.text + ": ";
            co_return out;
        }
        auto connecting = connect();
        out = co_await std::move(connecting);
        if (out.failed) co_return out;
        co_await stream_.async_handshake(asio::ssl::stream_base::client,
                                         asio::redirect_error(asio::use_awaitable, out.failed));
        if (out.failed) out.step = refusal();
        co_return out;
    }

    asio::awaitable<asio::error_code> write(asio::const_buffer bytes) override {
        asio::error_code failed;
        co_await asio::async_write(stream_, bytes,
                                   asio::redirect_error(asio::use_awaitable, failed));
        co_return failed;
    }

    asio::awaitable<channel_reading> read_some(asio::mutable_buffer into) override {
        channel_reading out;
        out.size = co_await stream_.async_read_some(
            into, asio::redirect_error(asio::use_awaitable, out.failed));
        co_return out;
    }

    void close() override {
        closed_ = true;
        resolver_.cancel();
        asio::error_code ignored; // the descriptor is closed in either case
        stream_.next_layer().close(ignored);
    }

private:
    /// Lets OpenSSL accept a certificate for the host only. Its common name does not count, and `*`
    /// stands for a whole label.
    [[nodiscard]] bool expect_host() {
        auto* const connection = stream_.native_handle();
        auto* const expected = ::SSL_get0_param(connection);
        ::X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                                        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        if (host_.is_address)
            return ::X509_VERIFY_PARAM_set1_ip_asc(expected, host_.text.c_str()) == 1;
        return ::X509_VERIFY_PARAM_set1_host(expected, host_.text.data(), host_.text.size()) == 1 &&
               SSL_set_tlsext_host_name(connection, host_.text.c_str()) == 1;
    }

    /// The addresses of the host.
    asio::awaitable<asio::error_code> resolve() {
        asio::error_code failed;
        if (host_.is_address) {
            endpoints_.emplace_back(host_.address, host_.port);
            co_return failed;
        }
        const auto service = std::to_string(host_.port);
        const auto found = co_await resolver_.async_resolve(
            host_.text, service, asio::ip::resolver_base::numeric_service,
            asio::redirect_error(asio::use_awaitable, failed));
        for (const auto& entry : found) endpoints_.push_back(entry.endpoint());
        co_return failed;
    }

    asio::awaitable<channel_opening> connect() {
        channel_opening out;
        auto resolving = resolve();
        out.failed = co_await std::move(resolving);
        out.step = "cannot find the address of " + host_.text + ": ";
        if (out.failed) co_return out;
        out.step = "cannot connect: ";
        out.failed = asio::error::host_not_found; // unless there is an address
        auto& socket = stream_.next_layer();
        for (const auto& endpoint : endpoints_) {
            if (closed_) out.failed = asio::error::operation_aborted;
            if (closed_) co_return out;
            asio::error_code ignored; // of the attempt before
            socket.close(ignored);
            out.failed = {};
            open_socket(socket, endpoint.protocol(), out.failed);
            if (out.failed) continue;
            const asio::generic::stream_protocol::endpoint to{endpoint};
            co_await socket.async_connect(to,
                                          asio::redirect_error(asio::use_awaitable, out.failed));
            if (out.failed == asio::error::operation_aborted) co_return out;
            if (out.failed) continue;
            set_tcp_options(socket, watch_);
            co_return out;
        }
        co_return out;
    }

    /// Why the handshake has failed.
    [[nodiscard]] std::string refusal() {
        const auto verified = ::SSL_get_verify_result(stream_.native_handle());
        if (verified == X509_V_OK) return "cannot set up TLS: ";
        return "its certificate must be of an authority in ca.pem, valid, and for " + host_.text +
               " (" + ::X509_verify_cert_error_string(verified) + "): ";
    }

    const tls_credentials_ptr credentials_;
    const tls_host host_;
    const bool watch_;
    bool closed_ = false;
    std::vector<asio::ip::tcp::endpoint> endpoints_;
    asio::ip::tcp::resolver resolver_;
    asio::ssl::stream<client_socket> stream_;
};

/// A daemon that is reached over TLS.
class tls_daemon final : public secure_peer {
public:
    tls_daemon(tls_credentials_ptr credentials, tls_host host)
        : credentials_{std::move(credentials)}, host_{std::move(host)} {}

    [[nodiscard]] const std::string& name() const noexcept override { return host_.name; }

    [[nodiscard]] std::unique_ptr<secure_channel> make_channel(const asio::any_io_executor& strand,
                                                               bool watch) const override {
        return std::make_unique<tls_channel>(strand, credentials_, host_, watch);
    }

private:
    const tls_credentials_ptr credentials_;
    const tls_host host_;
};

ROUNDHOUSE_DECL secure_peer_ptr tls_peer(tls_credentials_ptr credentials, const std::string& host,
                                         std::uint16_t port) {
    tls_host to;
    to.text = host;
    to.port = port;
    asio::error_code no_number; // a name
    to.address = asio::ip::make_address(host, no_number);
    to.is_address = !no_number;
    const bool brackets = to.is_address && to.address.is_v6();
    to.name = (brackets ? '[' + host + ']' : host) + ':' + std::to_string(port);
    return std::make_shared<tls_daemon>(std::move(credentials), std::move(to));
}

ROUNDHOUSE_DECL result<tls_credentials_ptr> load_tls(const std::string& folder) {
    auto out = std::make_shared<tls_credentials>();
    auto* const context = out->context.native_handle();
    ::SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    ::SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    // OpenSSL's own asks on the terminal for the password of a key.
    ::SSL_CTX_set_default_passwd_cb(context, [](char*, int, int, void*) { return 0; });
    const auto ca = folder + "/ca.pem";
    const auto certificate = folder + "/cert.pem";
    const auto key = folder + "/key.pem";
    for (const auto& file : {ca, certificate, key})
        if (!std::ifstream{file})
            return fail(errc::invalid_request,
                        file + " cannot be opened: " + std::generic_category().message(errno));
    const auto cannot_use = [](const std::string& file) {
        return fail(errc::invalid_request, file + ": " + crypto::openssl_cause());
    };
    ::ERR_clear_error();
    if (::SSL_CTX_load_verify_file(context, ca.c_str()) != 1) return cannot_use(ca);
    if (::SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1)
        return cannot_use(certificate);
    if (::SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1 ||
        ::SSL_CTX_check_private_key(context) != 1)
        return cannot_use(key);
    return out;
}

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
