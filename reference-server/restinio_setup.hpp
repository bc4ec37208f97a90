#pragma once

#include <roundhouse/http/request.hpp>

#include <restinio/all.hpp>

#include <algorithm>
#include <exception>
#include <optional>
#include <string_view>
#include <utility>

// RESTinio's connections are used, and its acceptor is not: that one never accepts again after an
// error (one EMFILE, and the server is deaf), and counts a client that resets its connection early
// for ever. Its http_server has no other door, so a few names of restinio::impl are used, as
// http_server itself uses them in 0.6.
#if RESTINIO_VERSION < RESTINIO_VERSION_MAKE(0, 6, 13) ||                                          \
    RESTINIO_VERSION >= RESTINIO_VERSION_MAKE(0, 7, 0)
#error "http_loop.cpp knows RESTinio 0.6.13 to 0.6.x: adapt it to this version"
#endif

/// How http_loop.cpp has RESTinio work. Only for that file: RESTinio takes long to compile.
namespace roundhouse::server {

class http_loop;

struct call_handler {
    http_loop* loop = nullptr;
    restinio::request_handling_status_t (*handle)(http_loop&, restinio::request_handle_t) = nullptr;

    restinio::request_handling_status_t operator()(restinio::request_handle_t call) const {
        return handle(*loop, std::move(call));
    }
};

/// Hears of connections that close.
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

/// RESTinio ends the connection without an answer when a body is too long. Here the first
/// `max_body_size` bytes are kept and the rest is read and dropped, so that the answer can say what
/// is wrong.
inline int keep_start_of_body(http_parser* parser, const char* bytes, std::size_t count) noexcept {
    auto* const context = static_cast<parser_context*>(parser->data);
    const std::size_t kept = context->m_body.size();
    const auto most = static_cast<std::size_t>(context->m_limits.max_body_size());
    try {
        context->m_body.append(bytes, std::min(count, most - std::min(most, kept)));
    } catch (const std::exception&) {
        return -1; // no memory: RESTinio closes the connection
    }
    return 0;
}

inline int end_of_headers(http_parser* parser) noexcept {
    auto* const context = static_cast<parser_context*>(parser->data);
    context->m_leading_headers_completed = true;
    context->m_header.http_major(parser->http_major); // RESTinio leaves every request at 1.1
    context->m_header.http_minor(parser->http_minor);
    // Upgrades are not offered, and CONNECT is one more method that no path has. RESTinio takes
    // either for the end of HTTP on this connection, with no time limit any more.
    parser->upgrade = 0;
    return 0;
}

inline http_parser_settings parser_callbacks() {
    auto callbacks = restinio::impl::create_parser_settings<traits::http_methods_mapper_t>();
    callbacks.on_body = keep_start_of_body;
    callbacks.on_headers_complete = end_of_headers;
    // RESTinio notes each chunk's place in 16 bytes, which nobody here asks for: a body of one-byte
    // chunks would cost much more than it weighs.
    callbacks.on_chunk_header = [](http_parser*) noexcept { return 0; };
    return callbacks;
}

/// The headers that matter, looked for once. A header that may come once and comes again counts as
/// not there: two keys must not be a matter of which one is looked at.
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

/// What is wrong with a request that the parser lets pass, or nothing.
[[nodiscard]] inline std::optional<std::string_view>
complaint_about(const restinio::http_request_header_t& header, const headers_found& headers) {
    if (header.http_major() != 1) return "This server speaks HTTP/1.1.";
    const bool needs_host = header.http_minor() >= 1;
    if (headers.hosts > 1 || (needs_host && headers.hosts == 0)) // RFC 9112 §3.2
        return "A request has exactly one Host header.";
    return std::nullopt;
}

} // namespace roundhouse::server
