#pragma once

#include <roundhouse/http/api.hpp>
#include <roundhouse/http/rate_limit_fields.hpp>
#include <roundhouse/http/reply.hpp>
#include <roundhouse/http/request.hpp>
#include <roundhouse/text_stream.hpp>

#include <httplib.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

/// Serves the api on an existing `httplib::Server` (cpp-httplib 0.11 or later).
///
/// Where cpp-httplib is a compiled library, as on Debian, compile with the flags that `pkg-config
/// --cflags cpp-httplib` prints: its types have another layout without them.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

namespace detail {

/// Whether a request has a body, according to its headers.
enum class framing : std::uint8_t { none, some, unclear };

/// Determines the framing of a body (RFC 9112 §6): neither length nor coding mean no body. A body
/// that servers may interpret differently is not read at all, because its rest would be taken for
/// the next request.
inline framing framing_of(const httplib::Request& in) {
    const auto codings = in.get_header_value_count("Transfer-Encoding");
    const auto lengths = in.get_header_value_count("Content-Length");
    if (codings == 0 && lengths == 0) return framing::none;
    if (codings + lengths > 1) return framing::unclear;
    // cpp-httplib reads no other coding, and reads a length as strtoull does, which accepts `-1`
    // and ` 12x` too.
    if (codings == 1)
        return in.get_header_value("Transfer-Encoding") == "chunked" ? framing::some
                                                                     : framing::unclear;
    const auto length = in.get_header_value("Content-Length");
    const bool is_number = !length.empty() && length.size() < 19 &&
                           std::ranges::all_of(length, [](char c) { return c >= '0' && c <= '9'; });
    if (!is_number) return framing::unclear;
    return length.find_first_not_of('0') == std::string::npos ? framing::none : framing::some;
}

/// The part of a request's body that was read.
struct read_body {
    std::string text;
    bool too_large = false;
    bool whole = true; ///< Otherwise the connection cannot be used again.
};

/// Reads a body, and keeps up to `max_bytes`. The rest is read and dropped up to a limit, after
/// which the connection is closed.
inline read_body read_content(const httplib::ContentReader& content, std::size_t max_bytes) {
    constexpr std::size_t max_dropped = 4U << 20U;
    read_body body;
    std::size_t dropped = 0;
    try {
        body.whole = content([&](const char* data, std::size_t size) {
            if (!body.too_large && size <= max_bytes - body.text.size()) {
                body.text.append(data, size);
                return true;
            }
            body.too_large = true;
            dropped += size;
            return dropped <= max_dropped;
        });
    } catch (const std::exception&) {
        // cpp-httplib parses multipart bodies, and throws because there is no receiver for the
        // parts.
        body.whole = false;
    }
    return body;
}

/// Returns the value of a header. A header that is sent twice counts as missing.
inline std::string single_header(const httplib::Request& in, std::string_view name) {
    const std::string key(name);
    return in.get_header_value_count(key) == 1 ? in.get_header_value(key) : std::string();
}

/// Whether a request asks for strict handling.
inline bool prefers_strict(const httplib::Request& in) {
    const auto [begin, end] = in.headers.equal_range(std::string(prefer_header));
    return std::any_of(begin, end,
                       [](const auto& header) { return http::prefers_strict(header.second); });
}

/// Removes the prefix under which the api is mounted from a target. Returns an empty text, which is
/// not a path, for a target outside of the prefix.
inline std::string_view below(std::string_view prefix, std::string_view target) noexcept {
    const auto [path, query] = split(target);
    if (!path.starts_with(prefix)) return {};
    // Path and query are adjacent in the target.
    return {path.data() + prefix.size(),
            static_cast<std::size_t>(target.data() + target.size() - path.data()) - prefix.size()};
}

/// Passes a request to the api, and waits for the reply.
inline reply ask(const api& target, const request& in) {
    auto promise = std::make_shared<std::promise<reply>>();
    auto outcome = promise->get_future();
    auto immediate = target.handle(
        in, [promise](reply later) { promise->set_value(std::move(later)); });
    promise.reset();
    if (immediate) return std::move(*immediate);
    try {
        return outcome.get();
    } catch (const std::future_error&) {
        // The orchestrator's executor was destroyed with this call in it.
        return error_reply(
            {errc::shutting_down, "The server is shutting down. Try again in a moment.", 1},
            request_id_for(in.request_id));
    }
}

/// Whether a connection is kept after a reply.
enum class connection : std::uint8_t { kept, closed, closed_without_body };

/// A body that comes in pieces, for a thread that waits for them.
class waited_stream {
public:
    explicit waited_stream(text_stream_ptr pieces) : pieces_(std::move(pieces)) {}

