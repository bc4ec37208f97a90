#pragma once

#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/backend/docker/image.hpp>
#include <roundhouse/crypto/base64url.hpp>
#include <roundhouse/detail/json_writer.hpp>
#include <roundhouse/error.hpp>

#include <simdjson.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <ios>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Credentials of registries, from a file in the format of Docker's `config.json`
/// (https://docs.docker.com/reference/cli/docker/login/). No message holds any of the file's text
/// but names of registries and helpers.
namespace detail::docker {

inline constexpr std::size_t most_auth_file_bytes = std::size_t{256} * 1024;

/// The registry that a key of `auths` or `credHelpers` means: `registry.example.com`, or a URL, such
/// as `https://index.docker.io/v1/`.
[[nodiscard]] inline std::string registry_of_key(std::string_view key) {
    for (const std::string_view scheme : {"https://", "http://"})
        if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
    return registry_of(std::string{key.substr(0, key.find('/'))} + '/');
}

/// The JSON of a user and a password (API, "Authentication"). Empty if `auth` is not the base64 text
/// of `user:password`.
[[nodiscard]] inline std::optional<std::string> password_json(std::string auth,
                                                              const std::string& server) {
    std::ranges::replace(auth, '+', '-');
    std::ranges::replace(auth, '/', '_');
    const auto bytes = crypto::base64url_decode(auth, crypto::padding::required);
    if (!bytes) return std::nullopt;
    const std::string pair(bytes->begin(), bytes->end());
    const auto colon = pair.find(':');
    if (colon == std::string::npos || colon == 0) return std::nullopt;
    std::string body;
    json::json_writer json(body);
    json.open('{').member("username", std::string_view{pair}.substr(0, colon));
    json.member("password", std::string_view{pair}.substr(colon + 1));
    json.member("serveraddress", server).close('}');
    return body;
}

/// The JSON of an identity token, which takes the place of user and password.
[[nodiscard]] inline std::optional<std::string> token_json(const std::string& token,
                                                           const std::string& server) {
    std::string body;
    json::json_writer json(body);
    json.open('{').member("identitytoken", token).member("serveraddress", server).close('}');
    return body;
}

/// The value of the header for the credentials that an entry of `auths` has; empty if it has none.
[[nodiscard]] inline std::optional<std::string> auth_header(const simdjson::dom::element& entry,
                                                            const std::string& server) {
    const auto token = text_at(entry, "/identitytoken");
    const auto body = token.empty() ? password_json(text_at(entry, "/auth"), server)
                                    : token_json(token, server);
    if (!body) return std::nullopt;
    const std::vector<std::uint8_t> bytes(body->begin(), body->end());
    return crypto::base64url_encode(bytes, crypto::padding::required);
}

[[nodiscard]] inline result<std::string> read_auth_file(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    if (!file)
        return fail(errc::backend_error,
                    path + " cannot be opened: " + std::generic_category().message(errno));
    std::string text(most_auth_file_bytes + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!file.eof()) return fail(errc::backend_error, path + " is no file of at most 256 KiB");
    text.resize(static_cast<std::size_t>(file.gcount()));
    return text;
}

/// Reads the value of `X-Registry-Auth` for pulls from a registry, as `registry_of` names it, from a
/// file. Empty if the file has no entry for it. Blocks for the reading of the file. A failure's
/// message names the file and the cause.
[[nodiscard]] inline result<std::string> read_registry_auth(const std::string& path,
                                                            const std::string& registry) {
    const auto text = read_auth_file(path);
    if (!text) return unexpected{text.error()};
    const auto refused = [&](const std::string& cause) {
        return fail(errc::backend_error, path + ' ' + cause);
    };
    const auto read = read_json(*text);
    if (!read || !(*read)->root.is_object())
        return refused("is no JSON object, as `docker login` writes it to config.json");
    const auto& root = (*read)->root;
    auto helper = text_at(root, "/credsStore");
    simdjson::dom::object entries; // of the last member that was found
    if (root["credHelpers"].get(entries) == simdjson::SUCCESS)
        for (const auto& entry : entries)
            if (registry_of_key(entry.key) == registry) helper = text_at(entry.value, "");
    if (!helper.empty())
        return refused("leaves the credentials of " + registry + " to docker-credential-" + helper +
                       ", and helpers are not run here: take both out of a copy of the file, log "
                       "in with that (`docker --config FOLDER login`), and name it");
    if (root["auths"].get(entries) != simdjson::SUCCESS) return std::string{};
    for (const auto& entry : entries) {
        if (registry_of_key(entry.key) != registry) continue;
        auto header = auth_header(entry.value, std::string{entry.key});
        if (header) return std::move(*header);
        return refused("has no credentials for " + registry +
                       " that can be read: `auth` is the base64 text of USER:PASSWORD");
    }
    return std::string{};
}

} // namespace detail::docker

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
