#include "catch.hpp"
#include "docker_answers.hpp"

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

using namespace roundhouse_tests;

namespace {

class docker_pauses : public docker_answers {
public:
    /// The pauses ("+") and resumes ("-") of the engine that were reported up to now. Reports keep
    /// the order of the events, so this waits for the report of another engine's pause.
    std::string reported() {
        const auto last = engine(99, ++markers_);
        if (!create(last)) throw std::runtime_error{"cannot create"};
        daemon.pause_container(name_of(last), true);
        const auto arrived = [&] {
            const auto all = pauses();
            return !all.empty() && all.back().ref == last.ref;
        };
        if (!eventually(arrived)) throw std::runtime_error{"a pause is not reported"};
        std::string changes;
        for (const auto& pause : pauses())
            if (pause.ref == engine().ref) changes += pause.paused ? '+' : '-';
        return changes;
    }
    void create_engine() {
        listening();
        REQUIRE(create(engine()));
    }
    void pause_from_outside(bool paused = true) {
        daemon.pause_container(name_of(engine()), paused);
    }

private:
    std::uint64_t markers_ = 0;
};

} // namespace

TEST_CASE_METHOD(docker_pauses, "a pause or a resume from outside is reported") {
    create_engine();
    pause_from_outside();
    CHECK(reported() == "+");
    pause_from_outside(false);
    CHECK(reported() == "+-");
    for (const auto& pause : pauses()) CHECK(pause.owner == engine().owner);
}

TEST_CASE_METHOD(docker_pauses, "a pause or a resume by the backend is not reported") {
    create_engine();
    REQUIRE(pause(engine().ref));
    CHECK(reported().empty());
    REQUIRE(resume(engine().ref));
    CHECK(reported().empty());
}

TEST_CASE_METHOD(docker_pauses, "a late event of the backend's own pause is not reported") {
    create_engine();
    REQUIRE(pause(engine().ref));
    const auto paused = daemon.container_named(name_of(engine()));
    REQUIRE(resume(engine().ref));
    daemon.send_event(recorded_daemon::event("pause", name_of(engine()), paused));
    CHECK(reported().empty());
}

TEST_CASE_METHOD(docker_pauses, "a resume from outside after a pause by the backend is reported") {
    create_engine();
    REQUIRE(pause(engine().ref));
    pause_from_outside(false);
    CHECK(reported() == "-");
}

TEST_CASE_METHOD(docker_pauses,
                 "a pause while the stream was broken is reported when it is open again") {
    create_engine();
    daemon.cut_stream();
    pause_from_outside();
    REQUIRE(eventually([&] { return daemon.stream_is_open() && !backend().trouble(); }));
    CHECK(reported() == "+");
}

TEST_CASE_METHOD(docker_pauses,
                 "a container that was paused before the start is expected to be paused") {
    put(engine(), "paused");
    listening();
    REQUIRE(list());
    CHECK(reported().empty());
    pause_from_outside(false);
    CHECK(reported() == "-");
}

TEST_CASE_METHOD(docker_pauses, "an event of an older generation is not reported") {
    create_engine();
    const auto older = daemon.container_named(name_of(engine()));
    REQUIRE(create(engine(1, 2)));
    daemon.send_event(recorded_daemon::event("pause", name_of(engine()), older));
    CHECK(reported().empty());
    CHECK(pauses().size() == 1);
}
