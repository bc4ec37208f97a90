#include "catch.hpp"
#include "docker_answers.hpp"

#include <string>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using daemon_says = recorded_daemon;

TEST_CASE_METHOD(docker_answers, "an engine is made, stopped and removed as a daemon answers") {
    const auto w = engine();
    REQUIRE(create(w));
    CHECK(daemon.container_named(name_of(w)).status == "running");
    CHECK(daemon.has_volume(volume_of(w)));
    REQUIRE(pause(w.ref));
    CHECK(daemon.container_named(name_of(w)).status == "paused");
    REQUIRE(resume(w.ref));
    REQUIRE(stop(w.ref));
    CHECK(daemon.container_named(name_of(w)).status == "exited");
    REQUIRE(destroy(w.ref));
    CHECK_FALSE(daemon.has_container(name_of(w)));
    CHECK_FALSE(daemon.has_volume(volume_of(w)));
}

TEST_CASE_METHOD(docker_answers, "a refusal carries the daemon's words, and what was tried") {
    daemon.when("GET", "/containers/*/json",
                daemon_says::replies(500, R"({"message":"the disk is gone"})"));
    CHECK(failure_of(stop(engine().ref)) == "Docker: cannot inspect a container: the disk is gone");
}

TEST_CASE_METHOD(docker_answers, "a refusal in plain text carries the text") {
    daemon.when("GET", "/containers/*/json",
                daemon_says::sends("HTTP/1.1 500 No\r\nContent-Type: text/plain\r\n"
                                   "Content-Length: 18\r\n\r\nbad gateway: \x01late"));
    CHECK_THAT(failure_of(stop(engine().ref)),
               Contains("cannot inspect a container: HTTP 500: \"bad gateway: ?late\""));
}

TEST_CASE_METHOD(docker_answers, "a refusal without a word tells its status") {
    for (const auto* const body : {"", "{}", "null", R"({"message":null})", R"({"message":""})"}) {
        daemon.when("GET", "/containers/*/json", daemon_says::replies(500, body));
        CHECK_THAT(failure_of(stop(engine().ref)),
                   Contains("cannot inspect a container: HTTP 500"));
    }
}
