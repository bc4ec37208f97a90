#include "catch.hpp"
#include "docker_answers.hpp"

#include <algorithm>
#include <atomic>
#include <future>
#include <string>
#include <utility>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using daemon_says = recorded_daemon;

namespace {

constexpr auto listed = "/containers/json";

class docker_events : public docker_answers {
public:
    /// The exits that were reported up to now. Reports keep the order of the events, so this waits
    /// for the report of another engine's end.
    std::vector<rh::workload_exit> reported() {
        const auto last = engine(99, ++markers_);
        if (!create(last)) throw std::runtime_error{"cannot create"};
        daemon.end_container(name_of(last), 7);
        const auto arrived = [&] {
            const auto all = exits();
            return !all.empty() && all.back().ref == last.ref;
        };
        if (!eventually(arrived)) throw std::runtime_error{"an end is not reported"};
        auto earlier = exits();
        std::erase_if(earlier,
                      [&](const auto& exit) { return exit.ref.engine_id == last.ref.engine_id; });
        return earlier;
    }
    /// Waits until the stream has been opened again and the list has been compared.
    void reopened() {
        if (!eventually([&] { return daemon.stream_is_open() && !backend().trouble(); }))
            throw std::runtime_error{"the stream is not opened again"};
    }
    [[nodiscard]] std::string death_of(const rh::workload& w, int exit_code = 1) const {
        auto dead = daemon.container_named(name_of(w));
        dead.exit_code = exit_code;
        return recorded_daemon::event("die", name_of(w), dead);
    }

private:
    std::uint64_t markers_ = 0;
};

} // namespace

TEST_CASE_METHOD(docker_events,
                 "a container's exit that was not asked for is reported once, with its code") {
    listening();
    REQUIRE(create(engine()));
    daemon.end_container(name_of(engine()), 3);
    daemon.send_event(death_of(engine(), 3));
    const auto ends = reported();
    REQUIRE(ends.size() == 1);
    CHECK(ends[0].ref == engine().ref);
    CHECK(ends[0].owner == engine().owner);
    CHECK(ends[0].exit_code == 3);
    CHECK_FALSE(ends[0].signal);
    CHECK_FALSE(ends[0].out_of_memory);
}

TEST_CASE_METHOD(docker_events, "a container's exit that was asked for is not reported") {
    listening();
    REQUIRE(create(engine(1)));
    REQUIRE(create(engine(2)));
    REQUIRE(create(engine(3, 1)));
    REQUIRE(create(engine(4)));
    REQUIRE(stop(engine(1).ref));
    REQUIRE(destroy(engine(2).ref));
    const auto old = death_of(engine(3, 1), 0);
    REQUIRE(stop(engine(3, 1).ref));
    REQUIRE(create(engine(3, 2)));
    daemon.send_event(old); // late
    REQUIRE(pause(engine(4).ref));
    REQUIRE(resume(engine(4).ref));
    CHECK(reported().empty());
    CHECK(daemon.container_named(name_of(engine(3))).status == "running");
}

TEST_CASE_METHOD(docker_events,
                 "the exit of a container that a failed stop left running is reported") {
    listening();
    REQUIRE(create(engine()));
    daemon.once("POST", "/containers/*/stop", daemon_says::replies(500, R"({"message":"no"})"));
    REQUIRE_FALSE(stop(engine().ref));
    daemon.end_container(name_of(engine()), 1);
    CHECK(reported().size() == 1);
}

TEST_CASE_METHOD(docker_events, "the exit of a container that a list found is reported") {
    put(engine(1, 4), "running");
    put(engine(2, 4), "exited");
    put(engine(3, 4), "running", "elsewhere");
    listening();
    REQUIRE(list());
    daemon.end_container(name_of(engine(1)), 1);
    daemon.send_event(death_of(engine(2, 4)) + death_of(engine(3, 4)));
    const auto ends = reported();
    REQUIRE(ends.size() == 1);
    CHECK(ends[0].ref == engine(1, 4).ref);
    CHECK(ends[0].owner == engine(1, 4).owner);
}

