#include "../temporary_folder.hpp"
#include "catch.hpp"

#include <roundhouse/backend/docker/registry_auth.hpp>

#include <fstream>
#include <string>

using Catch::Matchers::Contains;
using roundhouse_tests::temporary_folder;
namespace docker = roundhouse::detail::docker;

namespace {

/// A file with the credentials of registries.
struct auth_file {
    temporary_folder folder;
    std::string path = folder.path() / "config.json";

    explicit auth_file(const std::string& text) { std::ofstream{path} << text; }

    /// The JSON in the header for a registry; empty if there is none.
    [[nodiscard]] std::string json_for(const std::string& registry) const {
        const auto header = docker::read_registry_auth(path, registry).value();
        const auto bytes = roundhouse::crypto::base64url_decode(
            header, roundhouse::crypto::padding::required);
        return {bytes.value().begin(), bytes.value().end()};
    }
    [[nodiscard]] std::string failure_for(const std::string& registry) const {
        const auto read = docker::read_registry_auth(path, registry);
        return read ? "(no failure)" : read.error().message;
    }
};

} // namespace

TEST_CASE("a registry's credentials are found by its host, however docker login wrote it") {
    const auth_file file{R"({"HttpHeaders":{},"auths":{
        "https://index.docker.io/v1/":{"auth":"YW5uOnA6dw=="},
        "registry.example.com:443":{"auth":"Ym9iOsO8"},
        "https://Other.example.com/v2/":{"identitytoken":"token","auth":"bm9uZQ=="},
        "localhost":{"auth":"YW5uOg=="}}})"};
    CHECK(file.json_for("docker.io") ==
          R"({"username":"ann","password":"p:w","serveraddress":"https://index.docker.io/v1/"})");
    CHECK(file.json_for("registry.example.com:443") ==
          R"({"username":"bob","password":"ü","serveraddress":"registry.example.com:443"})");
    CHECK(file.json_for("other.example.com") ==
          R"({"identitytoken":"token","serveraddress":"https://Other.example.com/v2/"})");
    CHECK(file.json_for("localhost") ==
          R"({"username":"ann","password":"","serveraddress":"localhost"})");
    for (const auto* const other :
         {"registry.example.com", "example.com", "localhost:5000", "registry.example.com:44"})
        CHECK(file.json_for(other).empty());
}

TEST_CASE("a file without credentials is none") {
    for (const auto* const text : {"{}", R"({"auths":{}})", R"({"auths":null,"credsStore":""})"})
        CHECK(auth_file{text}.json_for("docker.io").empty());
}

TEST_CASE("credentials that a helper keeps are refused with the helper's name") {
    const auth_file store{R"({"auths":{"localhost":{"auth":"YW5uOnB3"}},"credsStore":"pass"})"};
    CHECK_THAT(store.failure_for("localhost"),
               Contains(store.path) && Contains("docker-credential-pass, and helpers are not run"));
    const auth_file helper{R"({"auths":{"localhost":{"auth":"YW5uOnB3"}},
                               "credHelpers":{"https://ghcr.io":"ghcr"}})"};
    CHECK_THAT(helper.failure_for("ghcr.io"),
               Contains("the credentials of ghcr.io") && Contains("docker-credential-ghcr"));
    CHECK_FALSE(helper.json_for("localhost").empty());
}

TEST_CASE("a malformed file of credentials is refused, and its text is not shown") {
    for (const auto* const text : {"", "secret", "[]", "{\"auths\":{\"localhost\":secret}}"}) {
        const auth_file file{text};
        CHECK_THAT(file.failure_for("localhost"),
                   Contains(file.path + " is no JSON object") && !Contains("secret"));
    }
    for (const auto* const entry : {"{}", "null", R"({"auth":"c2VjcmV0"})", R"({"auth":"secret:"})",
                                    R"({"auth":"OnB3"})", R"({"auth":7})"}) {
        const auth_file file{std::string{R"({"auths":{"localhost":)"} + entry + "}}"};
        CHECK_THAT(file.failure_for("localhost"),
                   Contains("has no credentials for localhost that can be read") &&
                       !Contains("secret") && !Contains("c2VjcmV0"));
    }
    const auth_file large{std::string(docker::most_auth_file_bytes + 1, ' ')};
    CHECK_THAT(large.failure_for("localhost"), Contains("is no file of at most 256 KiB"));
    CHECK_THAT(docker::read_registry_auth("/", "localhost").error().message,
               Contains("/ is no file"));
}
