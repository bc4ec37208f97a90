#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/http/exit_members.hpp>
#include <roundhouse/http/host_paths.hpp>
#include <roundhouse/http/json.hpp>
#include <roundhouse/text_stream.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

inline constexpr std::string_view json_type = "application/json";
inline constexpr std::string_view bearer_challenge = "Bearer realm=\"roundhouse\"";
inline constexpr std::string_view text_type = "text/plain; charset=utf-8";

/// A reply that a transport sends. The reply to HEAD has the same headers, `Content-Length`
/// included, and no body.
struct reply {
    int status = 200;
    std::string body;
    std::string_view content_type = json_type;
    std::string request_id;       ///< value of `X-Request-Id`
    int retry_after_s = 0;        ///< value of `Retry-After`; 0 for no such header
    std::string_view allow;       ///< value of `Allow`; empty for no such header
    std::string_view challenge{}; ///< value of `WWW-Authenticate`; empty for no such header
    /// How long the transport waits before it sends the reply, and reads the client's next request.
    std::chrono::milliseconds delay{0};
    /// The body, in pieces, in place of `body`: its length is not known. The transport asks for a
    /// piece when the client has taken the one before, and drops the stream when the client goes.
    /// At a failure it cuts the reply off, so that the client does not take it for whole.
    text_stream_ptr stream{};
    /// The stream goes on without an end of its own. The transport ends it, as a whole reply, when
    /// the client ends its sending side, and when the server stops.
    bool follows = false;
    std::string ignored{}; ///< value of `Roundhouse-Ignored`; empty for no such header
    bool strict = false;   ///< `Preference-Applied: handling=strict`
    /// What `RateLimit-Policy` and `RateLimit` tell (rate_limit_fields.hpp); nothing for no such
    /// headers.
    std::optional<rate_limit_status> rate_limit{};
};

/// The way of a reply that is not known at once.
class reply_channel {
public:
    /// Returns the function that receives the reply. It is called once, from any thread. Called at
    /// most once, by the thread that handles the request, before that returns.
    [[nodiscard]] virtual std::function<void(reply)> open() = 0;

protected:
    ~reply_channel() = default;
};

/// Returns the HTTP status of a kind of failure.
[[nodiscard]] constexpr int http_status(errc code) noexcept {
    return error_row_of(code).http_status;
}

/// Returns whether the reply to a kind of failure has a `Retry-After` header.
[[nodiscard]] constexpr bool tells_retry_after(errc code) noexcept {
    return error_row_of(code).retry == retry_rule::after_wait;
}

/// Makes a 200 reply whose body is the JSON value that `write` writes, with a newline at its end.
template <class Write> [[nodiscard]] reply json_reply(Write write, std::size_t expected_bytes) {
    reply out;
    out.body.reserve(expected_bytes);
    json_writer json(out.body);
    write(json);
    out.body += '\n';
    return out;
}

namespace detail {

/// Writes what programs may know: of a failed boot or upgrade how the workload ended only if that is
/// the cause, and why a creation was undone.
inline void write_details(json_writer& json, const error_details& details) {
    json.name("details").open('{');
    if (details.engines) {
        json.member("engines", *details.engines);
    } else {
        json.member("cause", name_of(details.cause));
        if (details.cause == boot_failure::exited) write_exit(json, details.exit);
        if (details.cause == boot_failure::provision_failed)
            json.member("reason", without_host_paths(details.reason)).member("at", details.at);
        if (details.reverted) json.member("reverted", *details.reverted);
    }
    json.close('}');
}

} // namespace detail

/// Makes the reply to a failed request: `{"error":{"code":"...","message":"..."}}`, with the member
/// `details` where there are some.
[[nodiscard]] inline reply error_reply(int status, std::string_view code, std::string_view message,
                                       std::string request_id,
                                       const std::optional<error_details>& details = {}) {
    auto out = json_reply(
        [&](json_writer& json) {
            json.open('{').name("error").open('{').member("code", code).member("message", message);
            if (details) detail::write_details(json, *details);
            json.close('}').close('}');
        },
        message.size() + 64);
    out.status = status;
    out.request_id = std::move(request_id);
    return out;
}

/// Makes the reply to a failure of the orchestrator. A 500 does not show the cause: its message
/// holds the request's id, under which an operator finds the cause in the log.
[[nodiscard]] inline reply error_reply(const error& failure, std::string request_id) {
    const int status = http_status(failure.code);
    if (status == 500) {
        const auto message =
            "Something went wrong inside the server. Its log tells more, under request " +
            request_id + ".";
        return error_reply(status, code_name(errc::internal_error), message, std::move(request_id));
    }
    auto out = error_reply(status, code_name(failure.code), failure.message, std::move(request_id),
                           failure.details);
    if (status == 401) out.challenge = bearer_challenge; // RFC 9110 §11.6.1
    if (tells_retry_after(failure.code)) out.retry_after_s = std::max(failure.retry_after_s, 1);
    return out;
}

/// Makes the reply to a request whose path does not exist.
[[nodiscard]] inline reply not_found_reply(std::string request_id) {
    return error_reply(404, "NOT_FOUND",
                       "There is no such path. Check it against the API's description; paths do "
                       "not end in a slash.",
                       std::move(request_id));
}

/// Makes the reply to a request whose path has other methods, those in `allow`.
[[nodiscard]] inline reply method_not_allowed_reply(std::string_view allow,
                                                    std::string request_id) {
    auto out = error_reply(405, "METHOD_NOT_ALLOWED",
                           "This path takes only " + std::string(allow) + ".",
                           std::move(request_id));
    out.allow = allow;
    return out;
}

/// Makes the reply to a request whose body has more than `max_bytes` bytes.
[[nodiscard]] inline reply payload_too_large_reply(std::size_t max_bytes, std::string request_id) {
    return error_reply(413, "PAYLOAD_TOO_LARGE",
                       "The body is over " + std::to_string(max_bytes) +
                           " bytes. Send a shorter one.",
                       std::move(request_id));
}

/// Returns whether a caller's request id is used: 1 to 128 characters of `A-Za-z0-9._-:`.
[[nodiscard]] constexpr bool is_sane_request_id(std::string_view text) noexcept {
    constexpr std::size_t max_bytes = 128;
    return !text.empty() && text.size() <= max_bytes && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-' || c == ':';
    });
}

/// Returns the id of a request: the id that the caller sent if it is sane, else a new one of 32
/// hexadecimal digits. New ids are unique, not secret.
[[nodiscard]] inline std::string request_id_for(std::string_view sent) {
    if (is_sane_request_id(sent)) return std::string(sent);
    struct generator {
        std::array<std::uint8_t, 16> next{};
        generator() { crypto::system_entropy(next); }
    };
    thread_local generator ids;
    // A count from a random start: the high half identifies the thread, the low half the request.
    for (std::size_t i = ids.next.size(); i > 8; --i)
        if (++ids.next[i - 1] != 0) break;
    return to_hex(ids.next);
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
