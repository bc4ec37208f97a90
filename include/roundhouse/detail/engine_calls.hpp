#pragma once

#include <roundhouse/detail/http_client.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>
#include <simdjson.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The HTTP requests to engines (SPEC §6). They run on a strand, like `http_call`.
namespace detail {

/// Bounds on the answers of engines.
struct engine_answer_limits {
    std::size_t header_bytes = std::size_t{16} * 1024;
    std::size_t body_bytes = std::size_t{64} * 1024;
    std::size_t total_bytes = std::size_t{128} * 1024;
    std::size_t json_depth = 32;

    [[nodiscard]] http_limits within(duration deadline) const {
        return {.deadline = deadline,
                .header_bytes = header_bytes,
                .body_bytes = body_bytes,
                .total_bytes = total_bytes};
    }
};

/// Text that an engine or a daemon sent, made fit for a message: printable, and cut after
/// `max_length` characters.
[[nodiscard]] inline std::string quoted(std::string_view text, std::size_t max_length = 64) {
    std::string shown;
    for (const char c : text.substr(0, max_length))
        shown += c >= ' ' && c <= '~' && c != '"' ? c : '?';
    return '"' + shown + (text.size() > max_length ? "\"..." : "\"");
}

/// Judges an answer to `GET /health` as SPEC §5 does. A failure's message is the reason.
[[nodiscard]] inline result<health> judge_health(const http_response& answer,
                                                 std::size_t json_depth) {
    // Shorter than a key or its hash, so that neither can be quoted.
    constexpr std::size_t quoted_length = 32;
    const auto unhealthy = [](std::string reason) {
        return fail(errc::backend_error, std::move(reason));
    };
    if (answer.status < 200 || answer.status > 299) {
        const bool redirect = answer.status >= 300 && answer.status <= 399;
        return unhealthy("HTTP " + std::to_string(answer.status) +
                         (redirect ? ", a redirect, which is not followed" : ""));
    }
    if (answer.body.empty()) return unhealthy("the body is empty");
    simdjson::dom::parser parser;
    simdjson::dom::element document;
    if (parser.allocate(answer.body.size(), json_depth) != simdjson::SUCCESS)
        return unhealthy("no memory for the body");
    if (const auto problem = parser.parse(simdjson::padded_string{answer.body}).get(document)) {
        const auto coding = answer.header("Content-Encoding");
        return unhealthy("the body is no JSON: " +
                         (coding.empty()
                              ? std::string{simdjson::error_message(problem)}
                              : "its Content-Encoding is " + quoted(coding, quoted_length)));
    }
    std::string_view status;
    if (document["status"].get(status) != simdjson::SUCCESS)
        return unhealthy("the body is JSON without a \"status\" text");
    if (status != "ok") return unhealthy("the status is " + quoted(status, quoted_length));
    health seen;
    if (document["busy"].get(seen.busy) != simdjson::SUCCESS) seen.busy = false; // optional
    return seen;
}

/// Asks the engine at `peer` for its health. A failure's message is short, fit for an audit row,
/// and has the form `127.0.0.1:9001: HTTP 302`. The arguments must outlive the awaitable.
inline asio::awaitable<result<health>>
ask_health(const http_peer& peer, const engine_answer_limits& bounds, duration timeout) {
    // Without Accept-Encoding an engine could send what it likes (RFC 9110, section 12.5.3).
    const http_request request{.method = "GET",
                               .target = "/health",
                               .headers = {{"Accept-Encoding", "identity"}},
                               .body = {}};
    const auto limits = bounds.within(timeout);
    auto call = http_call(peer, request, limits);
    const auto answer = co_await std::move(call);
    if (!answer) co_return fail(errc::backend_error, answer.error().message);
    auto seen = judge_health(*answer, bounds.json_depth);
    if (!seen)
        co_return fail(errc::backend_error, detail::to_string(peer) + ": " + seen.error().message);
    co_return seen;
}

/// What an answer to `POST /rotate-key` says of the engine's key; empty if the engine refused the
/// request and so has its present key still.
///
/// An engine that refuses the present key (401, 403) has another one: the store is older than the
/// engine, as a restored backup is. That key is lost, and only recreating the engine helps.
[[nodiscard]] inline std::optional<key_swap> judge_key_swap(unsigned status) {
    if (status >= 200 && status <= 299) return key_swap::done;
    if (status == 404 || status == 405 || status == 501) return key_swap::unsupported;
    if (status == 401 || status == 403) return key_swap::unknown;
    return std::nullopt;
}

/// Offers the engine at `peer` its next key. The arguments must outlive the awaitable.
inline asio::awaitable<result<key_swap>>
offer_key(const http_peer& peer, const uuid& engine, const std::string& key,
          const sha256_digest& next, const engine_answer_limits& bounds, duration timeout) {
    const http_request request{
        .method = "POST",
        .target = "/rotate-key",
        .headers = {{"X-Engine-Key", key}, {"Content-Type", "application/json"}},
        .body = R"({"key_hash":")" + to_hex(next) + R"("})"};
    const auto limits = bounds.within(timeout);
    auto call = http_call(peer, request, limits);
    const auto answer = co_await std::move(call);
    if (!answer) co_return key_swap::unknown; // the engine may have received the request
    if (const auto swapped = judge_key_swap(answer->status)) co_return *swapped;
    co_return fail(errc::backend_error, "engine " + to_string(engine) +
                                            " refused its next key: " + detail::to_string(peer) +
                                            ": HTTP " + std::to_string(answer->status));
}

} // namespace detail

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
