#include "../catch.hpp"
#include "docker_fixture.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

// Pulls from a registry. The two macros are defined only if the programs are built: see
// tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using Catch::Matchers::Contains;
using namespace roundhouse_tests;

namespace {

constexpr auto registry_program = "/usr/bin/docker-registry";

/// A registry that knows one user, and the demo engine's image in it, which the daemon has not.
class private_registry {
public:
    private_registry()
        : configuration_(write("registry.yml", "version: 0.1\n"
                                               "storage: {filesystem: {rootdirectory: " +
                                                   folder_.path() +
                                                   "/images}}\n"
                                                   "http: {addr: '127.0.0.1:0'}\n"
                                                   "auth: {htpasswd: {realm: test, path: " +
                                                   write("htpasswd", "ann:" + hash + "\n") +
                                                   "}}\n")),
          process_(registry_program, {"serve", configuration_}, inherited()),
          host_("127.0.0.1:" + port_in(process_.line_with("listening on 127.0.0.1:"))) {
        // The base64 text of the user and the password.
        write("config.json", R"({"auths":{")" + host_ + R"(":{"auth":"YW5uOnB3OjE="}}})");
        REQUIRE(docker({"tag", "roundhouse-test-engine:1", image()}).code == 0);
        const auto pushed = docker({"--config", folder_.path(), "push", image()});
        INFO(pushed.output);
        REQUIRE(pushed.code == 0);
        const auto found = pushed.output.find("sha256:");
        REQUIRE(found != std::string::npos);
        digest_ = pushed.output.substr(found, 71);
        forget();
    }
    ~private_registry() {
        forget();
        process_.signal(SIGTERM);
        process_.wait();
    }
    private_registry(const private_registry&) = delete;
    private_registry& operator=(const private_registry&) = delete;

    [[nodiscard]] std::string repository() const { return host_ + "/team/engine"; }
    [[nodiscard]] std::string image() const { return repository() + ":1"; }
    [[nodiscard]] const std::string& host() const noexcept { return host_; }
    [[nodiscard]] const std::string& digest() const noexcept { return digest_; }
    /// The file with the credentials.
    [[nodiscard]] std::string credentials() const { return folder_.path() + "/config.json"; }

    /// Takes the names of the image from the daemon.
    void forget() const {
        for (const auto& name : {image(), repository() + '@' + digest_})
            (void)docker({"rmi", name});
    }

private:
    /// Of the password `pw:1`, as htpasswd(1) hashes it with -B.
    static inline const std::string hash =
        "$2y$05$khp76uenk5jbi6rSiSVp7e7QZ27o3UC6MRIiAcr4W235URcnu7w1q";

    std::string write(const std::string& name, const std::string& text) const {
        const auto path = folder_.path() + '/' + name;
        std::ofstream{path} << text;
        return path;
    }
    static std::string port_in(const std::string& line) {
        const auto at = line.find("listening on 127.0.0.1:") + 23;
        return line.substr(at, line.find_first_not_of("0123456789", at) - at);
    }

    const scratch_folder folder_;
    const std::string configuration_;
    child_process process_;
    const std::string host_;
    std::string digest_;
};

} // namespace

TEST_CASE("an image of a private registry is pulled with its credentials, by tag and by digest") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    if (on_podman()) ROUNDHOUSE_SKIP("Podman wants TLS of a registry on the loopback address too");
    if (::access(registry_program, X_OK) != 0)
        ROUNDHOUSE_SKIP("Debian's docker-registry is missing");
    const docker_place place;
    const private_registry registry;
    const auto provision = [&](running_server& server, const std::string& version,
                               int expected = 200) {
        return server.post("/engines/provision",
                           R"({"user_id":"ann","engine_version":")" + version + "\"}", expected);
    };
    {
        running_server server(place.with({{"ORCH_ENGINE_REGISTRIES", registry.host()}}));
        CHECK_THAT(provision(server, registry.image(), 502), Contains("no basic auth credentials"));
        CHECK_THAT(provision(server, "roundhouse-no-such-image:1", 502),
                   Contains("registry docker.io is not in ORCH_ENGINE_REGISTRIES"));
    }
    running_server server(place.with({{"ORCH_ENGINE_IMAGE", registry.image()},
                                      {"ORCH_ENGINE_REGISTRIES", registry.host()},
                                      {"ORCH_REGISTRY_AUTH_FILE", registry.credentials()}}));
    for (const auto& version : {registry.image(), '@' + registry.digest(),
                                registry.repository() + '@' + registry.digest(),
                                registry.repository() + ":2@" + registry.digest()}) {
        const auto made = provision(server, version);
        CHECK(executions(made) == 1);
        CHECK(server.client.Delete("/engines/ann")->status == 200);
        registry.forget();
    }
    server.process.signal(SIGTERM);
    CHECK_THAT(server.process.output(), !Contains("pw:1") && !Contains("YW5uOnB3OjE"));
}

#endif
