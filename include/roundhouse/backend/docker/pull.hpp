#pragma once

#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/backend/docker/image.hpp>
#include <roundhouse/backend/docker/options.hpp>
#include <roundhouse/backend/docker/registry_auth.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>
#include <asio/this_coro.hpp>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::docker {

/// The error of an image that neither is there nor can be pulled.
[[nodiscard]] inline unexpected cannot_pull(const std::string& image, std::string_view cause) {
    return fail(errc::backend_error,
                "Docker: the image " + image +
                    " is not there and cannot be pulled: " + std::string{cause});
}

/// Decides whether an image may be pulled (SPEC §6).
[[nodiscard]] inline result<void> may_pull(const std::string& image,
                                           const docker_options& options) {
    if (is_digest(image))
        return cannot_pull(image, "an id says neither the registry nor the name of an image: name "
                                  "it as NAME@sha256:DIGEST, or load it on the daemon");
    const auto registry = registry_of(image);
    const auto& allowed = options.registries;
    if (allowed.empty() || std::ranges::find(allowed, registry) != allowed.end()) return {};
    return cannot_pull(image, "its registry " + registry +
                                  " is not in ORCH_ENGINE_REGISTRIES "
                                  "(docker_options::registries): add it there, or pull the image "
                                  "by hand on the daemon");
}

/// The request of a pull (API, "Create an image"), with the credentials of the image's registry.
inline asio::awaitable<result<http_request>> pull_request(daemon& docker, const std::string& image,
                                                          const docker_options& options) {
    const auto& file = options.registry_auth_file;
    auto auth = file.empty() ? result<std::string>{std::string{}}
                             : read_registry_auth(file, registry_of(image));
    if (!auth)
        co_return cannot_pull(image, "ORCH_REGISTRY_AUTH_FILE (docker_options::"
                                     "registry_auth_file): " +
                                         auth.error().message);
    const auto [name, tag] = split_image(image);
    auto asking = docker.streaming("POST", "/images/create?fromImage=" + escaped(name) +
                                               (tag.empty() ? "" : "&tag=" + escaped(tag)));
    auto request = co_await std::move(asking);
    if (request && !auth->empty())
        request->headers.emplace_back("X-Registry-Auth", std::move(*auth));
    co_return request;
}

/// Logs a step of a pull, if there is a sink.
inline void log_pull(const log_sink& log, const std::string& image, const std::string& status) {
    if (!log) return;
    const std::array<log_field, 2> fields{log_field{"image", image}, log_field{"status", status}};
    log({log_level::info, "an image is pulled", fields});
}

/// Pulls an image, and logs its progress. A failure's message has the cause.
inline asio::awaitable<result<void>> pull_image(daemon& docker, std::string image,
                                                const docker_options& options) {
    auto asking = pull_request(docker, image, options);
    const auto request = co_await std::move(asking);
    if (!request) co_return unexpected{request.error()};
    log_pull(options.log, image, "begun");
    const auto strand = co_await asio::this_coro::executor;
    const http_limits limits{.deadline = options.pull_timeout,
                             .body_bytes = std::size_t{16} * 1024 * 1024};
    http_exchange exchange{strand, docker.peer(), limits, false};
    auto sending = exchange.send(*request);
    const auto sent = co_await std::move(sending);
    if (!sent) co_return unexpected{sent.error()};
    std::string failure;
    for (bool open = true; open;) {
        auto reading = exchange.read_more();
        const auto more = co_await std::move(reading);
        if (!more) co_return cannot_pull(image, more.error().message);
        open = *more;
        if (!exchange.head_complete() || exchange.response().status != 200) continue;
        auto& text = exchange.response().body;
        if (!open && !text.empty()) text += '\n'; // the last line may be without one
        for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
            const auto read = read_json(std::string_view{text}.substr(0, end));
            text.erase(0, end + 1);
            if (!read) continue;
            const auto& root = (*read)->root;
            // `error` is deprecated: some daemons send only one of the two.
            for (const auto* const pointer : {"/error", "/errorDetail/message"})
                if (auto message = text_at(root, pointer); !message.empty()) failure = message;
            // There are thousands of lines with a progress: they are not logged.
            const bool counts = root.at_pointer("/progressDetail/current").error() ==
                                simdjson::SUCCESS;
            if (counts || !text_at(root, "/progress").empty()) continue;
            const auto layer = text_at(root, "/id");
            log_pull(options.log, image,
                     (layer.empty() ? "" : layer + ": ") + text_at(root, "/status"));
        }
    }
    if (exchange.response().status != 200)
        co_return cannot_pull(image, message_of(exchange.response()));
    if (!failure.empty()) co_return cannot_pull(image, failure);
    co_return result<void>{};
}

/// Pulls an image unless the daemon has it.
inline asio::awaitable<result<void>> ensure_image(daemon& docker, const std::string& image,
                                                  const docker_options& options) {
    auto looking = docker.call("GET", "/images/" + escaped(image) + "/json");
    const auto answer = co_await std::move(looking);
    if (!answer) co_return unexpected{answer.error()};
    if (answer->status == 200) co_return result<void>{};
    if (answer->status != 404) co_return daemon::refused("cannot look for " + image, *answer);
    if (auto allowed = may_pull(image, options); !allowed) co_return allowed;
    auto pulling = pull_image(docker, image, options);
    co_return co_await std::move(pulling);
}

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
