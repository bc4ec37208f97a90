#include "catch.hpp"
#include "docker_answers.hpp"

#include <algorithm>
#include <future>
#include <string>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using daemon_says = recorded_daemon;

namespace {

constexpr auto created = "/containers/create";
constexpr auto started = "/containers/*/start";

/// A script of a daemon that does what was asked, and closes the connection without an answer.
daemon_says::script loses_its_reply(recorded_daemon& daemon) {
    return [&daemon](daemon_says::socket& connection, const daemon_request& request) {
        static_cast<void>(daemon.usual_answer(request)); // for its effect
        connection.close();
    };
}

} // namespace

TEST_CASE_METHOD(docker_answers,
                 "a create is repeated after its reply was lost, and replaces its container") {
    const auto w = engine();
    daemon.once("POST", created, loses_its_reply(daemon));
    CHECK_THAT(failure_of(create(w)), Contains("closed the connection without an answer"));
    const auto first = daemon.container_named(name_of(w)).id;
    REQUIRE_FALSE(first.empty());

    REQUIRE(create(w));
    CHECK(daemon.container_named(name_of(w)).status == "running");
    CHECK(daemon.container_named(name_of(w)).id != first);
    CHECK(daemon.has_volume(volume_of(w)));
}

TEST_CASE_METHOD(docker_answers, "a start whose reply is lost leaves no container") {
    const auto w = engine();
    daemon.once("POST", started, loses_its_reply(daemon));
    CHECK_THAT(failure_of(create(w)), Contains("closed the connection without an answer"));
    CHECK_FALSE(daemon.has_container(name_of(w)));
    CHECK_FALSE(daemon.has_volume(volume_of(w)));
}

TEST_CASE_METHOD(docker_answers,
                 "a container that is made after the timeout of its create is found later") {
    const auto w = engine();
    options.call_timeout = rh::duration{200};
    std::promise<daemon_request> received;
    daemon.once("POST", created,
                [&](auto&, const daemon_request& request) { received.set_value(request); });
    CHECK_THAT(failure_of(create(w)), Contains("no answer within 200 ms"));
    CHECK_FALSE(daemon.has_volume(volume_of(w)));

    static_cast<void>(daemon.usual_answer(received.get_future().get())); // after the timeout
    REQUIRE(daemon.has_volume(volume_of(w)));
    REQUIRE(create(w));
    CHECK(daemon.container_named(name_of(w)).status == "running");
    const auto found = list();
    REQUIRE(found);
    CHECK(found->size() == 1);
}

TEST_CASE_METHOD(docker_answers,
                 "a container is started also after an answer to its create that makes no sense") {
    const auto w = engine();
    for (const auto* const body : {"nonsense", "{}", R"({"Id":null})", ""}) {
        daemon.once("POST", created, [&](auto& connection, const daemon_request& request) {
            static_cast<void>(daemon.usual_answer(request)); // for its effect
            daemon_says::send_and_close(connection, reply(201, body));
        });
        REQUIRE(create(w));
        CHECK(daemon.container_named(name_of(w)).status == "running");
        REQUIRE(destroy(w.ref));
    }
}

TEST_CASE_METHOD(docker_answers, "a create succeeds if the requested container runs already") {
    const auto w = engine();
    put(w, "running");
    const auto present = daemon.container_named(name_of(w)).id;
    REQUIRE(create(w));
    CHECK(daemon.container_named(name_of(w)).id == present);
    CHECK(daemon.count("POST", started) == 0);
}

TEST_CASE_METHOD(docker_answers,
                 "a container of the same name that another installation made is left alone") {
    const auto w = engine();
    const auto strangers = {labels_of(w, "elsewhere"), labels_of(engine(2)), std::string{"{}"},
                            std::string{"null"}};
    for (const auto& labels : strangers) {
        daemon.put_container(name_of(w), {.id = {}, .labels = labels, .status = "running"});
        CHECK_THAT(failure_of(create(w)),
                   Contains("the container " + name_of(w)) &&
                       Contains("was not made by this installation: rename or remove it"));
        CHECK(daemon.container_named(name_of(w)).status == "running");
    }
    CHECK(daemon.count("DELETE", "/containers/*") == 0);
    CHECK(daemon.count("POST", "/containers/*/stop") == 0);
}

TEST_CASE_METHOD(docker_answers,
                 "a volume of the same name that another installation made is left alone") {
    const auto w = engine();
    const auto strangers = {labels_of(w, "elsewhere"), labels_of(engine(2)), std::string{"{}"},
                            std::string{"null"}};
    for (const auto& labels : strangers) {
        daemon.put_volume(volume_of(w), labels);
        CHECK_THAT(failure_of(create(w)), Contains("the volume " + volume_of(w)) &&
                                              Contains("was not made by this installation"));
    }
    CHECK(daemon.has_volume(volume_of(w)));
    CHECK(daemon.count("POST", created) == 0);
}

