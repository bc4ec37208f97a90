#include "catch.hpp"
#include "docker_answers.hpp"

#include <future>
#include <map>
#include <string>
#include <utility>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using daemon_says = recorded_daemon;

namespace {

constexpr auto inspected = "/containers/*/json";
constexpr auto listed = "/containers/json";

std::string version(const std::string& newest, const std::string& oldest) {
    return R"({"Version":"x","ApiVersion":")" + newest + R"(","MinAPIVersion":")" + oldest +
           R"(","Components":null})";
}

/// An entry of a list of containers.
std::string listed_container(const std::string& labels, const std::string& state) {
    return R"({"Id":"11f396cc1a9d","Names":["/engine-1"],"Image":"tiny:1","Ports":[],"Labels":)" +
           labels + R"(,"State":")" + state + R"(","Status":"Up","Mounts":[]})";
}

std::string frame(const std::string& text) {
    return std::string{"\1\0\0\0\0\0\0", 7} + static_cast<char>(text.size()) + text;
}

} // namespace

TEST_CASE_METHOD(docker_answers, "an engine is created, paused, stopped and removed") {
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

TEST_CASE_METHOD(docker_answers,
                 "a refusal's message has the failed step and the daemon's message") {
    daemon.when("GET", "/containers/*/json",
                daemon_says::replies(500, R"({"message":"the disk is gone"})"));
    CHECK(failure_of(stop(engine().ref)) == "Docker: cannot inspect a container: the disk is gone");
}

TEST_CASE_METHOD(docker_answers, "a refusal in plain text has that text in its message") {
    daemon.when("GET", "/containers/*/json",
                daemon_says::sends("HTTP/1.1 500 No\r\nContent-Type: text/plain\r\n"
                                   "Content-Length: 18\r\n\r\nbad gateway: \x01late"));
    CHECK_THAT(failure_of(stop(engine().ref)),
               Contains("cannot inspect a container: HTTP 500: \"bad gateway: ?late\""));
}

TEST_CASE_METHOD(docker_answers, "a refusal without a text has the status in its message") {
    for (const auto* const body : {"", "{}", "null", R"({"message":null})", R"({"message":""})"}) {
        daemon.when("GET", "/containers/*/json", daemon_says::replies(500, body));
        CHECK_THAT(failure_of(stop(engine().ref)),
                   Contains("cannot inspect a container: HTTP 500"));
    }
}

TEST_CASE_METHOD(docker_answers,
                 "a daemon's truncated answer is a failure, and the message says so") {
    for (const auto* const half :
         {"HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"Id\":",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{\"Id\":"}) {
        daemon.when("GET", inspected, daemon_says::sends(half));
        CHECK_THAT(failure_of(stop(engine().ref)),
                   Contains(daemon.path()) && Contains("in the middle of its answer"));
    }
    daemon.when("GET", inspected, daemon_says::sends(""));
    CHECK_THAT(failure_of(stop(engine().ref)), Contains("without an answer"));
}

TEST_CASE_METHOD(docker_answers, "a call whose answer stalls fails at the timeout of calls") {
    options.call_timeout = rh::duration{200};
    for (const auto* const half :
         {"", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"}) {
        daemon.when("GET", inspected, daemon_says::sends_and_hangs(half));
        CHECK(failure_of(stop(engine().ref)) == daemon.path() + ": no answer within 200 ms");
    }
}

TEST_CASE_METHOD(docker_answers, "a stop may take the timeout of calls and its grace") {
    const auto w = engine();
    put(w, "running");
    options.call_timeout = rh::duration{200};
    daemon.when("POST", "/containers/*/stop", daemon_says::sends_and_hangs(""));
    const rh::duration grace{700};
    CHECK(failure_of(io().wait(backend().stop(w.ref, grace))) ==
          daemon.path() + ": no answer within 1200 ms");
    CHECK(daemon.requests("POST", "/containers/*/stop").front().query == "t=1");
}

TEST_CASE_METHOD(docker_answers, "an answer may arrive byte by byte") {
    daemon.put_volume(volume_of(engine()), labels_of(engine()));
    const auto drip = [&](daemon_says::socket& connection, const daemon_request& request) {
        const auto text = daemon.usual_answer(request);
        for (const char& c : text) daemon_says::send(connection, {&c, 1});
    };
    daemon.when("GET", "/volumes", drip);
    daemon.when("GET", listed, drip);
    const auto found = list();
    REQUIRE(found);
    CHECK(found->size() == 1);
}

TEST_CASE_METHOD(docker_answers, "a body may have chunks, a length, or neither") {
    const auto body = '[' + listed_container(labels_of(engine()), "running") + ']';
    const auto pieces = chunk(body.substr(0, 7)) + chunk(body.substr(7, 200)) +
                        chunk(body.substr(207));
    for (const auto& answer : {reply(200, body), chunked_head() + pieces + chunk(""),
                               "HTTP/1.0 200 OK\r\n\r\n" + body}) {
        daemon.when("GET", listed, daemon_says::sends(answer));
        const auto found = list();
        REQUIRE(found);
        REQUIRE(found->size() == 1);
        CHECK(found->front().ref == engine().ref);
    }
}

TEST_CASE_METHOD(docker_answers, "an answer that is no HTTP is a failure that names the socket") {
    for (const auto* const bytes : {"\x15\x03\x01 not a daemon", "{\"Id\":\"1\"}", "200 OK\r\n\r\n",
                                    "HTTP/1.1 abc\r\n\r\n"}) {
        daemon.when("GET", inspected, daemon_says::sends(bytes));
        CHECK_THAT(failure_of(stop(engine().ref)), Contains(daemon.path() + ": "));
    }
}

TEST_CASE_METHOD(docker_answers,
                 "an answer that is no JSON is a failure, and the message says so") {
    const auto no_json = Contains("Docker's answer is no JSON");
    for (const auto* const body : {"", "<html></html>", "{\"Id\":", "{\"Id\":\"\xFF\"}"}) {
        daemon.when("GET", inspected, daemon_says::replies(200, body));
        CHECK_THAT(failure_of(stop(engine().ref)), no_json);
        daemon.when("GET", listed, daemon_says::replies(200, body));
        CHECK_THAT(failure_of(list()), no_json);
        daemon.when("GET", "/volumes/*", daemon_says::replies(200, body));
        CHECK_THAT(failure_of(create(engine())), no_json);
    }
}

TEST_CASE_METHOD(docker_answers, "a daemon without a readable version is a failure") {
    daemon.when("GET", "/version", daemon_says::replies(200, "nonsense"));
    CHECK_THAT(failure_of(list()), Contains("Docker's answer is no JSON"));
    daemon.when("GET", "/version", daemon_says::replies(503, R"({"message":"starting"})"));
    CHECK(failure_of(list()) == "Docker: cannot tell its version: starting");
    daemon.be_usual();
    CHECK(list());
}

TEST_CASE_METHOD(docker_answers, "a daemon older than 20.10 is refused") {
    for (const auto* const old : {"1.40", "1.9", "1.", "1.x", "1.99999999999", "", "nonsense"}) {
        daemon.when("GET", "/version", daemon_says::replies(200, version(old, "1.12")));
        CHECK_THAT(failure_of(list()), Contains("Docker is too old: it knows API 1.") &&
                                           Contains("1.41 is needed (Docker 20.10 or newer)"));
    }
    CHECK(daemon.count("GET", "/volumes") == 0);
    CHECK(eventually(
        [&] { return backend().trouble().value_or("").starts_with("Docker is too old"); }));
}

TEST_CASE_METHOD(docker_answers, "the oldest API version that both sides know is used") {
    struct {
        std::string newest, oldest, used;
    } const daemons[] = {{"1.41", "1.12", "v1.41"},
                         {"1.47", "1.24", "v1.41"},
                         {"1.52", "1.44", "v1.44"},
                         {"1.120", "1.99", "v1.99"},
                         {"1.47", "1.", "v1.41"}};
    for (const auto& versions : daemons) {
        destroy_backend();
        daemon.when("GET", "/version",
                    daemon_says::replies(200, version(versions.newest, versions.oldest)));
        listening();
        REQUIRE(list());
        CHECK(daemon.requests("GET", "/volumes").back().version == versions.used);
        CHECK(daemon.requests("GET", "/events").back().version == versions.used);
        CHECK(daemon.requests("GET", "/version").back().version.empty());
        daemon.cut_stream();
    }
}

TEST_CASE_METHOD(docker_answers,
                 "without a daemon every operation fails, and trouble has the cause") {
    options.advertise = rh::docker_advertise::network;
    daemon.go_away();
    const auto w = engine();
    const auto refused = Contains(daemon.path() + ": cannot connect: ");
    CHECK_THAT(failure_of(create(w)), refused);
    CHECK_THAT(failure_of(stop(w.ref)), refused);
    CHECK_THAT(failure_of(pause(w.ref)), refused);
    CHECK_THAT(failure_of(resume(w.ref)), refused);
    CHECK_THAT(failure_of(destroy(w.ref)), refused);
    CHECK_THAT(failure_of(list()), refused);
    CHECK_THAT(failure_of(logs(w.ref)), refused);
    const std::string key = "sk-1";
    const rh::sha256_digest next{};
    CHECK_THAT(failure_of(io().wait(backend().swap_key(w.ref, key, next))), refused);
    CHECK_THAT(failure_of(io().wait(backend().probe(w.ref, patience))), refused);
    CHECK(eventually([&] {
        return holds(backend().trouble().value_or(""), daemon.path() + ": cannot connect: ");
    }));

    daemon.listen();
    CHECK(eventually([&] { return !backend().trouble(); }));
    CHECK(create(w));
}

TEST_CASE_METHOD(docker_answers, "the refusal of each operation names the failed step") {
    const auto w = engine();
    put(w, "running");
    const auto no = daemon_says::replies(500, R"({"message":"no"})");
    daemon.when("POST", "/containers/*/pause", no);
    CHECK(failure_of(pause(w.ref)) == "Docker: cannot pause: no");
    daemon.when("POST", "/containers/*/stop", no);
    CHECK(failure_of(stop(w.ref)) == "Docker: cannot stop " + name_of(w) + ": no");
    CHECK(failure_of(destroy(w.ref)) == "Docker: cannot stop " + name_of(w) + ": no");
    put(w, "paused");
    daemon.when("POST", "/containers/*/unpause", no);
    CHECK(failure_of(resume(w.ref)) == "Docker: cannot unpause: no");
    put(w, "exited");
    daemon.once("DELETE", "/containers/*", no);
    CHECK(failure_of(destroy(w.ref)) == "Docker: cannot remove " + name_of(w) + ": no");
    daemon.put_volume(volume_of(w), labels_of(w));
    daemon.when("DELETE", "/volumes/*", no);
    CHECK(failure_of(destroy(w.ref)) == "Docker: cannot remove a volume: no");
    put(w, "exited");
    daemon.when("GET", "/containers/*/logs", no);
    CHECK(failure_of(logs(w.ref)) == "Docker: cannot read the output: no");
    daemon.when("GET", listed, no);
    CHECK(failure_of(list()) == "Docker: cannot list containers: no");
    daemon.when("GET", "/volumes", no);
    CHECK(failure_of(list()) == "Docker: cannot list volumes: no");
}

TEST_CASE_METHOD(docker_answers, "each operation can be repeated") {
    const auto w = engine();
    CHECK(stop(w.ref));
    CHECK(destroy(w.ref));
    REQUIRE(create(w));
    REQUIRE(create(w));
    CHECK(daemon.count("POST", "/containers/*/start") == 1);
    CHECK(resume(w.ref));
    REQUIRE(pause(w.ref));
    REQUIRE(pause(w.ref));
    CHECK(daemon.count("POST", "/containers/*/pause") == 1);
    REQUIRE(stop(w.ref)); // of a paused container
    CHECK(daemon.container_named(name_of(w)).status == "exited");
    REQUIRE(stop(w.ref));
    CHECK(daemon.count("POST", "/containers/*/stop") == 1);
    CHECK_THAT(failure_of(pause(w.ref)), Contains(name_of(w) + " does not run"));
    CHECK(destroy(w.ref));
    CHECK(destroy(w.ref));
}

TEST_CASE_METHOD(docker_answers,
                 "the container of another installation is neither stopped nor removed") {
    const auto w = engine();
    put(w, "running", "elsewhere");
    daemon.put_volume(volume_of(w), labels_of(w, "elsewhere"));
    CHECK(stop(w.ref));
    CHECK_THAT(failure_of(pause(w.ref)), Contains("does not run"));
    CHECK(logs(w.ref) == std::string{});
    CHECK(destroy(w.ref));
    CHECK(daemon.container_named(name_of(w)).status == "running");
    CHECK(daemon.has_volume(volume_of(w)));
}

TEST_CASE_METHOD(docker_answers, "a discarded engine leaves its volume only") {
    const auto w = engine();
    REQUIRE(create(w));
    CHECK(io().wait(backend().discard(w.ref, rh::duration{0})));
    CHECK_FALSE(daemon.has_container(name_of(w)));
    CHECK(daemon.has_volume(volume_of(w)));
    CHECK(io().wait(backend().discard(w.ref, rh::duration{0})));
}

TEST_CASE_METHOD(docker_answers, "a list has the containers and volumes of this installation") {
    put(engine(1, 4), "running");
    put(engine(2, 5), "paused");
    put(engine(3, 6), "exited");
    daemon.put_volume(volume_of(engine(3)), labels_of(engine(3)));
    daemon.put_volume(volume_of(engine(4)), labels_of(engine(4)));
    const auto found = list();
    REQUIRE(found);
    std::map<rh::uuid, rh::found_workload> by_engine;
    for (const auto& workload : *found) by_engine[workload.ref.engine_id] = workload;
    REQUIRE(by_engine.size() == 4);
    const auto of = [&](unsigned number) { return by_engine.at(engine(number).ref.engine_id); };
    CHECK(of(1).ref == engine(1, 4).ref);
    CHECK(of(1).state == rh::workload_state::up);
    CHECK(of(1).owner->user_id == "ann");
    CHECK(of(2).state == rh::workload_state::paused);
    CHECK(of(3).ref == engine(3, 6).ref);
    CHECK(of(3).state == rh::workload_state::down);
    CHECK(of(4).ref.generation == 0);
    CHECK(of(4).state == rh::workload_state::down);
}

TEST_CASE_METHOD(docker_answers, "a list asks for this installation's labels only") {
    options.installation_id = "a b&c";
    REQUIRE(list());
    const auto filters =
        "filters=%7B%22label%22%3A%5B%22dev.roundhouse.instance%3Da%20b%26c%22%5D%7D";
    CHECK(daemon.requests("GET", "/volumes").back().query == filters);
    CHECK(daemon.requests("GET", listed).back().query == std::string{"all=1&"} + filters);
}

TEST_CASE_METHOD(docker_answers,
                 "entries of other installations, and malformed ones, are ignored in a list") {
    const auto labels = labels_of(engine(1));
    const auto strange =
        R"(null,7,"x",[],{},{"Labels":null},{"Labels":[]},{"Labels":{}},)"
        R"({"Labels":{"dev.roundhouse.instance":"here"}},{"State":"running","Labels":)" +
        labels_of(engine(2), "elsewhere") + "},";
    daemon.when(
        "GET", listed,
        daemon_says::replies(200, '[' + strange + listed_container(labels, "running") + ']'));
    daemon.when("GET", "/volumes",
                daemon_says::replies(200, R"({"New":{"a":[null]},"Volumes":[)" + strange +
                                              R"({"Labels":)" + labels + "}]}"));
    const auto found = list();
    REQUIRE(found);
    REQUIRE(found->size() == 1);
    CHECK(found->front().ref == engine(1).ref);
}

TEST_CASE_METHOD(
    docker_answers,
    "a missing list of volumes is an empty one, a missing list of containers is a failure") {
    for (const auto* const none : {"{}", "null", R"({"Volumes":null})", R"({"Volumes":{}})"}) {
        daemon.when("GET", "/volumes", daemon_says::replies(200, none));
        const auto found = list();
        REQUIRE(found);
        CHECK(found->empty());
    }
    for (const auto* const none : {"{}", "null", "7"}) {
        daemon.when("GET", listed, daemon_says::replies(200, none));
        CHECK_THAT(failure_of(list()), Contains("Docker's list of containers is no array"));
    }
}

TEST_CASE_METHOD(docker_answers, "an inspection without an id or a name is a failure") {
    for (const auto* const body : {"{}", "null", "[]", R"({"Config":null,"State":7,"Id":null})",
                                   R"({"Config":{"Labels":null}})", R"({"Labels":null})"}) {
        daemon.when("GET", inspected, daemon_says::replies(200, body));
        const auto none = Contains("Docker's inspection of");
        CHECK_THAT(failure_of(stop(engine().ref)), none);
        daemon.when("GET", "/volumes/*", daemon_says::replies(200, body));
        CHECK_THAT(failure_of(create(engine())), none);
    }
}

TEST_CASE_METHOD(docker_answers,
                 "a backend can be destroyed while its calls wait, which then end") {
    const auto w = engine();
    put(w, "running");
    options.call_timeout = rh::duration{200};
    for (const auto* const path : {"/networks/create", "/containers/*/stop"})
        daemon.when("POST", path, daemon_says::sends_and_hangs("HTTP/1.1 200 OK\r\n"));
    for (const auto* const path : {"/volumes", "/containers/*/logs"})
        daemon.when("GET", path, daemon_says::sends_and_hangs(""));
    std::vector<std::future<rh::result<void>>> calls;
    calls.push_back(io().start(backend().create(w)));
    calls.push_back(io().start(backend().stop(w.ref, rh::duration{0})));
    auto listing = io().start(backend().list());
    auto reading = io().start(backend().logs(w.ref, 10));
    REQUIRE(eventually([&] {
        return daemon.count("POST", "/networks/create") == 1 &&
               daemon.count("POST", "/containers/*/stop") == 1 &&
               daemon.count("GET", "/volumes") == 1 &&
               daemon.count("GET", "/containers/*/logs") == 1;
    }));
    destroy_backend();
    const auto silent = Contains("no answer within 200 ms");
    for (auto& call : calls) CHECK_THAT(failure_of(io_threads::get(std::move(call))), silent);
    CHECK_THAT(failure_of(io_threads::get(std::move(listing))), silent);
    CHECK_THAT(failure_of(io_threads::get(std::move(reading))), silent);
}

TEST_CASE_METHOD(docker_answers, "a call goes on after its backend has been destroyed") {
    const auto w = engine();
    std::promise<void> go_on;
    daemon.once("POST", "/networks/create",
                [&, released = go_on.get_future().share()](auto& connection, const auto& request) {
                    released.wait();
                    daemon.as_usual(connection, request);
                });
    auto creating = io().start(backend().create(w));
    REQUIRE(eventually([&] { return daemon.count("POST", "/networks/create") == 1; }));
    destroy_backend();
    go_on.set_value();
    CHECK(io_threads::get(std::move(creating)));
    CHECK(daemon.container_named(name_of(w)).status == "running");
}

TEST_CASE_METHOD(docker_answers, "a backend and its threads can be destroyed while a call waits") {
    const auto w = engine();
    daemon.when("POST", "/networks/create", daemon_says::sends_and_hangs(""));
    auto creating = io().start(backend().create(w));
    REQUIRE(eventually([&] { return daemon.count("POST", "/networks/create") == 1; }));
}

TEST_CASE_METHOD(docker_answers, "logs have no frames, and as many lines as were asked for") {
    put(engine(), "running");
    daemon.when("GET", "/containers/*/logs",
                daemon_says::sends(chunked_head() + chunk(frame("first\n") + frame("sec")) +
                                   chunk(frame("ond\n")) + chunk("")));
    const auto lines = logs(engine().ref, 17);
    REQUIRE(lines);
    CHECK(*lines == "first\nsecond\n");
    CHECK(daemon.requests("GET", "/containers/*/logs").front().query ==
          "stdout=1&stderr=1&tail=17");
}

TEST_CASE_METHOD(docker_answers, "logs are cut at their beginning, and empty without a container") {
    options.log_tail_bytes = 5;
    CHECK(logs(engine().ref).value_or("failed").empty());
    put(engine(), "exited");
    daemon.when("GET", "/containers/*/logs",
                daemon_says::replies(200, frame("first\n") + frame("last\n")));
    CHECK(logs(engine().ref).value_or("failed") == "last\n");
}

TEST_CASE_METHOD(docker_answers, "boot logs are the output of the generation's own container") {
    put(engine(1, 2), "exited");
    daemon.when("GET", "/containers/*/logs", daemon_says::replies(200, frame("of the second\n")));
    const auto boot_logs = [&](std::uint64_t generation) {
        return io().wait(backend().boot_logs(engine(1, generation).ref, 17)).value();
    };
    CHECK(boot_logs(2) == "of the second\n");
    CHECK(daemon.requests("GET", "/containers/*/logs").back().query == "stdout=1&stderr=1&tail=17");
    CHECK(boot_logs(3).empty()); // its container could not be made
    CHECK(boot_logs(1).empty());
    CHECK(io().wait(backend().boot_logs(engine(2).ref, 17)).value().empty());
}

TEST_CASE_METHOD(docker_answers, "an engine without an address on the network cannot be probed") {
    options.advertise = rh::docker_advertise::network;
    const auto w = engine();
    const auto probed = [&] { return failure_of(io().wait(backend().probe(w.ref, patience))); };
    CHECK_THAT(probed(), Contains(name_of(w) + " does not exist"));
    daemon.when("GET", inspected,
                daemon_says::replies(200, R"({"Id":"1","Config":{"Labels":)" + labels_of(w) +
                                              R"(},"NetworkSettings":{"Networks":null}})"));
    CHECK_THAT(probed(), Contains(name_of(w) + " has no address"));
}
