#pragma once

#include <roundhouse/http/request.hpp>

#include <restinio/all.hpp>

#include <algorithm>
#include <exception>
#include <optional>
#include <string_view>
#include <utility>

// The server uses RESTinio's connections, and not its acceptor: that one stops accepting after an
// error such as EMFILE, and never uncounts a client that resets its connection early. RESTinio has
// no public interface to connections alone, so names of restinio::impl are used, in the way of
// RESTinio's http_server in 0.6.
#if RESTINIO_VERSION < RESTINIO_VERSION_MAKE(0, 6, 13) ||                                          \
    RESTINIO_VERSION >= RESTINIO_VERSION_MAKE(0, 7, 0)
#error "http_loop.cpp knows RESTinio 0.6.13 to 0.6.x: adapt it to this version"
#endif

/// The configuration of RESTinio for http_loop.cpp. Do not include it elsewhere: RESTinio takes
/// long to compile.
namespace roundhouse::server {

class http_loop;

struct call_handler {
    http_loop* loop = nullptr;
    restinio::request_handling_status_t (*handle)(http_loop&, restinio::request_handle_t) = nullptr;

    restinio::request_handling_status_t operator()(restinio::request_handle_t call) const {
        return handle(*loop, std::move(call));
    }
};

/// Calls `closed` when a connection is closed.
struct connection_watcher {
    http_loop* loop = nullptr;
    void (*closed)(http_loop&, restinio::connection_id_t) = nullptr;

    void state_changed(const restinio::connection_state::notice_t& notice) const noexcept {
        if (restinio::holds_alternative<restinio::connection_state::closed_t>(notice.cause()))
            closed(*loop, notice.connection_id());
    }
};

struct traits : restinio::single_thread_traits_t<restinio::asio_timer_manager_t,
                                                 restinio::null_logger_t, call_handler> {
    using connection_state_listener_t = connection_watcher;
};

using connection_settings = restinio::impl::connection_settings_t<traits>;
using connection_factory = restinio::impl::connection_factory_t<traits>;
using parser_context = restinio::impl::http_parser_ctx_t;

/// Keeps the first `max_body_size` bytes of a body, and drops the rest, so that a long body gets a
/// reply. RESTinio's own callback closes the connection without one.
inline int keep_start_of_body(http_parser* parser, const char* bytes, std::size_t count) noexcept {
    auto* const context = static_cast<parser_context*>(parser->data);
    const std::size_t kept = context->m_body.size();
    const auto max_bytes = static_cast<std::size_t>(context->m_limits.max_body_size());
    try {
        context->m_body.append(bytes, std::min(count, max_bytes - std::min(max_bytes, kept)));
    } catch (const std::exception&) {
        return -1; // out of memory: RESTinio closes the connection
    }
    return 0;
}

inline int end_of_headers(http_parser* parser) noexcept {
    auto* const context = static_cast<parser_context*>(parser->data);
    context->m_leading_headers_completed = true;
    context->m_header.http_major(parser->http_major); // RESTinio leaves the version at 1.1
    context->m_header.http_minor(parser->http_minor);
    // Upgrades are not offered, and no path has the method CONNECT. RESTinio would treat either as
    // the end of HTTP on the connection, and drop the time limits.
    parser->upgrade = 0;
    return 0;
}

inline http_parser_settings parser_callbacks() {
    auto callbacks = restinio::impl::create_parser_settings<traits::http_methods_mapper_t>();
    callbacks.on_body = keep_start_of_body;
    callbacks.on_headers_complete = end_of_headers;
    // RESTinio stores 16 bytes for each chunk, which are not needed here: a body of one-byte chunks
    // would take many times its size.
    callbacks.on_chunk_header = [](http_parser*) noexcept { return 0; };
    return callbacks;
}

/// The headers that the server uses. A key that is sent twice counts as missing, so that its
/// meaning does not depend on which of them is read.
struct headers_found {
    std::string_view platform_key;
    std::string_view admin_key;
    std::string_view request_id;
    unsigned hosts = 0;

    explicit headers_found(const restinio::http_request_header_t& header) {
        unsigned platform_keys = 0;
        unsigned admin_keys = 0;
        const auto is = [](const restinio::http_header_field_t& field, std::string_view name) {
            return field.name().size() == name.size() &&
                   restinio::impl::is_equal_caseless(field.name().data(), name.data(), name.size());
        };
        header.for_each_field([&](const restinio::http_header_field_t& field) {
            if (field.field_id() == restinio::http_field_t::host) ++hosts;
            else if (is(field, http::platform_key_header))
                platform_key = ++platform_keys == 1 ? field.value() : std::string_view();
            else if (is(field, http::admin_key_header))
                admin_key = ++admin_keys == 1 ? field.value() : std::string_view();
            else if (is(field, http::request_id_header)) request_id = field.value();
        });
    }
};

/// Checks what RESTinio's parser does not check. Returns the fault, or nothing.
[[nodiscard]] inline std::optional<std::string_view>
complaint_about(const restinio::http_request_header_t& header, const headers_found& headers) {
    if (header.http_major() != 1) return "This server speaks HTTP/1.1.";
    const bool needs_host = header.http_minor() >= 1;
    if (headers.hosts > 1 || (needs_host && headers.hosts == 0)) // RFC 9112 §3.2
        return "A request has exactly one Host header.";
    return std::nullopt;
}

} // namespace roundhouse::server
