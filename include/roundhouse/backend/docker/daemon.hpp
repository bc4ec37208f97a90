#pragma once

#include <roundhouse/detail/engine_calls.hpp>
#include <roundhouse/detail/http_client.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>
#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Docker's Engine API (https://docs.docker.com/engine/api/v1.41/).
namespace detail::docker {

/// A JSON document and its parser, which owns the parsed data.
struct document {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
};

/// Parses a JSON body of the daemon.
[[nodiscard]] inline result<std::unique_ptr<document>> read_json(std::string_view text) {
    auto out = std::make_unique<document>();
    const auto problem = out->parser.parse(simdjson::padded_string{text}).get(out->root);
    if (problem)
        return fail(errc::backend_error,
                    std::string{"Docker's answer is no JSON: "} + simdjson::error_message(problem));
    return out;
}

/// The text at a JSON pointer (RFC 6901); empty if there is none.
[[nodiscard]] inline std::string text_at(const simdjson::dom::element& root,
                                         std::string_view pointer) {
    std::string_view found;
    if (root.at_pointer(pointer).get(found) != simdjson::SUCCESS) return {};
    return std::string{found};
}

/// The boolean at a JSON pointer; false if there is none.
[[nodiscard]] inline bool flag_at(const simdjson::dom::element& root, std::string_view pointer) {
    bool found = false;
    return root.at_pointer(pointer).get(found) == simdjson::SUCCESS && found;
}

/// The message in an answer that reports a failure. If there is none, the status and the body,
/// which may come from a proxy.
[[nodiscard]] inline std::string message_of(const http_response& answer) {
    auto status = "HTTP " + std::to_string(answer.status);
    if (const auto read = read_json(answer.body)) {
        auto message = text_at((*read)->root, "/message");
        return message.empty() ? status : message;
    }
    return answer.body.empty() ? status : status + ": " + detail::quoted(answer.body);
}

/// Percent-encodes text for the query of a URL (RFC 3986, section 2.1).
[[nodiscard]] inline std::string escaped(std::string_view text) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) out += c;
        else (((out += '%') += digits[byte >> 4U]) += digits[byte & 0xFU]);
    }
    return out;
}

/// The daemon's API, with one connection for each call. Thread-safe. Calls run on strands, like
/// `http_call`.
class daemon {
public:
    explicit daemon(http_peer peer, duration timeout) : peer_(std::move(peer)), timeout_(timeout) {}

    [[nodiscard]] const http_peer& peer() const noexcept { return peer_; }

    /// Sends a request with the version's prefix, and returns the answer, whatever its status is.
    /// `time_limit` is by default that of the constructor.
    asio::awaitable<result<http_response>> call(std::string method, std::string target,
                                                std::string body = {},
                                                std::optional<duration> time_limit = std::nullopt) {
        auto negotiating = prefix();
        const auto version = co_await std::move(negotiating);
        if (!version) co_return unexpected{version.error()};
        const auto request = request_to(std::move(method), *version + target, std::move(body));
        const http_limits limits{.deadline = time_limit.value_or(timeout_),
                                 .body_bytes = body_limit};
        auto sending = http_call(peer_, request, limits);
        co_return co_await std::move(sending);
    }

    /// The request of a call whose answer is read as it arrives.
    asio::awaitable<result<http_request>> streaming(std::string method, std::string target) {
        auto negotiating = prefix();
        const auto version = co_await std::move(negotiating);
        if (!version) co_return unexpected{version.error()};
        co_return request_to(std::move(method), *version + target, {});
    }

    /// Asks the daemon for its versions again before the next call.
    void forget_version() {
        const std::lock_guard lock(mutex_);
        version_.clear();
    }

    /// The error for an answer that refuses a step: names the step and the daemon's message.
    [[nodiscard]] static error refusal(std::string_view step, const http_response& answer) {
        return {errc::backend_error, "Docker: " + std::string{step} + ": " + message_of(answer)};
    }
    [[nodiscard]] static unexpected refused(std::string_view step, const http_response& answer) {
        return unexpected{refusal(step, answer)};
    }

    /// Whether it is Podman's Docker-compatible service. Known after the first call.
    [[nodiscard]] bool is_podman() const {
        const std::lock_guard lock(mutex_);
        return podman_;
    }

private:
    /// API 1.41 is the oldest version that has all features in use. Docker 20.10 has it; a newer
    /// daemon may have dropped it, and then its oldest version is used.
    static constexpr int our_minor = 41;
    static constexpr std::size_t body_limit = std::size_t{64} * 1024 * 1024;

    static http_request request_to(std::string method, std::string target, std::string body) {
        http_request out;
        out.method = std::move(method);
        out.target = std::move(target);
        if (!body.empty()) out.headers.emplace_back("Content-Type", "application/json");
        out.body = std::move(body);
        return out;
    }

    asio::awaitable<result<std::string>> prefix() {
        {
            const std::lock_guard lock(mutex_);
            if (!version_.empty()) co_return version_;
        }
        const http_request request{
            .method = "GET", .target = "/version", .headers = {}, .body = {}};
        const http_limits limits{.deadline = timeout_};
        auto sending = http_call(peer_, request, limits);
        const auto answer = co_await std::move(sending);
        if (!answer) co_return unexpected{answer.error()};
        if (answer->status != 200) co_return refused("cannot tell its version", *answer);
        const auto read = read_json(answer->body);
        if (!read) co_return unexpected{read.error()};
        auto chosen = choose_version((*read)->root);
        if (!chosen) co_return chosen;
        const std::lock_guard lock(mutex_);
        version_ = *chosen;
        podman_ = text_at((*read)->root, "/Components/0/Name") == "Podman Engine";
        co_return chosen;
    }

    static result<std::string> choose_version(const simdjson::dom::element& version) {
        const auto newest = minor_of(text_at(version, "/ApiVersion"));
        const auto oldest = minor_of(text_at(version, "/MinAPIVersion"));
        if (newest < our_minor)
            return fail(errc::backend_error,
                        "Docker is too old: it knows API 1." + std::to_string(newest) + ", and 1." +
                            std::to_string(our_minor) + " is needed (Docker 20.10 or newer)");
        return "/v1." + std::to_string(std::max(our_minor, oldest));
    }

    static int minor_of(const std::string& version) {
        const auto dot = version.find('.');
        if (!version.starts_with("1.") || dot == std::string::npos) return 0;
        int minor = 0; // stays 0 if there is no number
        std::from_chars(version.data() + dot + 1, version.data() + version.size(), minor);
        return minor;
    }

    const http_peer peer_;
    const duration timeout_;
    mutable std::mutex mutex_;
    std::string version_;
    bool podman_ = false;
};

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
