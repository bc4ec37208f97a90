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
    /// Waits until everything that was sent so far has been looked at: the pause of one more engine
    /// comes behind it. Returns what was reported before: "+" for each pause, "-" for each
    /// resumption.
    std::string reported() {
        const auto last = engine(99, ++markers_);
        if (!create(last)) throw std::runtime_error{"cannot create"};
        daemon.pause_container(name_of(last), true);
        const auto came = [&] {
            const auto all = pauses();
            return !all.empty() && all.back().ref == last.ref;
        };
        if (!eventually(came)) throw std::runtime_error{"a pause is not reported"};
        std::string out;
        for (const auto& one : pauses())
            if (one.ref == engine().ref) out += one.paused ? '+' : '-';
        return out;
    }
    void make() {
        listening();
        REQUIRE(create(engine()));
    }
    void somebody_pauses(bool pauses = true) { daemon.pause_container(name_of(engine()), pauses); }

private:
    std::uint64_t markers_ = 0;
};

} // namespace

TEST_CASE_METHOD(docker_pauses, "a container that somebody pauses or resumes is reported") {
    make();
    somebody_pauses();
    CHECK(reported() == "+");
    somebody_pauses(false);
    CHECK(reported() == "+-");
    for (const auto& pause : pauses()) CHECK(pause.owner == engine().owner);
}

TEST_CASE_METHOD(docker_pauses, "what we pause and resume ourselves is not reported") {
    make();
    REQUIRE(pause(engine().ref));
    CHECK(reported().empty());
    REQUIRE(resume(engine().ref));
    CHECK(reported().empty());
}

TEST_CASE_METHOD(docker_pauses, "the event of our own pause that comes after its end is no news") {
    make();
    REQUIRE(pause(engine().ref));
    const auto paused = daemon.container_named(name_of(engine()));
    REQUIRE(resume(engine().ref));
    daemon.send_event(recorded_daemon::event("pause", name_of(engine()), paused));
    CHECK(reported().empty());
}

TEST_CASE_METHOD(docker_pauses, "what somebody does to a container that we have paused is news") {
    make();
    REQUIRE(pause(engine().ref));
    somebody_pauses(false);
    CHECK(reported() == "-");
}

TEST_CASE_METHOD(docker_pauses,
                 "what was paused while nobody listened is found when the stream is open again") {
    make();
    daemon.cut_stream();
    somebody_pauses();
    REQUIRE(eventually([&] { return daemon.stream_is_open() && !backend().trouble(); }));
    CHECK(reported() == "+");
}

TEST_CASE_METHOD(docker_pauses, "a container that was paused before the start is expected so") {
    put(engine(), "paused");
    listening();
    REQUIRE(list());
    CHECK(reported().empty());
    somebody_pauses(false);
    CHECK(reported() == "-");
}

TEST_CASE_METHOD(docker_pauses, "a container of somebody else, or an older one, is not reported") {
    make();
    const auto older = daemon.container_named(name_of(engine()));
    REQUIRE(create(engine(1, 2)));
    daemon.send_event(recorded_daemon::event("pause", name_of(engine()), older));
    CHECK(reported().empty());
    CHECK(pauses().size() == 1);
}
