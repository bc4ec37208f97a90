#include "catch.hpp"
#include "docker_answers.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using daemon_says = recorded_daemon;

namespace {

constexpr auto pulled = "/images/create";

/// A script of a daemon that pulls an image and sends these lines.
daemon_says::script pulls(recorded_daemon& daemon, const std::string& lines) {
    return [&daemon, lines](daemon_says::socket& connection, const daemon_request& request) {
        static_cast<void>(daemon.usual_answer(request)); // for its effect
        daemon_says::send_and_close(connection, chunked_head() + chunk(lines) + chunk(""));
    };
}

} // namespace

TEST_CASE_METHOD(docker_answers, "a missing image is pulled, and the steps are logged") {
    daemon.forget_image();
    REQUIRE(create(engine()));
    REQUIRE(daemon.count("POST", pulled) == 1);
    CHECK(daemon.requests("POST", pulled).front().query == "fromImage=tiny&tag=1");
    const auto lines = log_lines();
    const auto logged = [&](const std::string& status) {
        return std::ranges::count(lines,
                                  "an image is pulled image=\"tiny:1\" status=\"" + status + '"');
    };
    CHECK(logged("begun") == 1);
    CHECK(logged("1: Pulling from library/tiny") == 1);
    CHECK(logged("Status: Downloaded newer image for tiny:1") == 1);
}

TEST_CASE_METHOD(docker_answers, "the progress of a pull is not logged") {
    daemon.forget_image();
    std::string lines = "{\"status\":\"Pulling fs layer\",\"progressDetail\":{},\"id\":\"a1\"}\r\n";
    for (int i = 0; i < 500; ++i)
        lines += R"({"status":"Downloading","progressDetail":{"current":)" + std::to_string(i) +
                 R"(,"total":500},"progress":"[=>   ]  1kB/500kB","id":"a1"})" + "\r\n";
    lines += "{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"a1\"}\r\n";
    daemon.once("POST", pulled, pulls(daemon, lines));
    REQUIRE(create(engine()));
    CHECK(std::ranges::count_if(log_lines(), [](const std::string& line) {
              return line.find("status=\"a1: ") != std::string::npos;
          }) == 2);
}

TEST_CASE_METHOD(docker_answers, "unreadable lines of a pull are ignored") {
    daemon.forget_image();
    daemon.once("POST", pulled,
                pulls(daemon, "nonsense\r\n\r\n[]\r\nnull\r\n{\"status\":7,\"error\":null}\r\n"));
    CHECK(create(engine()));
}

