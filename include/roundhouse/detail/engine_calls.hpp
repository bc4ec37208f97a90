#pragma once

#include <roundhouse/detail/http_client.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>
#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// What an engine is asked over HTTP (SPEC §6). On a strand, as `http_call` asks.
namespace detail {

/// Bounds on the answers of engines.
struct engine_answer_limits {
    std::size_t header_bytes = std::size_t{16} * 1024;
    std::size_t body_bytes = std::size_t{64} * 1024;
    std::size_t json_depth = 32;

    [[nodiscard]] http_limits within(duration deadline) const {
        return {.deadline = deadline, .header_bytes = header_bytes, .body_bytes = body_bytes};
    }
};

/// What an engine said, fit for a message: printable and short.
[[nodiscard]] inline std::string quoted(std::string_view text) {
    constexpr std::size_t most = 64;
    std::string shown;
    for (const char c : text.substr(0, most)) shown += c >= ' ' && c <= '~' && c != '"' ? c : '?';
    return '"' + shown + (text.size() > most ? "\"..." : "\"");
}

/// Judges an answer to `GET /health` as SPEC §5 does. The failure's message says what was seen
/// instead.
[[nodiscard]] inline result<health> judge_health(const http_response& answer,
                                                 std::size_t most_depth) {
    const auto sick = [](std::string seen) { return fail(errc::backend_error, std::move(seen)); };
    if (answer.status < 200 || answer.status > 299)
        return sick("HTTP " + std::to_string(answer.status));
    simdjson::dom::parser parser;
    simdjson::dom::element document;
    if (parser.allocate(std::max<std::size_t>(answer.body.size(), 1), most_depth) !=
        simdjson::SUCCESS) {
        return sick("no memory for its answer");
    }
    if (const auto problem = parser.parse(simdjson::padded_string{answer.body}).get(document)) {
        return sick(std::string{"no JSON ("} + simdjson::error_message(problem) + ')');
    }
    std::string_view status;
    if (document["status"].get(status) != simdjson::SUCCESS)
        return sick("JSON without a \"status\" text");
    if (status != "ok") return sick("status " + quoted(status));
    health seen;
    if (document["busy"].get(seen.busy) != simdjson::SUCCESS) seen.busy = false; // optional
    return seen;
}

/// Asks the engine at `peer` how it is. The arguments must outlive the awaitable.
inline asio::awaitable<result<health>> ask_health(const http_peer& peer, const uuid& engine,
                                                  const engine_answer_limits& bounds,
                                                  duration timeout) {
    const http_request request{.method = "GET", .target = "/health", .headers = {}, .body = {}};
    const auto limits = bounds.within(timeout);
    const auto prefix = "health of engine " + to_string(engine) + ": ";
    auto call = http_call(peer, request, limits);
    const auto answer = co_await std::move(call);
    if (!answer) co_return fail(errc::backend_error, prefix + answer.error().message);
    auto seen = judge_health(*answer, bounds.json_depth);
    if (!seen)
        co_return fail(errc::backend_error,
                       prefix + detail::to_string(peer) + ": " + seen.error().message);
    co_return seen;
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
    if (!answer) co_return key_swap::unknown; // the request may have arrived, whatever came back
    const auto status = answer->status;
    if (status >= 200 && status <= 299) co_return key_swap::done;
    if (status == 404 || status == 405 || status == 501) co_return key_swap::unsupported;
    co_return fail(errc::backend_error, "engine " + to_string(engine) +
                                            " refused its next key: " + detail::to_string(peer) +
                                            ": HTTP " + std::to_string(status));
}

} // namespace detail

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
