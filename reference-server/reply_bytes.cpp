#include "reply_bytes.hpp"

#include <roundhouse/http/request.hpp>

namespace roundhouse::server {

namespace {

void append_header(std::string& head, std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
}

} // namespace

std::string_view reason_of(int status) noexcept {
    switch (status) {
    case 200: return "OK";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "";
    }
}

std::string http_date(std::time_t time) {
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    char text[64];
    // The server does not set a locale, so the names are English.
    const auto length = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return {text, length};
}

std::string reply_head(const http::reply& reply, std::string_view date, bool keep_alive) {
    std::string head;
    head.reserve(320);
    head.append("HTTP/1.1 ").append(std::to_string(reply.status)).append(" ");
    head.append(reason_of(reply.status)).append("\r\n");
    append_header(head, "Connection", keep_alive ? "keep-alive" : "close");
    append_header(head, "Content-Length", std::to_string(reply.body.size()));
    append_header(head, "Content-Type", reply.content_type);
    append_header(head, "Date", date);
    // Replies may hold engine keys.
    append_header(head, "Cache-Control", "no-store");
    append_header(head, http::request_id_header, reply.request_id);
    if (reply.retry_after_s > 0)
        append_header(head, "Retry-After", std::to_string(reply.retry_after_s));
    if (!reply.allow.empty()) append_header(head, "Allow", reply.allow);
    return head += "\r\n";
}

} // namespace roundhouse::server