TEST_CASE_METHOD(docker_answers, "a container of an older generation is replaced in every state") {
    for (const auto* const status : {"created", "running", "paused", "exited", "dead"}) {
        put(engine(1, 6), status);
        const auto old = daemon.container_named(name_of(engine())).id;
        REQUIRE(create(engine(1, 7)));
        const auto now = daemon.container_named(name_of(engine()));
        CHECK(now.status == "running");
        CHECK(now.id != old);
        CHECK(now.labels == labels_of(engine(1, 7)));
        REQUIRE(destroy(engine(1, 7).ref));
    }
}

TEST_CASE_METHOD(docker_answers, "a newer generation is left running") {
    put(engine(1, 8), "running");
    const auto present = daemon.container_named(name_of(engine())).id;
    CHECK_THAT(failure_of(create(engine(1, 7))), Contains("runs in a newer generation (8 over 7)"));
    CHECK(daemon.container_named(name_of(engine())).id == present);
}

TEST_CASE_METHOD(docker_answers, "a refused start leaves neither container nor volume") {
    const auto w = engine();
    daemon.when(
        "POST", started,
        daemon_says::replies(400, R"({"message":"failed to create shim task: no such file"})"));
    CHECK(failure_of(create(w)) ==
          "Docker: cannot start " + name_of(w) + ": failed to create shim task: no such file");
    CHECK_FALSE(daemon.has_container(name_of(w)));
    CHECK_FALSE(daemon.has_volume(volume_of(w)));
}

TEST_CASE_METHOD(docker_answers, "a refused start leaves a volume that existed before") {
    const auto w = engine();
    daemon.put_volume(volume_of(w), labels_of(engine(1, 3)));
    daemon.when("POST", started, daemon_says::replies(500, R"({"message":"no"})"));
    CHECK_THAT(failure_of(create(w)), Contains("cannot start"));
    CHECK_FALSE(daemon.has_container(name_of(w)));
    CHECK(daemon.has_volume(volume_of(w)));
}

TEST_CASE_METHOD(docker_answers, "a failed start is not reported as an exit") {
    daemon.when("POST", started, daemon_says::replies(500, R"({"message":"no"})"));
    listening();
    REQUIRE_FALSE(create(engine(1)));
    daemon.be_usual();
    REQUIRE(create(engine(2)));
    daemon.end_container(name_of(engine(2)), 1);
    REQUIRE(eventually([&] { return !exits().empty(); }));
    CHECK(exits().size() == 1);
    CHECK(exits().front().ref == engine(2).ref);
}

TEST_CASE_METHOD(docker_answers, "a create fails if the name stays in use") {
    const auto w = engine();
    daemon.when("POST", created, daemon_says::replies(409, R"({"message":"Conflict."})"));
    CHECK_THAT(failure_of(create(w)), Contains("the name " + name_of(w) + " stays in use"));
    CHECK(daemon.count("POST", created) < 10);
    CHECK_FALSE(daemon.has_volume(volume_of(w)));
}

TEST_CASE_METHOD(docker_answers, "a create fails if the older container cannot be removed") {
    put(engine(1, 1), "exited");
    daemon.when("DELETE", "/containers/*",
                daemon_says::replies(500, R"({"message":"driver failed to remove"})"));
    CHECK_THAT(failure_of(create(engine(1, 2))),
               Contains("cannot remove") && Contains("driver failed to remove"));
}

TEST_CASE_METHOD(docker_answers, "a create waits for a removal that is in progress") {
    put(engine(1, 1), "exited");
    daemon.once("DELETE", "/containers/*",
                daemon_says::replies(409, R"({"message":"removal is already in progress"})"));
    REQUIRE(create(engine(1, 2)));
    CHECK(daemon.count("POST", "/containers/*/wait") == 1);
    CHECK(daemon.container_named(name_of(engine())).status == "running");
}

TEST_CASE_METHOD(docker_answers,
                 "the anonymous volumes of an image are removed with their container") {
    REQUIRE(create(engine(1, 1)));
    REQUIRE(create(engine(1, 2)));
    REQUIRE(destroy(engine().ref));
    const auto removals = daemon.requests("DELETE", "/containers/*");
    REQUIRE(removals.size() == 2);
    for (const auto& removal : removals) CHECK(removal.query == "force=1&v=1");
}

