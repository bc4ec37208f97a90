#include "catch.hpp"

#include <roundhouse/backend/docker/address.hpp>
#include <roundhouse/backend/docker/container.hpp>
#include <roundhouse/backend/docker/container_log.hpp>
#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/backend/docker/image.hpp>

#include <string>
#include <utility>

using namespace roundhouse::detail::docker;
using Catch::Matchers::Contains;
using roundhouse::detail::http_peer;
using roundhouse::detail::to_string;
namespace rh = roundhouse;

namespace {

/// The message that refuses an address; empty if it is valid.
std::string refusal_of(const std::string& address) {
    const auto found = find_daemon(address, {});
    return found ? std::string{} : found.error().message;
}

std::string frame(char stream, const std::string& text) {
    const std::string size{'\0', '\0', static_cast<char>(text.size() >> 8U),
                           static_cast<char>(text.size() & 0xFFU)};
    return std::string{stream, '\0', '\0', '\0'} + size + text;
}

} // namespace

TEST_CASE("an image is pulled by its name and its tag") {
    using parts = std::pair<std::string, std::string>;
    CHECK(split_image("engine") == parts{"engine", "latest"});
    CHECK(split_image("engine:1.2") == parts{"engine", "1.2"});
    CHECK(split_image("library/engine") == parts{"library/engine", "latest"});
    CHECK(split_image("localhost:5000/engine") == parts{"localhost:5000/engine", "latest"});
    CHECK(split_image("localhost:5000/engine:1") == parts{"localhost:5000/engine", "1"});
}

TEST_CASE("an image with a digest has no tag") {
    using parts = std::pair<std::string, std::string>;
    CHECK(split_image("engine@sha256:abc") == parts{"engine@sha256:abc", ""});
    CHECK(split_image("localhost:5000/engine:1@sha256:abc") ==
          parts{"localhost:5000/engine:1@sha256:abc", ""});
}

TEST_CASE("the registry of an image is the host that its name begins with, or docker.io") {
    CHECK(registry_of("engine") == "docker.io");
    CHECK(registry_of("engine:1.2") == "docker.io");
    CHECK(registry_of("team/engine") == "docker.io");
    CHECK(registry_of("team/registry.example.com/engine") == "docker.io");
    CHECK(registry_of("docker.io/engine") == "docker.io");
    CHECK(registry_of("index.docker.io/engine") == "docker.io");
    CHECK(registry_of("registry.example.com") == "docker.io"); // a name without a registry
    CHECK(registry_of("registry.example.com/engine") == "registry.example.com");
    CHECK(registry_of("Registry.Example.com/engine") == "registry.example.com");
    CHECK(registry_of("registry:5000/team/engine:1") == "registry:5000");
    CHECK(registry_of("localhost/engine@sha256:abc") == "localhost");
    CHECK(registry_of("[::1]:5000/engine") == "[::1]:5000");
    CHECK(registry_of("docker://docker.io/engine") == "docker:"); // a transport of Podman's
}

TEST_CASE("a registry is written as image names begin with it") {
    CHECK(read_registry("Registry.example.com:443").value() == "registry.example.com:443");
    CHECK(read_registry("localhost").value() == "localhost");
    CHECK(read_registry("index.docker.io").value() == "docker.io");
    for (const auto* const wrong :
         {"", "https://registry.example.com", "registry.example.com/team", "*.example.com", "a b"})
        CHECK_THAT(read_registry(wrong).error().message,
                   Contains("\"" + std::string{wrong} + "\" is no registry"));
    CHECK_THAT(read_registry("registry").error().message,
               Contains("would be a part of a name on docker.io"));
}

TEST_CASE("the repository of an image is its name without tag and digest") {
    const auto digest = "sha256:" + std::string(64, 'a');
    CHECK(repository_of("engine") == "engine");
    CHECK(repository_of("team/engine:1.2") == "team/engine");
    CHECK(repository_of("localhost:5000/engine:1@" + digest) == "localhost:5000/engine");
    CHECK(repository_of("localhost:5000/engine") == "localhost:5000/engine");
    CHECK(repository_of(digest).empty());
}

