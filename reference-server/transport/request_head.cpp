#include "request_head.hpp"

#include "characters.hpp"

#include <roundhouse/http/request.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace roundhouse::server {

namespace {

using namespace std::string_view_literals;

/// The methods of RFC 9110, of PATCH (RFC 5789) and of WebDAV (RFC 4918). The api answers those
/// that a path does not have with a 405.
constexpr std::array known_methods{
    "GET"sv,  "POST"sv,    "DELETE"sv,   "PUT"sv,  "HEAD"sv, "PATCH"sv,  "OPTIONS"sv,   "TRACE"sv,
    "COPY"sv, "CONNECT"sv, "PROPFIND"sv, "MOVE"sv, "LOCK"sv, "UNLOCK"sv, "PROPPATCH"sv, "MKCOL"sv};

constexpr std::size_t longest_length = 18; ///< Digits of a Content-Length: fewer than 2^63 bytes.

/// `v1.name`: an address of a later version (RFC 3986 §3.2.2, IPvFuture).
bool is_future_address(std::string_view text) noexcept {
    const auto dot = text.find('.');
    if (dot == text.npos || dot < 2 || dot + 1 == text.size() || (text[0] | 0x20) != 'v')
        return false;
    return std::ranges::all_of(text.substr(1, dot - 1),
                               [](char c) { return roundhouse::detail::hex_digit(c) >= 0; }) &&
           std::ranges::all_of(text.substr(dot + 1), [](char c) {
               return c == ':' || (c != '%' && is(byte_class::host, c));
           });
}

bool is_ipv6_address(std::string_view text) noexcept {
    std::array<char, INET6_ADDRSTRLEN> terminated{};
    if (text.size() >= terminated.size()) return false;
    std::ranges::copy(text, terminated.begin());
    in6_addr address{};
    return ::inet_pton(AF_INET6, terminated.data(), &address) == 1;
}

/// The size of the host that a text begins with: a name, or an address in brackets. 0 also if there
/// is no address in the brackets.
std::size_t host_size(std::string_view text) noexcept {
    if (!text.starts_with('[')) return count_of(byte_class::host, text);
    const auto end = text.find(']');
    if (end == text.npos) return 0;
    const auto address = text.substr(1, end - 1);
    return is_ipv6_address(address) || is_future_address(address) ? end + 1 : 0;
}

bool escapes_are_whole(std::string_view text) noexcept {
    for (auto at = text.find('%'); at != text.npos; at = text.find('%', at + 1))
        if (at + 2 >= text.size() || roundhouse::detail::hex_digit(text[at + 1]) < 0 ||
            roundhouse::detail::hex_digit(text[at + 2]) < 0)
            return false;
    return true;
}

enum class port_is : std::uint8_t { optional, needed };

/// `host`, `host:port`, `192.0.2.7:port` or `[2001:db8::1]:port` (RFC 3986 §3.2). The host may be
/// empty, and the port too if it is optional.
bool is_host_and_port(std::string_view text, port_is rule) noexcept {
    constexpr std::size_t most_digits = 5;
    const auto host = host_size(text);
    if (!escapes_are_whole(text.substr(0, host))) return false;
    auto port = text.substr(host);
    if (port.empty()) return rule == port_is::optional;
    if (port.front() != ':') return false;
    port.remove_prefix(1);
    return std::ranges::all_of(port, is_digit) && port.size() <= most_digits &&
           (rule == port_is::optional || (host > 0 && !port.empty()));
}

/// `http://host/path` and the like, without a user.
bool is_absolute_target(std::string_view target) noexcept {
    for (const auto scheme : {"http://"sv, "https://"sv}) {
        if (!same_but_case(target.substr(0, scheme.size()), scheme)) continue;
        target.remove_prefix(scheme.size());
        const auto host = target.substr(0, target.find_first_of("/?"));
        return host_size(host) > 0 && is_host_and_port(host, port_is::optional);
    }
    return false;
}

/// Whether a target has a form that its method may have (RFC 9112 §3.2).
bool is_target_of(std::string_view method, std::string_view target) noexcept {
    if (!all(byte_class::target, target)) return false;
    if (method == "CONNECT") return is_host_and_port(target, port_is::needed);
    if (target.starts_with('/')) return true;
    if (target == "*") return method == "OPTIONS";
    return is_absolute_target(target);
}

} // namespace

std::string_view message_of(request_fault fault) noexcept {
    switch (fault) {
    case request_fault::none:
    case request_fault::not_http: break;
    case request_fault::wrong_version: return "This server speaks HTTP/1.1 and HTTP/1.0.";
    case request_fault::unknown_method:
        return "The method is not known here. Methods are in capital letters, such as GET.";
    case request_fault::target_too_long: return "The path with its query is too long.";
    case request_fault::fields_too_long:
        return "The header fields are too many or too long. Send fewer or shorter ones.";
    case request_fault::wrong_host: return "A request has exactly one Host header, with a host.";
    case request_fault::unknown_expectation:
        return "The only value of Expect that is known here is 100-continue.";
    }
    return {};
}