TEST_CASE_METHOD(docker_answers, "a network that lets engines talk to each other is logged once") {
    REQUIRE(create(engine(1)));
    destroy_backend();
    const auto warned = [&] {
        return std::ranges::count_if(log_lines(), [](const std::string& line) {
            return holds(line, "lets engines talk to each other");
        });
    };
    daemon.when("GET", "/networks/*",
                daemon_says::replies(
                    200, R"({"Options":{"com.docker.network.bridge.enable_icc":"false"}})"));
    REQUIRE(create(engine(2)));
    CHECK(warned() == 0);
    destroy_backend();
    daemon.be_usual();
    daemon.when("GET", "/networks/*", daemon_says::replies(200, R"({"Options":{}})"));
    REQUIRE(create(engine(3)));
    REQUIRE(create(engine(4)));
    CHECK(warned() == 1);
}

TEST_CASE_METHOD(docker_answers, "a name that is in use is found out, whichever way it is said") {
    put(engine(1, 1), "exited");
    daemon.once("POST", "/networks/create",
                daemon_says::replies(500, R"({"message":"network already exists"})"));
    daemon.when("GET", "/networks/*", daemon_says::replies(200, R"({"Options":{}})"));
    daemon.once("POST", created,
                daemon_says::replies(500, R"({"message":"that name is already in use"})"));
    REQUIRE(create(engine(1, 2)));
    CHECK(daemon.container_named(name_of(engine())).labels == labels_of(engine(1, 2)));
    CHECK(daemon.count("POST", "/networks/create") == 1);
}

TEST_CASE_METHOD(docker_answers, "a network that was removed is created again") {
    REQUIRE(create(engine(1)));
    REQUIRE(daemon.count("POST", "/networks/create") == 1);
    daemon.once("POST", started,
                daemon_says::replies(404, R"({"message":"network engine_net not found"})"));
    REQUIRE(create(engine(2)));
    CHECK(daemon.count("POST", "/networks/create") == 2);
    CHECK(daemon.container_named(name_of(engine(2))).status == "running");
}

TEST_CASE_METHOD(docker_answers,
                 "a network whose removal is found when a container is made is created again") {
    REQUIRE(create(engine(1)));
    const auto missing = daemon_says::replies(
        500, R"({"message":"unable to find network with name or ID engine_net"})");
    daemon.once("POST", created, missing);
    REQUIRE(create(engine(2)));
    CHECK(daemon.count("POST", "/networks/create") == 2);
    daemon.when("POST", created, missing);
    CHECK_THAT(failure_of(create(engine(3))), Contains("unable to find network"));
    CHECK(daemon.count("POST", "/networks/create") == 3);
}

TEST_CASE_METHOD(docker_answers, "Podman's differences that matter are told") {
    daemon.when("GET", "/version",
                daemon_says::replies(200, R"({"ApiVersion":"1.41","MinAPIVersion":"1.24",)"
                                          R"("Components":[{"Name":"Podman Engine"}]})"));
    REQUIRE(create(engine(1)));
    CHECK(std::ranges::any_of(log_lines(), [](const std::string& line) {
        return holds(line, "Podman lets the engines on the network engine_net talk");
    }));
    destroy_backend();
    options.runtime = "runsc"; // which Podman would ignore
    CHECK_THAT(failure_of(create(engine(2))), Contains("ORCH_ENGINE_RUNTIME"));
    CHECK_FALSE(daemon.has_container(name_of(engine(2))));
}

TEST_CASE_METHOD(docker_answers,
                 "a create fails before it has made anything if the network cannot be created") {
    daemon.once("POST", "/networks/create",
                daemon_says::replies(403, R"({"message":"no more address pools"})"));
    CHECK(failure_of(create(engine())) ==
          "Docker: cannot make the network engine_net: no more address pools");
    CHECK(daemon.count("POST", "/volumes/create") == 0);
    CHECK(create(engine()));
}

TEST_CASE_METHOD(docker_answers,
                 "a create fails before it has made a container if the volume cannot be created") {
    daemon.when("POST", "/volumes/create", daemon_says::replies(500, R"({"message":"no space"})"));
    CHECK(failure_of(create(engine())) == "Docker: cannot make a volume: no space");
    CHECK(daemon.count("POST", created) == 0);
}

TEST_CASE_METHOD(docker_answers, "a create that cannot make the container leaves no volume") {
    daemon.when("POST", created, daemon_says::replies(400, R"({"message":"no such runtime"})"));
    CHECK(failure_of(create(engine())) ==
          "Docker: cannot make " + name_of(engine()) + ": no such runtime");
    CHECK_FALSE(daemon.has_volume(volume_of(engine())));
}