TEST_CASE("a version is an image, an id, or a digest in the repository of the default") {
    const auto digest = "sha256:" + std::string(64, '7');
    for (const auto& version : {std::string{"engine:1"}, "host:5000/engine@" + digest,
                                "engine:1@" + digest, digest, std::string{"sha256"}})
        CHECK(image_of(version, "host/other").value() == version);
    CHECK(image_of('@' + digest, "host:5000/engine").value() == "host:5000/engine@" + digest);
    CHECK_THAT(image_of('@' + digest, "").error().message, Contains("names no repository"));
}

TEST_CASE("a version with a malformed digest is refused") {
    const auto digits = std::string(63, 'a');
    for (const auto& wrong : {std::string{"@"}, std::string{"engine@"}, "engine@sha256:" + digits,
                              "engine@sha256:" + digits + 'A', "engine@sha512:" + digits + 'a',
                              "engine@sha256:" + digits + "aa", "@@sha256:" + digits + 'a',
                              "engine@sha256:" + digits + "a:1"})
        CHECK_THAT(image_of(wrong, "engine").error().message,
                   Contains("the version " + wrong + " has no digest after its @: sha256: and 64"));
    for (const auto& wrong : {std::string{"sha256:abc"}, "sha256:" + digits + 'g'})
        CHECK_THAT(image_of(wrong, "engine").error().message,
                   Contains("is not the id of an image"));
}

TEST_CASE("text in a query keeps its unreserved characters and no others") {
    CHECK(escaped("AZaz09-._~") == "AZaz09-._~");
    CHECK(escaped(R"({"a":["b=c"]})") == "%7B%22a%22%3A%5B%22b%3Dc%22%5D%7D");
    CHECK(escaped("a b&c/d%e+f?#") == "a%20b%26c%2Fd%25e%2Bf%3F%23");
    CHECK(escaped(std::string{'\0', '\n', '\x7F', '\xFF'}) == "%00%0A%7F%FF");
    CHECK(escaped("") == "");
}

TEST_CASE("a daemon's address is a Unix socket or a host and its port") {
    const auto at = [](const std::string& address) {
        return to_string(find_daemon(address, {}).value());
    };
    CHECK(at("unix:///run/docker.sock") == "/run/docker.sock");
    CHECK(at("tcp://127.0.0.1:2375") == "127.0.0.1:2375");
    CHECK(at("tcp://[::1]:2375") == "[::1]:2375");
    CHECK(at("tcp://127.0.0.1:1") == "127.0.0.1:1");
    CHECK(at("tcp://127.0.0.1:65535") == "127.0.0.1:65535");
    CHECK(at("tcp://127.1.2.3:2375") == "127.1.2.3:2375");
    CHECK(at("tcp://localhost:2375") == "127.0.0.1:2375");
}

TEST_CASE("a malformed address is refused and named") {
    for (const auto* const address : {"",
                                      "/run/docker.sock",
                                      "docker.sock",
                                      "unix:/run/docker.sock",
                                      "unix://",
                                      "unix://run",
                                      "UNIX:///run/docker.sock",
                                      "http://127.0.0.1:2375",
                                      "ssh://host",
                                      "fd://",
                                      "tcp://",
                                      "tcp://127.0.0.1",
                                      "tcp://:2375",
                                      "tcp://127.0.0.1:",
                                      "tcp://127.0.0.1:0",
                                      "tcp://127.0.0.1:65536",
                                      "tcp://127.0.0.1:99999",
                                      "tcp://127.0.0.1:-1",
                                      "tcp://127.0.0.1:http",
                                      "tcp://127.0.0.1:2375/",
                                      "tcp://127.0.0.1:23 75",
                                      "tcp://two words:2375",
                                      "tcp://a\r\nb:2375",
                                      "tcp://a..b:2375",
                                      "tcp://.a:2375",
                                      "tcp://a.:2375",
                                      "tcp://user@a:2375",
                                      "tcp://[name]:2375",
                                      "tcp://[fe80::1%eth0]:2375",
                                      "tcp://[]:2375"}) {
        CAPTURE(address);
        CHECK_THAT(refusal_of(address), Contains("\"" + std::string{address} + "\""));
    }
    const auto longest = "unix:///" + std::string(99, 'x');
    CHECK(refusal_of(longest).empty());
    CHECK_THAT(refusal_of(longest + 'x'), Contains("at most 100 bytes"));
}