    /// Waits for the next piece, for at most half a second. Returns false if it has not come; a
    /// further call waits for the same.
    [[nodiscard]] bool wait() {
        if (!next_.valid()) {
            auto promise = std::make_shared<std::promise<result<std::string>>>();
            next_ = promise->get_future();
            pieces_->next([promise = std::move(promise)](result<std::string> piece) {
                promise->set_value(std::move(piece));
            });
        }
        return next_.wait_for(std::chrono::milliseconds{500}) == std::future_status::ready;
    }

    /// The piece that has come; nothing if the body is cut off.
    [[nodiscard]] std::optional<std::string> take() {
        try {
            auto piece = next_.get();
            return piece ? std::optional(std::move(*piece)) : std::nullopt;
        } catch (const std::future_error&) { // the orchestrator's executor is gone
            return std::nullopt;
        }
    }

private:
    const text_stream_ptr pieces_;
    std::future<result<std::string>> next_;
};

/// Sends a body that comes in pieces: in chunks, or to the end of the connection.
inline void send_stream(const reply& answer, httplib::Response& out, bool in_chunks,
                        connection after) {
    const auto pieces = std::make_shared<waited_stream>(answer.stream);
    const auto provider = [pieces, in_chunks, after](std::size_t, httplib::DataSink& sink) {
        // cpp-httplib calls again, unless the server stops.
        if (!pieces->wait()) return sink.is_writable();
        const auto piece = pieces->take();
        if (!piece) return false;
        if (!piece->empty()) return sink.write(piece->data(), piece->size());
        if (in_chunks) sink.done();
        return in_chunks && after == connection::kept;
    };
    const std::string type(answer.content_type);
    if (in_chunks) out.set_chunked_content_provider(type, provider);
    else out.set_content_provider(type, provider);
}

/// Sends a reply. cpp-httplib closes a connection only if the client asks for it, or if a content
/// provider fails. To close it, this function uses a provider that fails after its last byte.
inline void send(reply&& answer, httplib::Response& out, bool takes_chunks, connection after) {
    out.status = answer.status;
    out.set_header(std::string(request_id_header), answer.request_id);
    if (answer.retry_after_s > 0)
        out.set_header("Retry-After", std::to_string(answer.retry_after_s));
    if (!answer.allow.empty()) out.set_header("Allow", std::string(answer.allow));
    if (!answer.challenge.empty())
        out.set_header("WWW-Authenticate", std::string(answer.challenge));
    if (!answer.ignored.empty()) out.set_header(std::string(ignored_header), answer.ignored);
    if (answer.strict)
        out.set_header(std::string(preference_applied_header), std::string(strict_handling));
    if (answer.rate_limit) {
        std::string policy;
        append_rate_limit_policy(policy, *answer.rate_limit);
        std::string left;
        append_rate_limit(left, *answer.rate_limit);
        out.set_header(std::string(rate_limit_policy_header), policy);
        out.set_header(std::string(rate_limit_header), left);
    }
    if (answer.delay.count() > 0) std::this_thread::sleep_for(answer.delay);
    if (answer.stream) return send_stream(answer, out, takes_chunks, after);
    if (after == connection::kept || answer.body.empty()) {
        out.set_content(answer.body, std::string(answer.content_type));
        return;
    }
    out.set_header("Connection", "close");
    const auto size = answer.body.size();
    out.set_content_provider(
        size, std::string(answer.content_type),
        [body = std::move(answer.body), after](std::size_t, std::size_t, httplib::DataSink& sink) {
            if (after == connection::closed) sink.write(body.data(), body.size());
            return false;
        });
}

/// A handler of cpp-httplib that passes requests to the api.
class mounted {
public:
    mounted(std::shared_ptr<api> target, std::string prefix)
        : api_(std::move(target)), prefix_(std::move(prefix)) {}

    /// Handles a method whose body cpp-httplib does not read. A body that is sent nevertheless
    /// would be taken for the next request, so the connection is closed.
    void operator()(const httplib::Request& in, httplib::Response& out) const {
        const auto framed = framing_of(in);
        serve(in, out, {}, framed != framing::none);
    }

