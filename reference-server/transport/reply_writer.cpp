#include "reply_writer.hpp"

#include <roundhouse/http/rate_limit_fields.hpp>
#include <roundhouse/http/request.hpp>

#include <array>
#include <charconv>
#include <cstddef>

namespace roundhouse::server {

namespace {

void append_header(std::string& head, std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
}

template <class Number> void append_number(std::string& out, Number number) {
    std::array<char, 24> digits; // NOLINT: to_chars writes what is read
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    out.append(digits.data(), end);
}

void append_rate_limit_headers(std::string& head, const rate_limit_status& limits) {
    head.append(http::rate_limit_policy_header).append(": ");
    http::append_rate_limit_policy(head, limits);
    head.append("\r\n").append(http::rate_limit_header).append(": ");
    http::append_rate_limit(head, limits);
    head.append("\r\n");
}

} // namespace

std::string_view reason_of(int status) noexcept {
    switch (status) {
    case 200: return "OK";
    case 202: return "Accepted";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "";
    }
}

void write_http_date(std::time_t time, std::string& out) {
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    char text[64];
    // The server does not set a locale, so the names are English.
    const auto length = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    out.assign(text, length);
}

void append_reply(std::string& out, const http::reply& reply, const reply_form& form) {
    constexpr std::size_t usual_head = 320;
    out.reserve(out.size() + usual_head + reply.body.size());
    out.append("HTTP/1.1 ");
    append_number(out, reply.status);
    out.append(" ").append(reason_of(reply.status)).append("\r\n");
    append_header(out, "Connection", form.keep_alive ? "keep-alive" : "close");
    if (form.framing == reply_framing::length) {
        out.append("Content-Length: ");
        append_number(out, reply.body.size());
        out.append("\r\n");
    } else if (form.framing == reply_framing::chunked) {
        append_header(out, "Transfer-Encoding", "chunked");
    }
    append_header(out, "Content-Type", reply.content_type);
    append_header(out, "Date", form.date);
    // Replies may hold engine keys.
    append_header(out, "Cache-Control", "no-store");
    append_header(out, http::request_id_header, reply.request_id);
    if (reply.retry_after_s > 0) {
        out.append("Retry-After: ");
        append_number(out, reply.retry_after_s);
        out.append("\r\n");
    }
    if (!reply.allow.empty()) append_header(out, "Allow", reply.allow);
    if (!reply.challenge.empty()) append_header(out, "WWW-Authenticate", reply.challenge);
    if (!reply.ignored.empty()) append_header(out, http::ignored_header, reply.ignored);
    if (reply.strict) append_header(out, http::preference_applied_header, http::strict_handling);
    if (reply.rate_limit) append_rate_limit_headers(out, *reply.rate_limit);
    out.append("\r\n");
    if (!form.head_only) out.append(reply.body);
}

void append_chunk(std::string& out, std::string_view piece) {
    std::array<char, 16> digits; // NOLINT: to_chars writes what is read
    const auto end =
        std::to_chars(digits.data(), digits.data() + digits.size(), piece.size(), 16).ptr;
    out.reserve(out.size() + digits.size() + piece.size());
    out.append(digits.data(), end).append("\r\n").append(piece).append("\r\n");
}

void append_last_chunk(std::string& out) { out.append("0\r\n\r\n"); }

} // namespace roundhouse::server
