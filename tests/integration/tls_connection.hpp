#pragma once

#include "certificates.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace roundhouse_tests {

/// A TLS connection to 127.0.0.1 that blocks. Reads fail once nothing has arrived for 20 s.
class tls_connection {
public:
    explicit tls_connection(std::uint16_t port, const signed_key* own = nullptr,
                            int newest_version = TLS1_3_VERSION)
        : context_(SSL_CTX_new(TLS_client_method())),
          socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const timeval timeout{.tv_sec = 20, .tv_usec = 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
            throw std::runtime_error("cannot connect");
        SSL_CTX_set_max_proto_version(context_.get(), newest_version);
        SSL_CTX_set_security_level(context_.get(), 0); // so that old versions can be offered
        if (own != nullptr) {
            SSL_CTX_use_certificate(context_.get(), own->certificate());
            SSL_CTX_use_PrivateKey(context_.get(), own->key());
        }
        tls_.reset(SSL_new(context_.get()));
        SSL_set_fd(tls_.get(), socket_);
        connected_ = SSL_connect(tls_.get()) == 1;
    }
    ~tls_connection() {
        tls_.reset();
        ::close(socket_);
    }
    tls_connection(const tls_connection&) = delete;
    tls_connection& operator=(const tls_connection&) = delete;

    [[nodiscard]] bool connected() const noexcept { return connected_; }

    /// The common name in the server's certificate.
    [[nodiscard]] std::string server_name() const {
        const certificate_ptr certificate(SSL_get1_peer_certificate(tls_.get()));
        char name[64]{};
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, name,
                                  sizeof name);
        return name;
    }

    bool send(std::string_view bytes) {
        std::size_t written = 0;
        return SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &written) == 1;
    }
    /// Tells the server that nothing more is sent.
    void finish_sending() { SSL_shutdown(tls_.get()); }

    /// Reads until the text ends like this, or the connection has ended.
    std::string read_until(std::string_view end) {
        std::string out;
        while (!out.ends_with(end) && receive(out)) {
        }
        return out;
    }
    std::string rest() {
        std::string out;
        while (receive(out)) {
        }
        return out;
    }

private:
    struct free_all {
        void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
        void operator()(SSL* connection) const noexcept { SSL_free(connection); }
    };

    bool receive(std::string& out) {
        char bytes[16 * 1024];
        std::size_t count = 0;
        if (SSL_read_ex(tls_.get(), bytes, sizeof bytes, &count) != 1) return false;
        out.append(bytes, count);
        return true;
    }

    std::unique_ptr<SSL_CTX, free_all> context_;
    int socket_;
    std::unique_ptr<SSL, free_all> tls_;
    bool connected_ = false;
};

} // namespace roundhouse_tests
