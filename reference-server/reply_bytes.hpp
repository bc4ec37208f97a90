#pragma once

#include <roundhouse/http/reply.hpp>

#include <ctime>
#include <string>
#include <string_view>

namespace roundhouse::server {

/// Returns the reason phrase of a status code (RFC 9110 §15); an empty one for a code that the API
/// does not use.
[[nodiscard]] std::string_view reason_of(int status) noexcept;

/// Formats a time for the `Date` header (RFC 9110 §5.6.7).
[[nodiscard]] std::string http_date(std::time_t time);

/// Formats the status line and the headers of a reply, and the empty line after them.
/// `Content-Length` is the length of the body, also if the body is not sent.
[[nodiscard]] std::string reply_head(const http::reply& reply, std::string_view date,
                                     bool keep_alive);

} // namespace roundhouse::server