    /// Handles a method that may have a body.
    void operator()(const httplib::Request& in, httplib::Response& out,
                    const httplib::ContentReader& content) const {
        const auto framed = framing_of(in);
        read_body body;
        if (framed == framing::some) body = read_content(content, api_->max_body_bytes());
        // cpp-httplib sets a status when it cannot read a body; the reply replaces it.
        if (framed == framing::unclear || (!body.whole && !body.too_large))
            return refuse_body(in, out);
        serve(in, out, body, !body.whole);
    }

private:
    void serve(const httplib::Request& in, httplib::Response& out, const read_body& body,
               bool close_after) const {
        const auto platform_key = single_header(in, platform_key_header);
        const auto admin_key = single_header(in, admin_key_header);
        const auto authorization = single_header(in, authorization_header);
        const auto request_id = single_header(in, request_id_header);
        request forwarded;
        forwarded.method = in.method;
        forwarded.target = below(prefix_, in.target); // not in.path, where %2F is decoded
        forwarded.body = body.text;
        forwarded.platform_key = platform_key;
        forwarded.admin_key = admin_key;
        forwarded.authorization = authorization;
        forwarded.client = in.remote_addr;
        forwarded.request_id = request_id;
        forwarded.body_too_large = body.too_large;
        forwarded.strict = prefers_strict(in);
        const auto if_match = single_header(in, if_match_header);
        if (in.has_header(std::string(if_match_header))) forwarded.if_match = if_match;
        const auto key = single_header(in, idempotency_key_header);
        if (in.has_header(std::string(idempotency_key_header))) forwarded.idempotency_key = key;
        respond(in, out, ask(*api_, forwarded), close_after);
    }

    void refuse_body(const httplib::Request& in, httplib::Response& out) const {
        const error unreadable{
            errc::invalid_request,
            "The body cannot be read. Send JSON, with one Content-Length or in chunks."};
        respond(in, out,
                error_reply(unreadable, request_id_for(single_header(in, request_id_header))),
                true);
    }

    static void respond(const httplib::Request& in, httplib::Response& out, reply&& answer,
                        bool close_after) {
        // The server reads its request again after the handler, so changes take effect. Without
        // them it would cut the reply to the ranges that the client asks for; and for HEAD it would
        // not use the content provider, and keep the connection.
        auto& own = const_cast<httplib::Request&>(in);
        own.ranges.clear();
        const bool takes_chunks = in.version != "HTTP/1.0";
        if (!close_after) return send(std::move(answer), out, takes_chunks, connection::kept);
        const bool to_head = in.method == "HEAD";
        if (to_head) own.method = "GET";
        send(std::move(answer), out, takes_chunks,
             to_head ? connection::closed_without_body : connection::closed);
    }

    std::shared_ptr<api> api_;
    std::string prefix_;
};

/// Returns the regular expression that matches every decoded path under a prefix.
inline std::string pattern_below(std::string_view prefix) {
    std::string pattern;
    for (const char c : prefix) {
        if (std::string_view("^$\\.*+?()[]{}|").find(c) != std::string_view::npos) pattern += '\\';
        pattern += c;
    }
    pattern += prefix.empty() ? "[\\s\\S]*" : "(?:/[\\s\\S]*)?";
    return pattern;
}

} // namespace detail

/// Serves the api under `prefix`, such as `/fleet`. Without a prefix the api gets every path for
/// which the server has no earlier handler. Call it before the server listens.
///
/// A call that takes long, such as a provision, occupies a thread of the server until the reply, and
/// so does an output that is followed, until its end or that of the client. An
/// error handler of the server gets the api's failures too, and should not change those that have a
/// body. cpp-httplib 0.11 percent-decodes the values of headers, so that an admin key with `%41` in
/// it is not recognised.
inline void mount(httplib::Server& server, std::shared_ptr<api> target, std::string prefix = "") {
    while (prefix.ends_with('/')) prefix.pop_back();
    const auto pattern = detail::pattern_below(prefix);
    const detail::mounted handler(std::move(target), std::move(prefix));
    const httplib::Server::Handler without_body = handler;
    const httplib::Server::HandlerWithContentReader with_body = handler;
    server.Get(pattern, without_body); // HEAD as well
    server.Options(pattern, without_body);
    server.Post(pattern, with_body);
    server.Put(pattern, with_body);
    server.Patch(pattern, with_body);
    server.Delete(pattern, with_body);
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