request_head_reader::progress request_head_reader::read(std::string_view bytes) noexcept {
    for (;;) {
        const auto* const found = static_cast<const char*>(
            std::memchr(bytes.data() + searched_, '\n', bytes.size() - searched_));
        if (found == nullptr) {
            searched_ = bytes.size();
            const auto line = bytes.substr(line_at_);
            const auto fault = check_unfinished(line);
            if (fault == request_fault::none) return progress::more;
            if (!has_request_line_) note_method(line, line_at_);
            return refuse(fault);
        }
        const auto end = static_cast<std::size_t>(found - bytes.data());
        // A line ends in CRLF. A lone LF is read as its end by some readers, and not by others.
        if (end == line_at_ || bytes[end - 1] != '\r') return refuse(request_fault::not_http);
        const bool empty = end - 1 == line_at_;
        const bool whole = empty && has_request_line_;
        const auto fault = whole ? check_whole() : read_line(bytes, end - 1);
        line_at_ = searched_ = end + 1;
        if (fault != request_fault::none) return refuse(fault);
        if (line_at_ > limits_->max_head_bytes) return refuse(request_fault::fields_too_long);
        if (whole) return progress::done;
    }
}

/// Checks the beginning of a line, so that what cannot become a request is refused at once.
request_fault request_head_reader::check_unfinished(std::string_view line) const noexcept {
    const auto cr = line.find('\r');
    if (cr != line.npos && cr + 1 != line.size()) return request_fault::not_http;
    if (has_request_line_)
        return line.size() > limits_->max_field_name_bytes + limits_->max_field_value_bytes + 8 ||
                       line_at_ + line.size() > limits_->max_head_bytes
                   ? request_fault::fields_too_long
                   : request_fault::none;
    const auto method = count_of(byte_class::token, line);
    if (method > limits_->max_method_bytes) return request_fault::not_http;
    const bool may_follow = method == line.size() || (method > 0 && line[method] == ' ') ||
                            (method == 0 && line[0] == '\r');
    if (!may_follow) return request_fault::not_http;
    return line.size() > limits_->max_target_bytes + limits_->max_method_bytes + 16
               ? request_fault::target_too_long
               : request_fault::none;
}

/// Early, so that the refusal of a HEAD has no body either.
void request_head_reader::note_method(std::string_view line, std::size_t at) noexcept {
    const auto size = count_of(byte_class::token, line);
    head_.method = {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(size)};
}

request_fault request_head_reader::read_line(std::string_view bytes, std::size_t end) noexcept {
    const auto line = bytes.substr(line_at_, end - line_at_);
    if (has_request_line_) return read_field(line, line_at_);
    if (line.empty()) // RFC 9112 §2.2: one empty line before a request is ignored
        return std::exchange(skipped_empty_line_, true) ? request_fault::not_http
                                                        : request_fault::none;
    has_request_line_ = true;
    return read_request_line(line, line_at_);
}

request_fault request_head_reader::read_request_line(std::string_view line,
                                                     std::size_t at) noexcept {
    const auto method_size = count_of(byte_class::token, line);
    if (method_size == 0 || method_size > limits_->max_method_bytes || method_size == line.size() ||
        line[method_size] != ' ')
        return request_fault::not_http;
    note_method(line, at);
    const auto method = line.substr(0, method_size);
    const auto rest = line.substr(method_size + 1);
    const auto target_size = rest.find(' ');
    if (target_size == rest.npos || target_size == 0) return request_fault::not_http;
    const auto target = rest.substr(0, target_size);
    const auto version = rest.substr(target_size + 1);

    constexpr std::string_view form = "HTTP/d.d";
    if (version.size() != form.size() || !version.starts_with("HTTP/") || !is_digit(version[5]) ||
        version[6] != '.' || !is_digit(version[7]))
        return request_fault::not_http;
    if (target.size() > limits_->max_target_bytes) return request_fault::target_too_long;
    if (version != "HTTP/1.1" && version != "HTTP/1.0") return request_fault::wrong_version;
    if (std::ranges::find(known_methods, method) == known_methods.end())
        return request_fault::unknown_method;
    if (!is_target_of(method, target)) return request_fault::not_http;

    head_.http_1_0 = version.back() == '0';
    head_.keep_alive = !head_.http_1_0;
    head_.target = {static_cast<std::uint32_t>(at + method_size + 1),
                    static_cast<std::uint32_t>(target.size())};
    return request_fault::none;
}

bool is_field_line(std::string_view line) noexcept {
    const auto name = count_of(byte_class::token, line);
    return name > 0 && name < line.size() && line[name] == ':' &&
           all(byte_class::value, line.substr(name + 1));
}

