#pragma once

#include <roundhouse/http/api.hpp>
#include <roundhouse/http/reply.hpp>
#include <roundhouse/http/request.hpp>

#include <httplib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// The api on a `httplib::Server` (cpp-httplib 0.11 or later) that the user already has.
///
/// Where cpp-httplib is a compiled library, as on Debian, compile with the flags that `pkg-config
/// --cflags cpp-httplib` tells: its types have another layout without them.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

namespace detail {

/// What the headers of a request say about its body.
enum class framing : std::uint8_t { none, some, unclear };

/// RFC 9112 §6: no length and no coding mean no body. What two servers may read in two ways is not
/// read at all, because the rest of it would pass for the next request.
inline framing framing_of(const httplib::Request& in) {
    const auto codings = in.get_header_value_count("Transfer-Encoding");
    const auto lengths = in.get_header_value_count("Content-Length");
    if (codings == 0 && lengths == 0) return framing::none;
    if (codings + lengths > 1) return framing::unclear;
    // cpp-httplib reads no other coding, and reads a length like strtoull, which takes `-1` and `
    // 12x` too.
    if (codings == 1)
        return in.get_header_value("Transfer-Encoding") == "chunked" ? framing::some
                                                                     : framing::unclear;
    const auto length = in.get_header_value("Content-Length");
    const bool is_number = !length.empty() && length.size() < 19 &&
                           std::ranges::all_of(length, [](char c) { return c >= '0' && c <= '9'; });
    if (!is_number) return framing::unclear;
    return length.find_first_not_of('0') == std::string::npos ? framing::none : framing::some;
}

/// A request's body, as far as it was read.
struct read_body {
    std::string text;
    bool too_large = false;
    bool whole = true; ///< If not, the connection cannot be used again.
};

/// Reads a body, keeps what is allowed and throws away what is not, up to a bound: who sends more
/// is cut off.
inline read_body read_content(const httplib::ContentReader& content, std::size_t most) {
    constexpr std::size_t most_thrown_away = 4U << 20U;
    read_body body;
    std::size_t thrown_away = 0;
    try {
        body.whole = content([&](const char* data, std::size_t size) {
            if (!body.too_large && size <= most - body.text.size()) {
                body.text.append(data, size);
                return true;
            }
            body.too_large = true;
            thrown_away += size;
            return thrown_away <= most_thrown_away;
        });
    } catch (const std::exception&) {
        // cpp-httplib insists on parsing multipart bodies, and has nobody to give the parts to.
        body.whole = false;
    }
    return body;
}

/// A header that must be there at most once: given twice, it is as good as missing.
inline std::string single_header(const httplib::Request& in, std::string_view name) {
    const std::string key(name);
    return in.get_header_value_count(key) == 1 ? in.get_header_value(key) : std::string();
}

/// What is left of a target when the prefix under which the api is mounted is taken away; a target
/// outside of it leaves nothing, which is no path.
inline std::string_view below(std::string_view prefix, std::string_view target) noexcept {
    const auto [path, query] = split(target);
    if (!path.starts_with(prefix)) return {};
    // Path and query are neighbours in the target.
    return {path.data() + prefix.size(),
            static_cast<std::size_t>(target.data() + target.size() - path.data()) - prefix.size()};
}

/// Asks the api and waits for its answer.
template <class Orchestrator> reply ask(const api<Orchestrator>& target, const request& in) {
    auto promise = std::make_shared<std::promise<reply>>();
    auto answer = promise->get_future();
    auto now = target.handle(in, [promise](reply later) { promise->set_value(std::move(later)); });
    promise.reset();
    if (now) return std::move(*now);
    try {
        return answer.get();
    } catch (const std::future_error&) {
        // The orchestrator's executor was destroyed with this call in it.
        return error_reply(
            {errc::shutting_down, "The server is shutting down. Try again in a moment.", 1},
            request_id_for(in.request_id));
    }
}

/// What becomes of the connection after a reply.
enum class connection : std::uint8_t { kept, closed, closed_without_body };

/// Sends a reply. cpp-httplib closes a connection by itself only if the client asks for it; a
/// content provider that fails is the one other way. This one fails after its last byte.
inline void send(reply&& from, httplib::Response& out, connection then) {
    out.status = from.status;
    out.set_header(std::string(request_id_header), from.request_id);
    if (from.retry_after_s > 0) out.set_header("Retry-After", std::to_string(from.retry_after_s));
    if (!from.allow.empty()) out.set_header("Allow", std::string(from.allow));
    if (then == connection::kept || from.body.empty()) {
        out.set_content(from.body, std::string(from.content_type));
        return;
    }
    out.set_header("Connection", "close");
    const auto size = from.body.size();
    out.set_content_provider(
        size, std::string(from.content_type),
        [body = std::move(from.body), then](std::size_t, std::size_t, httplib::DataSink& sink) {
            if (then == connection::closed) sink.write(body.data(), body.size());
            return false;
        });
}

/// Turns one request of cpp-httplib's into a call of the api.
template <class Orchestrator> class mounted {
public:
    mounted(std::shared_ptr<api<Orchestrator>> target, std::string prefix)
        : api_(std::move(target)), prefix_(std::move(prefix)) {}

    /// A method whose body cpp-httplib does not read. One that is there all the same would pass for
    /// the next request.
    void operator()(const httplib::Request& in, httplib::Response& out) const {
        const auto framed = framing_of(in);
        serve(in, out, {}, framed != framing::none);
    }

    /// A method that may have a body.
    void operator()(const httplib::Request& in, httplib::Response& out,
                    const httplib::ContentReader& content) const {
        const auto framed = framing_of(in);
        read_body body;
        if (framed == framing::some) body = read_content(content, api_->max_body_bytes());
        // cpp-httplib notes a status when it cannot read a body, but the answer is ours.
        if (framed == framing::unclear || (!body.whole && !body.too_large))
            return refuse_body(in, out);
        serve(in, out, body, !body.whole);
    }

private:
    void serve(const httplib::Request& in, httplib::Response& out, const read_body& body,
               bool close_after) const {
        const auto platform_key = single_header(in, platform_key_header);
        const auto admin_key = single_header(in, admin_key_header);
        const auto request_id = single_header(in, request_id_header);
        request asked;
        asked.method = in.method;
        asked.target = below(prefix_, in.target); // the raw one: in.path has %2F decoded
        asked.body = body.text;
        asked.platform_key = platform_key;
        asked.admin_key = admin_key;
        asked.request_id = request_id;
        asked.body_too_large = body.too_large;
        answer(in, out, ask(*api_, asked), close_after);
    }

    void refuse_body(const httplib::Request& in, httplib::Response& out) const {
        const error unreadable{
            errc::invalid_request,
            "The body cannot be read. Send JSON, with one Content-Length or in chunks."};
        answer(in, out,
               error_reply(unreadable, request_id_for(single_header(in, request_id_header))), true);
    }

    static void answer(const httplib::Request& in, httplib::Response& out, reply&& from,
                       bool close_after) {
        // The server's own object, which it passes on as const. It would cut any reply to the
        // ranges that a client asks for; and it asks no content provider for HEAD, so that the
        // connection would stay.
        auto& own = const_cast<httplib::Request&>(in);
        own.ranges.clear();
        if (!close_after) return send(std::move(from), out, connection::kept);
        const bool to_head = in.method == "HEAD";
        if (to_head) own.method = "GET";
        send(std::move(from), out, to_head ? connection::closed_without_body : connection::closed);
    }

    std::shared_ptr<api<Orchestrator>> api_;
    std::string prefix_;
};

/// The pattern of every path under a prefix, decoded.
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

/// Serves the api under `prefix` (such as `/fleet`; with none it takes every path that the server
/// has no earlier handler for). Call it before the server listens.
///
/// Blocking: a call that takes long, such as a provision, keeps one of the server's threads until
/// it is answered. An error handler of the server sees the api's failures too, and should leave
/// alone those that have a body. cpp-httplib 0.11 percent-decodes the values of headers: an admin
/// key with `%41` in it will not be recognised there.
template <class Orchestrator>
void mount(httplib::Server& server, std::shared_ptr<api<Orchestrator>> target,
           std::string prefix = "") {
    while (prefix.ends_with('/')) prefix.pop_back();
    const auto pattern = detail::pattern_below(prefix);
    const detail::mounted<Orchestrator> handler(std::move(target), std::move(prefix));
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
