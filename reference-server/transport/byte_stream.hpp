#pragma once

#include <openssl/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace roundhouse::server {

/// A connected socket, in the clear or with TLS, that does not block. A process that uses TLS must
/// ignore SIGPIPE.
class byte_stream {
public:
    enum class outcome : std::uint8_t {
        some,   ///< Some bytes went through.
        later,  ///< Nothing can go through now: an event of the socket tells when.
        ended,  ///< The other side sends nothing more.
        failed, ///< The connection is of no use any more.
    };
    struct progress {
        outcome reached = outcome::failed;
        std::size_t bytes = 0;
        bool emptied = false; ///< There was nothing more to receive.
    };

    /// Takes the socket, also if it throws. `tls` is null for a connection in the clear. Throws
    /// `std::bad_alloc`.
    byte_stream(int socket, SSL_CTX* tls);
    ~byte_stream();
    byte_stream(byte_stream&& other) noexcept
        : socket_(std::exchange(other.socket_, -1)), tls_(std::move(other.tls_)) {}
    byte_stream(const byte_stream&) = delete;
    byte_stream& operator=(const byte_stream&) = delete;

    [[nodiscard]] int socket() const noexcept { return socket_; }
    /// Whether TLS is still being set up. Receiving does that.
    [[nodiscard]] bool handshaking() const noexcept;

    [[nodiscard]] progress receive(char* to, std::size_t size) noexcept;
    [[nodiscard]] progress send(std::string_view bytes) noexcept;
    /// Tells the other side that nothing more is sent.
    void end_sending() noexcept;
    void close() noexcept;

private:
    struct free_connection {
        void operator()(SSL* connection) const noexcept;
    };

    [[nodiscard]] progress receive_decrypted(char* to, std::size_t size) noexcept;
    [[nodiscard]] progress send_encrypted(std::string_view bytes) noexcept;
    [[nodiscard]] progress without_bytes(int code) noexcept;

    int socket_;
    std::unique_ptr<SSL, free_connection> tls_; ///< Null in the clear.
};

} // namespace roundhouse::server