request_fault request_head_reader::read_field(std::string_view line, std::size_t at) noexcept {
    // A blank before the colon, a folded line (RFC 9112 §5) and a control character are refused.
    if (!is_field_line(line)) return request_fault::not_http;
    const auto name = line.substr(0, line.find(':'));
    const auto untrimmed = line.substr(name.size() + 1);
    const auto value = trimmed(untrimmed);
    if (++fields_ > limits_->max_field_count || name.size() > limits_->max_field_name_bytes ||
        value.size() > limits_->max_field_value_bytes)
        return request_fault::fields_too_long;
    const auto value_at = value.empty() ? at
                                        : at + static_cast<std::size_t>(value.data() - line.data());
    const auto fault = read_known_field(name, value, value_at);
    // Some readers take a tab in these fields for a part of the value.
    const bool frames = lengths_ + codings_ > framing_fields_;
    framing_fields_ = static_cast<std::uint8_t>(lengths_ + codings_);
    return frames && untrimmed.find('\t') != untrimmed.npos ? request_fault::not_http : fault;
}

request_fault request_head_reader::read_known_field(std::string_view name, std::string_view value,
                                                    std::size_t at) noexcept {
    const text_part part{static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(value.size())};
    // A key that is sent twice counts as missing, so that its meaning does not depend on which of
    // them is read.
    const auto only = [&part](text_part& out, std::uint8_t& count) {
        out = count == 0 ? part : text_part{};
        count = 1;
        return request_fault::none;
    };
    switch (name.size()) {
    case 4:
        if (!same_but_case(name, "host")) break;
        if (hosts_++ > 0 || !is_host_and_port(value, port_is::optional))
            return request_fault::wrong_host;
        break;
    case 6:
        if (same_but_case(name, "prefer")) head_.strict |= http::prefers_strict(value);
        if (!same_but_case(name, "expect")) break;
        if (!same_but_case(value, "100-continue")) return request_fault::unknown_expectation;
        head_.expects_continue = true;
        break;
    case 8:
        if (!same_but_case(name, "if-match")) break;
        head_.if_match = head_.has_if_match ? text_part{} : part;
        head_.has_if_match = true;
        break;
    case 10:
        if (same_but_case(name, "connection")) read_connection(value);
        break;
    case 11:
        if (same_but_case(name, "x-admin-key")) return only(head_.admin_key, admin_keys_);
        break;
    case 12:
        if (same_but_case(name, "x-request-id")) head_.request_id = part;
        break;
    case 13:
        if (same_but_case(name, "authorization")) return only(head_.authorization, authorizations_);
        break;
    case 14:
        if (same_but_case(name, "x-platform-key")) return only(head_.platform_key, platform_keys_);
        if (same_but_case(name, "content-length")) return read_length(value);
        break;
    case 15:
        if (same_but_case(name, "x-forwarded-for")) head_.forwarded_for = part;
        if (!same_but_case(name, "idempotency-key")) break;
        head_.idempotency_key = head_.has_idempotency_key ? text_part{} : part;
        head_.has_idempotency_key = true;
        break;
    case 17:
        if (!same_but_case(name, "transfer-encoding")) break;
        if (codings_++ > 0 || !same_but_case(value, "chunked")) return request_fault::not_http;
        head_.framing = body_framing::chunked;
        break;
    default: break;
    }
    return request_fault::none;
}

request_fault request_head_reader::read_length(std::string_view value) noexcept {
    if (lengths_++ > 0 || value.empty() || value.size() > longest_length ||
        !std::ranges::all_of(value, is_digit))
        return request_fault::not_http;
    for (const char c : value)
        head_.content_length = head_.content_length * 10 + static_cast<std::uint64_t>(c - '0');
    if (head_.content_length > 0) head_.framing = body_framing::length;
    return request_fault::none;
}

void request_head_reader::read_connection(std::string_view value) noexcept {
    while (!value.empty()) {
        const auto comma = std::min(value.find(','), value.size());
        const auto option = trimmed(value.substr(0, comma));
        if (same_but_case(option, "close")) head_.keep_alive = false, closes_ = true;
        else if (same_but_case(option, "keep-alive") && !closes_) head_.keep_alive = true;
        value.remove_prefix(std::min(comma + 1, value.size()));
    }
}

request_fault request_head_reader::check_whole() const noexcept {
    if (hosts_ == 0 && !head_.http_1_0) return request_fault::wrong_host; // RFC 9112 §3.2
    // RFC 9112 §6.1: either may be meant to smuggle a request past a proxy.
    if (codings_ > 0 && (lengths_ > 0 || head_.http_1_0)) return request_fault::not_http;
    return request_fault::none;
}

} // namespace roundhouse::server
