#include "../../reference-server/options.hpp"
#include "../temporary_folder.hpp"
#include "catch.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse::server;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

/// The options that a server with engines in containers needs to start, and `more`.
environment good(environment more = {}) {
    more.try_emplace("ORCH_MASTER_KEY", "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=");
    more.try_emplace("ORCH_ADMIN_KEY", "an-admin-key-of-thirty-two-chars");
    return more;
}

roundhouse::result<invocation> parse(const environment& variables,
                                     std::vector<const char*> arguments = {}) {
    return parse_options(arguments, variables);
}

std::string failure_of(const environment& variables, std::vector<const char*> arguments = {}) {
    const auto parsed = parse(variables, std::move(arguments));
    return parsed ? "it was accepted" : parsed.error().message;
}

/// The number of warnings that hold a text.
long warnings(const environment& variables, const std::string& part) {
    const auto parsed = parse(variables);
    REQUIRE(parsed);
    return std::ranges::count_if(parsed->warnings, [&](const std::string& warning) {
        return warning.find(part) != std::string::npos;
    });
}

} // namespace

TEST_CASE("the daemon's address is checked only where it is used") {
    CHECK_THAT(failure_of(good({{"DOCKER_HOST", "ssh://build-host"}}), {"--check"}),
               StartsWith("DOCKER_HOST: ") && Contains("neither unix:// nor tcp://"));
    CHECK_THAT(failure_of(good({{"DOCKER_HOST", "tcp://10.0.0.7:2375"}})),
               StartsWith("DOCKER_HOST: ") && Contains("not on this machine"));
    CHECK(parse(good({{"ORCH_ENGINE_BACKEND", "memory"}, {"DOCKER_HOST", "ssh://build-host"}})));
    CHECK(parse(good({{"DOCKER_HOST", "tcp://127.0.0.1:2375"}})));
}

TEST_CASE("the certificates for the daemon are read at the start where its address is one of TCP") {
    const environment tcp{{"DOCKER_HOST", "tcp://docker.example.com:2376"},
                          {"DOCKER_CERT_PATH", "/no/such/folder"}};
    CHECK_THAT(failure_of(good(tcp), {"--check"}),
               StartsWith("DOCKER_CERT_PATH: /no/such/folder/ca.pem cannot be opened: "));
    CHECK(warnings(good({{"DOCKER_CERT_PATH", "/no/such/folder"}, {"DOCKER_TLS_VERIFY", "1"}}),
                   "DOCKER_CERT_PATH: is not used, because DOCKER_HOST is a Unix socket") == 1);
    auto elsewhere = tcp;
    elsewhere.emplace("ORCH_ENGINE_BACKEND", "memory");
    CHECK(parse(good(elsewhere)));
}

TEST_CASE("a daemon that is to be verified needs certificates") {
    CHECK_THAT(
        failure_of(good({{"DOCKER_HOST", "tcp://127.0.0.1:2376"}, {"DOCKER_TLS_VERIFY", "1"}})),
        StartsWith("DOCKER_TLS_VERIFY: needs DOCKER_CERT_PATH"));
    CHECK(parse(good({{"DOCKER_HOST", "tcp://127.0.0.1:2376"}, {"DOCKER_TLS_VERIFY", ""}})));
}

TEST_CASE("engines cannot be on a predefined network of Docker") {
    for (const auto* const name : {"bridge", "host", "none", "default"})
        CHECK_THAT(failure_of(good({{"ORCH_ENGINE_NETWORK", name}})),
                   StartsWith("ORCH_ENGINE_NETWORK: ") && Contains("name another"));
}

TEST_CASE("the rule for the metadata address is added unless that is switched off") {
    CHECK(parse(good())->options.engine.adds_metadata_rule);
    CHECK_FALSE(
        parse(good({{"ORCH_ENGINE_METADATA_RULE", "none"}}))->options.engine.adds_metadata_rule);
    CHECK_THAT(failure_of(good({{"ORCH_ENGINE_METADATA_RULE", "yes"}})),
               StartsWith("ORCH_ENGINE_METADATA_RULE: ") && Contains("none of: auto, none"));
    CHECK(warnings(good({{"ORCH_ENGINE_BACKEND", "memory"}, {"ORCH_ENGINE_METADATA_RULE", "none"}}),
                   "ORCH_ENGINE_METADATA_RULE: has no effect") == 1);
}

