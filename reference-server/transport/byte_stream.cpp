#include "byte_stream.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <utility>

namespace roundhouse::server {

namespace {

/// What follows from a call that failed with `errno`.
byte_stream::progress failed_call() noexcept {
    const bool later = errno == EAGAIN || errno == EINTR;
    return {later ? byte_stream::outcome::later : byte_stream::outcome::failed, 0, errno == EAGAIN};
}

} // namespace

void byte_stream::free_connection::operator()(SSL* connection) const noexcept {
    ::SSL_free(connection);
}

byte_stream::byte_stream(int socket, SSL_CTX* tls) : socket_(socket) {
    if (tls == nullptr) return;
    tls_.reset(::SSL_new(tls));
    if (!tls_ || ::SSL_set_fd(tls_.get(), socket) != 1) {
        close();
        throw std::bad_alloc();
    }
    ::SSL_set_accept_state(tls_.get());
}

byte_stream::~byte_stream() { close(); }

bool byte_stream::handshaking() const noexcept {
    return tls_ && ::SSL_is_init_finished(tls_.get()) == 0;
}

byte_stream::progress byte_stream::receive(char* to, std::size_t size) noexcept {
    if (tls_) return receive_decrypted(to, size);
    const auto count = ::recv(socket_, to, size, MSG_DONTWAIT);
    if (count < 0) return failed_call();
    if (count == 0) return {outcome::ended, 0, true};
    const auto bytes = static_cast<std::size_t>(count);
    return {outcome::some, bytes, bytes < size};
}

byte_stream::progress byte_stream::send(std::string_view bytes) noexcept {
    if (tls_) return send_encrypted(bytes);
    const auto count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0) return failed_call();
    return {outcome::some, static_cast<std::size_t>(count)};
}

byte_stream::progress byte_stream::receive_decrypted(char* to, std::size_t size) noexcept {
    std::size_t bytes = 0;
    ::ERR_clear_error();
    const int code = ::SSL_read_ex(tls_.get(), to, size, &bytes);
    // More may have been decrypted already: only a call that finds nothing tells that there is none.
    return code == 1 ? progress{outcome::some, bytes} : without_bytes(code);
}

byte_stream::progress byte_stream::send_encrypted(std::string_view bytes) noexcept {
    std::size_t sent = 0;
    ::ERR_clear_error();
    const int code = ::SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &sent);
    return code == 1 ? progress{outcome::some, sent} : without_bytes(code);
}

byte_stream::progress byte_stream::without_bytes(int code) noexcept {
    switch (::SSL_get_error(tls_.get(), code)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE: return {outcome::later, 0, true};
    case SSL_ERROR_ZERO_RETURN: return {outcome::ended, 0, true};
    default: break;
    }
    // After such an error no notice may be sent (SSL_get_error(3)).
    ::SSL_set_quiet_shutdown(tls_.get(), 1);
    ::ERR_clear_error();
    return {outcome::failed, 0, true};
}

void byte_stream::end_sending() noexcept {
    if (tls_ && !handshaking())
        (void)::SSL_shutdown(tls_.get()); // the notice; no answer is awaited
    ::ERR_clear_error();
    (void)::shutdown(socket_, SHUT_WR);
}

void byte_stream::close() noexcept {
    tls_.reset();
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

} // namespace roundhouse::server