TEST_CASE_METHOD(docker_answers,
                 "a pull that fails half-way has the cause in its message, and leaves nothing") {
    daemon.forget_image();
    for (const auto* const end : {"\r\n", "\n", ""}) {
        daemon.once("POST", pulled,
                    daemon_says::sends(
                        chunked_head() +
                        chunk("{\"status\":\"Pulling from tiny\",\"id\":\"1\"}\r\n") +
                        chunk(R"({"errorDetail":{"message":"no space left"},"error":"no sp)") +
                        chunk(std::string{R"(ace left"})"} + end) + chunk("")));
        CHECK(failure_of(create(engine())) == "Docker: the image tiny:1 is not there and cannot be "
                                              "pulled: no space left");
    }
    CHECK_FALSE(daemon.has_volume(volume_of(engine())));
    CHECK_FALSE(daemon.has_container(name_of(engine())));
}

TEST_CASE_METHOD(docker_answers,
                 "a pull works with a daemon that does not send the deprecated texts") {
    daemon.forget_image();
    std::string lines;
    for (int i = 0; i < 500; ++i)
        lines += R"({"status":"Downloading","progressDetail":{"current":)" + std::to_string(i) +
                 R"(,"total":500},"id":"a1"})" + "\r\n";
    lines += R"({"errorDetail":{"message":"no space left"}})";
    daemon.once("POST", pulled, daemon_says::sends(chunked_head() + chunk(lines) + chunk("")));
    CHECK_THAT(failure_of(create(engine())), Contains("cannot be pulled: no space left"));
    CHECK(log_lines().size() < 10);
}

TEST_CASE_METHOD(docker_answers, "a refused pull has the cause in its message") {
    daemon.forget_image();
    for (const unsigned status : {404U, 500U}) {
        daemon.once("POST", pulled,
                    daemon_says::replies(status, R"({"message":"pull access denied for tiny"})"));
        CHECK_THAT(failure_of(create(engine())),
                   Contains("tiny:1 is not there and cannot be pulled: pull access denied"));
    }
    for (const auto* const body : {"", "{}"}) {
        daemon.once("POST", pulled, daemon_says::replies(500, body));
        CHECK_THAT(failure_of(create(engine())), Contains("cannot be pulled: HTTP 500"));
    }
    daemon.once("POST", pulled, daemon_says::replies(502, "bad gateway"));
    CHECK_THAT(failure_of(create(engine())),
               Contains("cannot be pulled: HTTP 502: \"bad gateway\""));
}

TEST_CASE_METHOD(docker_answers, "a pull fails if the connection breaks") {
    daemon.forget_image();
    daemon.once("POST", pulled,
                daemon_says::sends(chunked_head() + chunk("{\"status\":\"Pulling\"}\r\n")));
    CHECK_THAT(failure_of(create(engine())),
               Contains("tiny:1") && Contains("cut the connection in the middle of its answer"));
}

TEST_CASE_METHOD(docker_answers, "a pull that stalls fails at the timeout of pulls") {
    daemon.forget_image();
    options.pull_timeout = rh::duration{200};
    daemon.once("POST", pulled,
                daemon_says::sends_and_hangs(chunked_head() + chunk("{\"status\":\"Wait\"}\r\n")));
    CHECK_THAT(failure_of(create(engine())), Contains("tiny:1") && Contains("within 200 ms"));
}

TEST_CASE_METHOD(docker_answers, "an image that is missing after its pull is not pulled again") {
    daemon.forget_image();
    daemon.when("POST", pulled, daemon_says::sends(chunked_head() + chunk("")));
    CHECK_THAT(failure_of(create(engine())), Contains("No such image: tiny:1"));
    CHECK(daemon.count("POST", pulled) == 1);
}

TEST_CASE_METHOD(docker_answers, "an image is pulled from the registries of the list only") {
    daemon.forget_image();
    options.registries = {"Registry.example.com", "localhost:5000"};
    auto w = engine();
    for (const auto* const refused :
         {"tiny:1", "docker.io/tiny:1", "registry.example.org/tiny:1", "localhost/tiny:1",
          "registry.example.com:444/tiny:1", "registry.example.com.evil.example/tiny:1",
          "registry.example.com"}) {
        CAPTURE(refused);
        w.version = refused;
        const auto registry = rh::detail::docker::registry_of(refused);
        CHECK_THAT(failure_of(create(w)),
                   Contains(std::string{"the image "} + refused + " is not there") &&
                       Contains("its registry " + registry + " is not in ORCH_ENGINE_REGISTRIES"));
    }
    CHECK(daemon.count("POST", pulled) == 0);
    for (const auto* const allowed :
         {"registry.example.com/tiny:1", "REGISTRY.example.com/tiny:1", "localhost:5000/tiny:1"}) {
        daemon.forget_image();
        w.version = allowed;
        CHECK(create(w));
    }
    CHECK(daemon.count("POST", pulled) == 3);
}

TEST_CASE_METHOD(docker_answers, "an image that is there is used, whatever its registry is") {
    options.registries = {"registry.example.com"};
    CHECK(create(engine()));
}

TEST_CASE_METHOD(docker_answers, "a list of registries with a malformed one is refused") {
    options.registries = {"docker.io", "https://registry.example.com"};
    CHECK_THROWS_WITH(backend(), Contains("`registries`: \"https://registry.example.com\" is no"));
}

TEST_CASE_METHOD(docker_answers, "a version may be a digest, with or without a name") {
    const auto digest = "sha256:" + std::string(64, '7');
    const auto query = "fromImage=registry.example.com%2Ftiny%40sha256%3A" + std::string(64, '7');
    options.repository = "registry.example.com/tiny";
    options.registries = {"registry.example.com"};
    auto w = engine();
    for (const auto& version : {"registry.example.com/tiny@" + digest, '@' + digest}) {
        daemon.forget_image();
        w.version = version;
        REQUIRE(create(w));
        CHECK(daemon.requests("POST", pulled).back().query == query);
        CHECK_THAT(daemon.requests("POST", "/containers/create").back().body,
                   Contains(R"("Image":"registry.example.com/tiny@)" + digest + '"'));
        REQUIRE(destroy(w.ref));
    }
}

TEST_CASE_METHOD(docker_answers, "a malformed digest is refused before the daemon is asked") {
    auto w = engine();
    w.version = "tiny@sha256:77";
    CHECK_THAT(failure_of(create(w)), Contains("the version tiny@sha256:77 has no digest"));
    CHECK(daemon.count("GET", "/images/*/json") == 0);
}

TEST_CASE_METHOD(docker_answers, "an id names an image that is there, and is never pulled") {
    auto w = engine();
    w.version = "sha256:" + std::string(64, '7');
    REQUIRE(create(w));
    daemon.forget_image();
    CHECK_THAT(failure_of(create(w)), Contains("cannot be pulled: an id says neither"));
    CHECK(daemon.count("POST", pulled) == 0);
}

TEST_CASE_METHOD(docker_answers, "the credentials of a registry go with its own pulls only") {
    const temporary_folder folder;
    options.registry_auth_file = folder.path() / "config.json";
    const auto head_of = [&](const char* image) {
        daemon.forget_image();
        auto w = engine();
        w.version = image;
        REQUIRE(create(w));
        return daemon.requests("POST", pulled).back().head;
    };
    // The file is read at each pull. "YW5uOnB3" is ann:pw.
    std::ofstream{options.registry_auth_file}
        << R"({"auths":{"registry.example.com":{"auth":"YW5uOnB3"}}})";
    // {"username":"ann","password":"pw","serveraddress":"registry.example.com"}
    CHECK_THAT(
        head_of("registry.example.com/tiny"),
        Contains("X-Registry-Auth: eyJ1c2VybmFtZSI6ImFubiIsInBhc3N3b3JkIjoicHciLCJzZXJ2ZXJhZG"
                 "RyZXNzIjoicmVnaXN0cnkuZXhhbXBsZS5jb20ifQ=="));
    for (const auto* const other : {"tiny", "registry.example.org/tiny",
                                    "registry.example.com:444/tiny", "x/registry.example.com/tiny"})
        CHECK_THAT(head_of(other), !Contains("X-Registry-Auth"));
    std::ofstream{options.registry_auth_file} << R"({"auths":{}})";
    CHECK_THAT(head_of("registry.example.com/tiny"), !Contains("X-Registry-Auth"));
    for (const auto& line : log_lines())
        CHECK_THAT(line, !Contains("YW5uOnB3") && !Contains("ann") && !Contains("eyJ1c2"));
}

TEST_CASE_METHOD(docker_answers, "a pull without its file of credentials fails with the cause") {
    options.registry_auth_file = "/no/such/config.json";
    CHECK(create(engine())); // nothing is to be pulled
    daemon.forget_image();
    CHECK_THAT(failure_of(create(engine())),
               Contains("the image tiny:1 is not there and cannot be pulled") &&
                   Contains("ORCH_REGISTRY_AUTH_FILE") &&
                   Contains("/no/such/config.json cannot be opened: No such file"));
    CHECK(daemon.count("POST", pulled) == 0);
}