TEST_CASE("registries are hosts, with commas between them") {
    const auto parsed = parse(
        good({{"ORCH_ENGINE_REGISTRIES", "Registry.example.com, localhost:5000,index.docker.io"}}));
    REQUIRE(parsed);
    CHECK(parsed->options.engine.registries ==
          std::vector<std::string>{"registry.example.com", "localhost:5000", "docker.io"});
    for (const auto* const wrong : {",", "docker.io,,localhost", "https://registry.example.com",
                                    "registry", "docker.io/team"})
        CHECK_THAT(failure_of(good({{"ORCH_ENGINE_REGISTRIES", wrong}})),
                   StartsWith("ORCH_ENGINE_REGISTRIES: \"") && Contains("write a host"));
    CHECK(
        warnings(good({{"ORCH_ENGINE_BACKEND", "memory"}, {"ORCH_ENGINE_REGISTRIES", "docker.io"}}),
                 "ORCH_ENGINE_REGISTRIES: has no effect") == 1);
}

TEST_CASE("engines without a memory ceiling are a warning, unless that was chosen") {
    const auto warned = [](environment more) {
        return warnings(good(std::move(more)), "_MEMORY_MB");
    };
    CHECK(warned({}) == 1);
    CHECK(warned({{"ORCH_ENGINE_MEMORY_MB", ""}}) == 1);
    CHECK(warned({{"ORCH_ENGINE_MEMORY_MB", "512"}}) == 0);
    CHECK(warned({{"ORCH_ENGINE_MEMORY_MB", "0"}}) == 0);
    CHECK(warned({{"ORCH_ENGINE_BACKEND", "memory"}}) == 0);
}

TEST_CASE("the file of credentials is read at the start, and warned of if every user may read it") {
    const roundhouse_tests::temporary_folder folder;
    const auto path = (folder.path() / "config.json").string();
    std::ofstream{path} << R"({"auths":{"localhost":{"auth":"YW5uOnB3"}}})";
    std::filesystem::permissions(path, std::filesystem::perms::owner_read);
    CHECK(warnings(good({{"ORCH_REGISTRY_AUTH_FILE", path}}), "ORCH_REGISTRY_AUTH_FILE") == 0);
    std::filesystem::permissions(path, std::filesystem::perms::others_read,
                                 std::filesystem::perm_options::add);
    CHECK(warnings(good({{"ORCH_REGISTRY_AUTH_FILE", path}}),
                   "ORCH_REGISTRY_AUTH_FILE: every user may read " + path) == 1);
    CHECK_THAT(failure_of(good({{"ORCH_REGISTRY_AUTH_FILE", "/no/such/file"}})),
               StartsWith("ORCH_REGISTRY_AUTH_FILE: /no/such/file cannot be opened"));
    CHECK(parse(
        good({{"ORCH_ENGINE_BACKEND", "memory"}, {"ORCH_REGISTRY_AUTH_FILE", "/no/such/file"}})));
}

TEST_CASE("the default image has a name or an id") {
    const auto digest = "sha256:" + std::string(64, 'a');
    for (const auto& wrong :
         {'@' + digest, std::string{"engine@sha256:12"}, std::string{"sha256:12"}})
        CHECK_THAT(failure_of(good({{"ORCH_ENGINE_IMAGE", wrong}})),
                   StartsWith("ORCH_ENGINE_IMAGE: ") && Contains(wrong));
    CHECK(parse(good({{"ORCH_ENGINE_IMAGE", digest}, {"ORCH_ENGINE_REGISTRIES", "docker.io"}})));
    CHECK(parse(good({{"ORCH_ENGINE_IMAGE", "engine:1@" + digest}})));
    CHECK(parse(good({{"ORCH_ENGINE_BACKEND", "memory"}, {"ORCH_ENGINE_IMAGE", "@any name"}})));
}

TEST_CASE("a default image that cannot be pulled is a warning") {
    const auto warned = [](const char* image, const char* registries) {
        return warnings(
            good({{"ORCH_ENGINE_IMAGE", image}, {"ORCH_ENGINE_REGISTRIES", registries}}),
            "ORCH_ENGINE_IMAGE: ");
    };
    CHECK(warned("engine:1", "registry.example.com") == 1);
    CHECK(warned("engine:1", "docker.io") == 0);
    CHECK(warned("registry.example.com/engine", "registry.example.com") == 0);
    CHECK(warned("engine:1", "") == 0);
}
