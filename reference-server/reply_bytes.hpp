#pragma once

#include <roundhouse/http/reply.hpp>

#include <ctime>
#include <string>
#include <string_view>

namespace roundhouse::server {

/// The reason phrase of a status code (RFC 9110 §15), or an empty one for a code that no reply of
/// ours has.
[[nodiscard]] std::string_view reason_of(int status) noexcept;

/// A time as the `Date` header writes it (RFC 9110 §5.6.7).
[[nodiscard]] std::string http_date(std::time_t time);

/// The status line and headers of a reply, up to and with the empty line that ends them.
/// `Content-Length` is the body's, whether the body is sent or not.
[[nodiscard]] std::string reply_head(const http::reply& reply, std::string_view date,
                                     bool keep_alive);

} // namespace roundhouse::server