TEST_CASE_METHOD(docker_events, "an exit for lack of memory is reported as such") {
    listening();
    REQUIRE(create(engine(1)));
    REQUIRE(create(engine(2)));
    daemon.end_container(name_of(engine(1)), 137, true);
    daemon.end_container(name_of(engine(2)), 137, false);
    const auto ends = reported();
    REQUIRE(ends.size() == 2);
    CHECK(ends[0].exit_code == 137);
    CHECK(ends[0].out_of_memory);
    CHECK(ends[1].exit_code == 137);
    CHECK_FALSE(ends[1].out_of_memory);
}

TEST_CASE_METHOD(docker_events, "an exit is reported also if the container cannot be inspected") {
    listening();
    // Once one exit is reported, the list that follows the opening of the stream is over too: an
    // exit that it finds has no exit code but the container's.
    REQUIRE(create(engine()));
    daemon.end_container(name_of(engine()), 1);
    REQUIRE(eventually([&] { return exits().size() == 1; }));
    for (const auto& answer :
         {daemon_says::replies(404, R"({"message":"No such container"})"), daemon_says::sends(""),
          daemon_says::replies(200, "nonsense"), daemon_says::replies(200, "{}"),
          daemon_says::replies(200, R"({"State":null,"Config":null,"NetworkSettings":null})")}) {
        REQUIRE(create(engine()));
        const auto before = exits().size();
        daemon.once("GET", "/containers/*/json", answer);
        daemon.end_container(name_of(engine()), 137);
        REQUIRE(eventually([&] { return exits().size() == before + 1; }));
        CHECK(exits().back().ref == engine().ref);
        CHECK(exits().back().exit_code == 137);
        CHECK_FALSE(exits().back().out_of_memory);
    }
}

TEST_CASE_METHOD(docker_events, "an inspection that hangs delays reports only until its timeout") {
    options.look_timeout = rh::duration{100};
    listening();
    for (unsigned number = 1; number <= 3; ++number) REQUIRE(create(engine(number)));
    daemon.once("GET", "/containers/*/json", daemon_says::sends_and_hangs(""));
    for (unsigned number = 1; number <= 3; ++number)
        daemon.end_container(name_of(engine(number)), static_cast<int>(number));
    const auto ends = reported();
    REQUIRE(ends.size() == 3);
    for (unsigned number = 1; number <= 3; ++number) {
        CHECK(ends[number - 1].ref == engine(number).ref);
        CHECK(ends[number - 1].exit_code == static_cast<int>(number));
    }
}

TEST_CASE_METHOD(docker_events, "an exit between the list and the watch is reported") {
    put(engine(1, 4), "running");
    listening();
    daemon.once("GET", listed, [&](daemon_says::socket& to, const daemon_request& request) {
        const auto answer = daemon.usual_answer(request);
        daemon.end_container(name_of(engine(1)), 1);
        daemon_says::send_and_close(to, answer);
    });
    REQUIRE(list());
    const auto ends = reported();
    REQUIRE(ends.size() == 1);
    CHECK(ends[0].ref == engine(1, 4).ref);
}

TEST_CASE_METHOD(docker_events,
                 "an exit without an event is reported when the container cannot be resumed") {
    REQUIRE(create(engine()));
    daemon.when("GET", "/events", daemon_says::sends_and_hangs("HTTP/1.1 200 OK\r\n"));
    daemon.end_container(name_of(engine()), 1);
    CHECK_THAT(failure_of(resume(engine().ref)), Contains("does not run"));
    REQUIRE(eventually([&] { return exits().size() == 1; }));
    CHECK(exits().front().ref == engine().ref);
}

TEST_CASE_METHOD(docker_events, "exits while the stream was broken are reported once") {
    listening();
    REQUIRE(create(engine(1)));
    REQUIRE(create(engine(2)));
    REQUIRE(create(engine(3)));
    REQUIRE(create(engine(4)));
    REQUIRE(pause(engine(4).ref));
    const auto late = death_of(engine(1), 3);
    std::promise<void> go_on;
    const auto released = go_on.get_future().share();
    daemon.once("GET", "/events", [&, released](auto& connection, const auto& request) {
        released.wait();
        daemon.as_usual(connection, request);
    });
    daemon.cut_stream();
    daemon.end_container(name_of(engine(1)), 3);
    daemon.end_container(name_of(engine(2)), 137, true);
    go_on.set_value();
    reopened();
    daemon.send_event(late);
    const auto ends = reported();
    REQUIRE(ends.size() == 2);
    const bool in_order = ends[0].ref == engine(1).ref;
    const auto& first = ends[in_order ? 0 : 1];
    const auto& second = ends[in_order ? 1 : 0];
    CHECK(first.ref == engine(1).ref);
    CHECK(first.exit_code == 3);
    CHECK_FALSE(first.out_of_memory);
    CHECK(second.ref == engine(2).ref);
    CHECK(second.exit_code == 137);
    CHECK(second.out_of_memory);
}

