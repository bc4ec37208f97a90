#pragma once

#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/detail/http_client.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/ip/tcp.hpp>
#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse::inline ROUNDHOUSE_ABI {

/// What an engine is asked over HTTP (SPEC §6). On a strand, as `http_call` asks.
namespace detail::subprocess {

[[nodiscard]] inline http_limits limits_of(const subprocess_options& options, duration deadline) {
    return {.deadline = deadline,
            .header_bytes = options.answer_header_bytes,
            .body_bytes = options.answer_body_bytes};
}

[[nodiscard]] inline http_peer engine_at(std::uint16_t port) {
    return asio::ip::tcp::endpoint{asio::ip::address_v4::loopback(), port};
}

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

inline asio::awaitable<result<health>> ask_health(const subprocess_options& options,
                                                  const workload_ref& ref, duration timeout) {
    const auto peer = engine_at(ref.port);
    const http_request request{.method = "GET", .target = "/health", .headers = {}, .body = {}};
    const auto limits = limits_of(options, timeout);
    const auto prefix = "health of engine " + to_string(ref.engine_id) + ": ";
    auto call = http_call(peer, request, limits);
    const auto answer = co_await std::move(call);
    if (!answer) co_return fail(errc::backend_error, prefix + answer.error().message);
    auto seen = judge_health(*answer, options.answer_json_depth);
    if (!seen)
        co_return fail(errc::backend_error,
                       prefix + detail::to_string(peer) + ": " + seen.error().message);
    co_return seen;
}

inline asio::awaitable<result<key_swap>> offer_key(const subprocess_options& options,
                                                   const workload_ref& ref, const std::string& key,
                                                   const sha256_digest& next) {
    const auto peer = engine_at(ref.port);
    const http_request request{
        .method = "POST",
        .target = "/rotate-key",
        .headers = {{"X-Engine-Key", key}, {"Content-Type", "application/json"}},
        .body = R"({"key_hash":")" + to_hex(next) + R"("})"};
    const auto limits = limits_of(options, options.swap_timeout);
    auto call = http_call(peer, request, limits);
    const auto answer = co_await std::move(call);
    if (!answer) co_return key_swap::unknown; // the request may have arrived, whatever came back
    const auto status = answer->status;
    if (status >= 200 && status <= 299) co_return key_swap::done;
    if (status == 404 || status == 405 || status == 501) co_return key_swap::unsupported;
    co_return fail(errc::backend_error, "engine " + to_string(ref.engine_id) +
                                            " refused its next key: " + detail::to_string(peer) +
                                            ": HTTP " + std::to_string(status));
}

} // namespace detail::subprocess

} // namespace roundhouse::inline ROUNDHOUSE_ABI
