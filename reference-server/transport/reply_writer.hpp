#pragma once

#include <roundhouse/http/reply.hpp>

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

namespace roundhouse::server {

/// Returns the reason phrase of a status, or an empty text for an unknown status.
[[nodiscard]] std::string_view reason_of(int status) noexcept;

/// Puts a time into `out` as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
void write_http_date(std::time_t time, std::string& out);

/// How the end of a reply's body is found (RFC 9112 §6.3).
enum class reply_framing : std::uint8_t {
    length,
    chunked,
    until_close, ///< For HTTP/1.0, which has no chunks.
};

/// How a reply is sent.
struct reply_form {
    std::string_view date; ///< As `write_http_date` makes it.
    bool keep_alive = true;
    bool head_only = false; ///< The request was HEAD: the body is left out, and not its length.
    reply_framing framing = reply_framing::length;
};

/// Appends the bytes of a reply.
void append_reply(std::string& out, const http::reply& reply, const reply_form& form);

/// Appends a piece of a chunked body (RFC 9112 §7.1), which must not be empty.
void append_chunk(std::string& out, std::string_view piece);
/// Appends the end of a chunked body.
void append_last_chunk(std::string& out);

/// The reply to what is not HTTP: a status without an explanation.
inline constexpr std::string_view bare_bad_request =
    "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Asks a client for the body that it holds back (RFC 9110 §10.1.1).
inline constexpr std::string_view interim_continue = "HTTP/1.1 100 Continue\r\n\r\n";

} // namespace roundhouse::server