TEST_CASE_METHOD(docker_events,
                 "a container that was removed while the daemon was away is reported as ended") {
    listening();
    REQUIRE(create(engine()));
    daemon.go_away();
    REQUIRE(eventually([&] { return backend().trouble().has_value(); }));
    daemon.remove_container(name_of(engine()));
    daemon.listen();
    reopened();
    const auto ends = reported();
    REQUIRE(ends.size() == 1);
    CHECK(ends[0].ref == engine().ref);
    CHECK_FALSE(ends[0].exit_code);
}

TEST_CASE_METHOD(docker_events, "a list that fails after the stream was opened is repeated") {
    listening();
    REQUIRE(create(engine()));
    daemon.once("GET", listed, daemon_says::replies(500, R"({"message":"the disk is gone"})"));
    daemon.once("GET", listed, daemon_says::replies(200, "nonsense"));
    daemon.once("GET", listed, daemon_says::sends("HTTP/1.1 200 OK\r\n"));
    daemon.cut_stream();
    REQUIRE(eventually([&] { return daemon.count("GET", listed) == 4; }));
    reopened();
    CHECK(reported().empty());
    daemon.end_container(name_of(engine()), 1);
    CHECK(reported().size() == 1);
}

TEST_CASE_METHOD(docker_events, "a stream that the daemon ends is opened again") {
    listening();
    REQUIRE(create(engine()));
    daemon.once("GET", "/events", daemon_says::sends(chunked_head() + chunk("")));
    const auto before = daemon.count("GET", "/events");
    daemon.cut_stream();
    REQUIRE(eventually([&] { return daemon.count("GET", "/events") >= before + 2; }));
    reopened();
    daemon.end_container(name_of(engine()), 1);
    CHECK(reported().size() == 1);
}

TEST_CASE_METHOD(docker_events, "events may arrive in pieces of any size") {
    listening();
    for (unsigned i = 1; i <= 5; ++i) REQUIRE(create(engine(i)));
    const auto first = death_of(engine(1));
    daemon.send_event(first.substr(0, 40));
    daemon.send_event(first.substr(40));
    daemon.send_event(death_of(engine(2)) + death_of(engine(3)) +
                      death_of(engine(4)).substr(0, 99));
    daemon.send_event(death_of(engine(4)).substr(99) + '\n');
    for (const char& c : death_of(engine(5))) daemon.send_event({&c, 1});
    const auto ends = reported();
    REQUIRE(ends.size() == 5);
    for (unsigned i = 0; i < 5; ++i) CHECK(ends[i].ref == engine(i + 1).ref);
}

TEST_CASE_METHOD(docker_events, "lines that are no event are ignored") {
    listening();
    REQUIRE(create(engine()));
    for (const auto* const line :
         {"", "nonsense", "null", "7", "[]", "{}", "{\"Actor\":null}", "{\"Actor\":{}}",
          "{\"Actor\":{\"Attributes\":null}}", "{\"Actor\":{\"Attributes\":[1]}}",
          "{\"Actor\":{\"Attributes\":{\"dev.roundhouse.engine\":7}}}", "{\"Action\":\"die\"}",
          "\xFF\xFE"})
        daemon.send_event(std::string{line} + '\n');
    CHECK(reported().empty());
    daemon.end_container(name_of(engine()), 1);
    CHECK(reported().size() == 1);
}

TEST_CASE_METHOD(docker_events,
                 "events of other installations and other generations are not reported") {
    listening();
    const auto w = engine(1, 5);
    REQUIRE(create(w));
    auto dead = daemon.container_named(name_of(w));
    dead.exit_code = 1;
    const auto event_with = [&](const std::string& labels) {
        auto subject = dead;
        subject.labels = labels;
        return recorded_daemon::event("die", name_of(w), subject);
    };
    daemon.send_event(event_with(labels_of(w, "elsewhere")));
    daemon.send_event(event_with(labels_of(engine(1, 4))));
    daemon.send_event(event_with(labels_of(engine(1, 6))));
    daemon.send_event(event_with(labels_of(engine(2, 5))));
    daemon.send_event(event_with("{}"));
    CHECK(reported().empty());
    daemon.send_event(event_with(labels_of(w)));
    CHECK(reported().size() == 1);
}