TEST_CASE("a daemon on another machine is refused without TLS, with both ways to reach it") {
    for (const auto* const address :
         {"tcp://10.0.0.7:2375", "tcp://0.0.0.0:2375", "tcp://[::]:2375",
          "tcp://[2001:db8::1]:2376", "tcp://[::ffff:10.0.0.7]:2375",
          "tcp://docker.example.com:2376", "tcp://127.0.0.1.evil:1",
          "tcp://localhost.example.com:2375", "tcp://1:2375"}) {
        CAPTURE(address);
        CHECK_THAT(refusal_of(address), Contains("\"" + std::string{address} + "\"") &&
                                            Contains("not on this machine") &&
                                            Contains("DOCKER_CERT_PATH") &&
                                            Contains("ssh -nNT -L"));
    }
}

TEST_CASE("output is extracted from its frames") {
    CHECK(unframed("").empty());
    CHECK(unframed(frame(1, "out\n") + frame(2, "err\n") + frame(1, "")) == "out\nerr\n");
    const std::string long_line(1000, 'x');
    CHECK(unframed(frame(1, long_line) + frame(1, "y")) == long_line + "y");
}

TEST_CASE("output is extracted also from an incomplete frame") {
    const auto whole = frame(1, "first\n") + frame(1, "second\n");
    CHECK(unframed(whole.substr(0, whole.size() - 3)) == "first\nseco");
    CHECK(unframed(whole.substr(0, frame(1, "first\n").size() + 5)) == "first\n");
    CHECK(unframed(std::string(8, '\xFF') + "all there is") == "all there is");
}

TEST_CASE("output is extracted from frames that arrive in pieces") {
    const auto whole = frame(1, "first\n") + frame(2, "") + frame(2, "second\n");
    for (std::size_t size = 1; size <= whole.size(); ++size) {
        frame_reader reader;
        std::string output;
        for (std::size_t at = 0; at < whole.size(); at += size)
            output += reader.read(whole.substr(at, size));
        CHECK(output == "first\nsecond\n");
    }
}

TEST_CASE("the daemon is asked for the output since a time with nanoseconds") {
    const rh::instant since{std::chrono::milliseconds{1'700'000'000'045}};
    CHECK(to_query({.tail = 7}) == "?stdout=1&stderr=1&tail=7");
    CHECK(to_query({.tail = std::nullopt, .since = since, .follow = true}) ==
          "?stdout=1&stderr=1&tail=all&follow=1&since=1700000000.045000000");
}

TEST_CASE("labels that are missing or malformed are ignored") {
    for (const auto* const text :
         {"{}", "null", "[]", "7", "\"x\"", R"({"Labels":null})", R"({"Labels":[]})",
          R"({"Labels":{"dev.roundhouse.instance":7}})",
          R"({"Labels":{"dev.roundhouse.instance":"here","dev.roundhouse.engine":"no uuid"}})"}) {
        CAPTURE(text);
        const auto read = read_json(text);
        REQUIRE(read);
        CHECK_FALSE(read_marks((*read)->root["Labels"]));
        CHECK_FALSE(read_container((*read)->root, "net").made);
    }
}