TEST_CASE_METHOD(
    docker_events,
    "trouble has the cause while the stream cannot be opened, and is empty afterwards") {
    daemon.when("GET", "/events", daemon_says::replies(500, R"({"message":"too many listeners"})"));
    REQUIRE(eventually([&] {
        return backend().trouble() == "Docker: cannot follow its events: too many listeners";
    }));
    const auto before = daemon.count("GET", "/events");
    REQUIRE(eventually([&] { return daemon.count("GET", "/events") > before + 2; }));
    daemon.be_usual();
    CHECK(eventually([&] { return !backend().trouble(); }));
    const auto lines = log_lines();
    CHECK(std::ranges::count(
              lines, "Docker is away; it is tried until it is back "
                     "reason=\"Docker: cannot follow its events: too many listeners\"") == 1);
    CHECK(eventually([&] { return std::ranges::count(log_lines(), "Docker is back") == 1; }));
}

TEST_CASE_METHOD(docker_events,
                 "a backend can be destroyed while its stream is open, being opened or away") {
    options.log = nullptr;
    listening();
    destroy_backend();

    daemon.when("GET", "/events", daemon_says::sends_and_hangs("HTTP/1.1 200 OK\r\n"));
    auto before = daemon.count("GET", "/events");
    backend();
    REQUIRE(eventually([&] { return daemon.count("GET", "/events") > before; }));
    destroy_backend();

    daemon.when("GET", "/version", daemon_says::sends_and_hangs(""));
    before = daemon.count("GET", "/version");
    backend();
    REQUIRE(eventually([&] { return daemon.count("GET", "/version") > before; }));
    destroy_backend();

    daemon.go_away();
    backend();
    destroy_backend();
}

TEST_CASE_METHOD(
    docker_events,
    "a container that is about to start when the stream is opened again has not ended") {
    listening();
    recorded_daemon::socket* held = nullptr;
    daemon_request request;
    std::promise<void> received;
    daemon.once("POST", "/containers/*/start", [&](auto& connection, const auto& asked) {
        held = &connection;
        request = asked;
        received.set_value();
    });
    const auto w = engine(); // outlives the call
    auto creating = io().start(backend().create(w));
    received.get_future().wait();
    daemon.cut_stream();
    REQUIRE(eventually([&] { return daemon.count("GET", "/containers/json") == 1; }));
    reopened();
    daemon.as_usual(*held, request);
    REQUIRE(io_threads::get(std::move(creating)));
    CHECK(reported().empty());
    daemon.end_container(name_of(engine()), 3);
    const auto ends = reported();
    REQUIRE(ends.size() == 1);
    CHECK(ends[0].exit_code == 3);
}

TEST_CASE_METHOD(
    docker_events,
    "a late event of a replaced container is not taken for the exit of its successor") {
    listening();
    REQUIRE(create(engine()));
    auto before = daemon.container_named(name_of(engine()));
    daemon.once("POST", "/containers/*/stop", recorded_daemon::replies(204, ""));
    REQUIRE(stop(engine().ref));
    daemon.remove_container(name_of(engine())); // its event is late
    REQUIRE(create(engine()));
    before.exit_code = 143;
    daemon.send_event(recorded_daemon::event("die", name_of(engine()), before));
    CHECK(reported().empty());
    CHECK(daemon.container_named(name_of(engine())).status == "running");
}

TEST_CASE_METHOD(docker_events, "an installation id may contain any character") {
    options.installation_id = R"(a"b\c)";
    listening();
    REQUIRE(list());
    CHECK(daemon.requests("GET", "/events").back().query.find("%3Da%5C%22b%5C%5Cc%22") !=
          std::string::npos);
    CHECK(daemon.requests("GET", "/volumes").back().query.find("%3Da%5C%22b%5C%5Cc%22") !=
          std::string::npos);
}

TEST_CASE_METHOD(docker_events, "ends are asked for by Docker's name and by Podman's") {
    listening();
    CHECK(daemon.requests("GET", "/events").back().query.find("%22die%22%2C%22died%22") !=
          std::string::npos);
}
