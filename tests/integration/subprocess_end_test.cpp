#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/post.hpp>
#include <signal.h>
#include <sys/prctl.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

using namespace roundhouse_tests;
using std::chrono::steady_clock;

namespace {

/// Children of a shell that leave its group, its session or its environment in every possible way.
/// The pid of each is in a file.
constexpr const char* family = R"(
set -m
sleep 1001 & echo $! > other-group
set +m
sleep 1002 & echo $! > same-group
setsid sh -c 'echo $$ > other-session; exec sleep 1003' &
setsid sh -c '(sh -c "echo \$\$ > orphan; exec sleep 1004" &)' &
env -i sleep 1005 & echo $! > without-environment
while ! [ -s other-session -a -s orphan ]; do sleep 0.01; done
touch ready
wait
)";

constexpr const char* relatives[] = {"other-group", "same-group", "other-session", "orphan",
                                     "without-environment"};

std::size_t open_descriptors() {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"})
        ++count;
    return count;
}

struct with_family : subprocess_fixture {
    with_family() { run_shell(family); }

    std::vector<pid_t> pids(const rh::workload& w) const {
        std::vector<pid_t> all{pid_of(w)};
        for (const char* each : relatives) all.push_back(pid_in(w, each));
        return all;
    }
    char state(pid_t pid) const {
        return rh::detail::subprocess::read_process_stat(pid).value().state;
    }
};

} // namespace

TEST_CASE_METHOD(subprocess_fixture,
                 "a data folder that cannot be moved to the trash is gone when the destroy ends") {
    const auto w = create_new();
    // Where these files are, there can be no folder for the trash.
    std::ofstream{store.path() / "trash"};
    std::ofstream{store.path() / "engines" / ".trash"};
    for (int i = 0; i < 100; ++i) std::ofstream{folder(w) / std::to_string(i)};
    REQUIRE(wait(backend().destroy(w.ref)));
    CHECK_FALSE(std::filesystem::exists(folder(w)));
    CHECK_FALSE(std::filesystem::exists(workload_folder(w)));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "an exit that was not asked for is reported once, with its code") {
    const auto [script, code,
                signal] = GENERATE(table<const char*, std::optional<int>, std::optional<int>>({
        {"exit 7", 7, {}},
        {"exit 0", 0, {}},
        {"kill -KILL $$", {}, SIGKILL},
        {"kill -SEGV $$", {}, SIGSEGV},
    }));
    run_shell(script);
    const auto w = create_new();
    REQUIRE(eventually([&] { return !exits().empty(); }));
    CHECK(exits()[0].ref == w.ref);
    CHECK(exits()[0].exit_code == code);
    CHECK(exits()[0].signal == signal);
    // Later operations do not report it again.
    CHECK(listed(w)->state == rh::workload_state::down);
    CHECK(stop(w));
    CHECK(exits().size() == 1);
}

TEST_CASE_METHOD(subprocess_fixture, "an exit is reported by an event, not by polling") {
    options.log_check_interval = std::chrono::hours{1}; // the only periodic work of the backend
    const auto w = create_new();
    ::kill(pid_of(w), SIGKILL);
    CHECK(eventually([&] { return !exits().empty(); }));
}

TEST_CASE_METHOD(with_family, "the exit of the leader ends all processes that it started") {
    const auto w = create_ready();
    const auto all = pids(w);
    ::kill(pid_of(w), SIGKILL);
    CHECK(eventually([&] { return std::none_of(all.begin(), all.end(), runs); }));
    CHECK(exits().size() == 1);
    CHECK(exits()[0].signal == SIGKILL);
}

TEST_CASE_METHOD(with_family, "a leader that exits before its children has crashed with code 0") {
    run_shell(std::string{family}.substr(0, std::string{family}.rfind("wait")));
    const auto w = create_new();
    REQUIRE(eventually([&] { return !exits().empty(); }));
    CHECK(exits()[0].exit_code == 0);
    for (const char* each : relatives) {
        CAPTURE(each);
        CHECK(eventually([&] { return !runs(pid_in(w, each)); }));
    }
}

TEST_CASE_METHOD(with_family,
                 "a stop ends all processes that an engine started, in any group or session") {
    const auto w = create_ready();
    const auto all = pids(w);
    CHECK(std::all_of(all.begin(), all.end(), runs));
    REQUIRE(stop(w));
    CHECK(std::none_of(all.begin(), all.end(), runs));
    CHECK(exits().empty());
    CHECK(listed(w)->state == rh::workload_state::down);
}

TEST_CASE_METHOD(subprocess_fixture, "a stop lets an engine end by itself, and keeps its data") {
    run_shell("trap 'echo saved > data; exit 0' TERM; touch ready; while :; do sleep 0.05; done");
    const auto w = create_ready();
    REQUIRE(stop(w));
    CHECK(text(w, "data") == "saved\n");
    CHECK(exits().empty());
}

TEST_CASE_METHOD(subprocess_fixture,
                 "processes that outlive their leader may use the rest of the grace") {
    run_shell("(trap '' TERM; touch ready; sleep 0.3; echo saved > data) & trap 'exit 0' TERM; "
              "while :; do wait; done");
    const auto w = create_ready();
    REQUIRE(stop(w));
    CHECK(text(w, "data") == "saved\n");
}

TEST_CASE_METHOD(subprocess_fixture,
                 "an engine that ignores SIGTERM is killed at the end of its grace") {
    run_shell(
        "trap '' TERM; setsid sh -c 'echo $$ > escaped; touch ready; while :; do sleep 1; done' & "
        "while :; do sleep 1; done");
    const auto w = create_ready();
    const auto leader = pid_of(w);
    const auto escaped = pid_in(w, "escaped");
    const auto begin = steady_clock::now();
    REQUIRE(stop(w, rh::duration{300}));
    CHECK(steady_clock::now() - begin >= rh::duration{300});
    CHECK_FALSE(runs(leader));
    CHECK_FALSE(runs(escaped));
    CHECK(exits().empty());
}

TEST_CASE_METHOD(subprocess_fixture,
                 "an engine without a process or a folder can be stopped and destroyed") {
    const auto w = new_workload();
    CHECK(stop(w));
    CHECK(wait(backend().destroy(w.ref)));
    REQUIRE(create(w));
    CHECK(stop(w));
    CHECK(stop(w));
    CHECK(wait(backend().destroy(w.ref)));
    CHECK(wait(backend().destroy(w.ref)));
}

TEST_CASE_METHOD(subprocess_fixture, "a stop of any generation ends the present one") {
    auto w = create_new();
    const auto pid = pid_of(w);
    w.ref.generation = 77;
    REQUIRE(stop(w));
    CHECK_FALSE(runs(pid));
}

TEST_CASE_METHOD(with_family,
                 "pause stops and resume continues every process, and both can be repeated") {
    const auto w = create_ready();
    const auto all = pids(w);
    for (int i = 0; i < 2; ++i) {
        REQUIRE(wait(backend().pause(w.ref)));
        for (const auto pid : all) CHECK(state(pid) == 'T');
        CHECK(listed(w)->state == rh::workload_state::paused);
    }
    for (int i = 0; i < 2; ++i) {
        REQUIRE(wait(backend().resume(w.ref)));
        for (const auto pid : all) CHECK(state(pid) != 'T');
        CHECK(listed(w)->state == rh::workload_state::up);
    }
    CHECK(exits().empty());
}

TEST_CASE_METHOD(subprocess_fixture, "an engine that keeps starting programs is paused too") {
    // A shell that is stopped between vfork and exec keeps its parent from stopping.
    run_shell("touch ready; while :; do /bin/true; done");
    const auto w = create_ready();
    for (int i = 0; i < 20; ++i) {
        REQUIRE(wait(backend().pause(w.ref)));
        CHECK(listed(w)->state == rh::workload_state::paused);
        REQUIRE(wait(backend().resume(w.ref)));
    }
}

TEST_CASE_METHOD(subprocess_fixture,
                 "an engine without a process can be neither paused nor resumed") {
    const auto w = create_new();
    REQUIRE(stop(w));
    const auto paused = wait(backend().pause(w.ref));
    REQUIRE_FALSE(paused);
    CHECK(holds(paused.error().message, "no process runs it"));
    CHECK_FALSE(wait(backend().resume(w.ref)));
}

TEST_CASE_METHOD(subprocess_fixture, "a paused engine can end by itself when it is stopped") {
    run_shell("trap 'echo saved > data; exit 0' TERM; touch ready; while :; do sleep 0.05; done");
    const auto w = create_ready();
    REQUIRE(wait(backend().pause(w.ref)));
    REQUIRE(stop(w));
    CHECK(text(w, "data") == "saved\n");
}

TEST_CASE_METHOD(subprocess_fixture, "the exit of a paused engine is reported") {
    const auto w = create_new();
    REQUIRE(wait(backend().pause(w.ref)));
    ::kill(pid_of(w), SIGKILL);
    CHECK(eventually([&] { return exits().size() == 1; }));
}

TEST_CASE_METHOD(with_family, "a destroy ends the engine and removes its folder with all files") {
    const auto w = create_ready();
    const auto all = pids(w);
    namespace fs = std::filesystem;
    fs::create_directories(folder(w) / "a/b/c");
    std::ofstream{folder(w) / "a/b/c/file"} << "x";
    fs::create_symlink(store.path(), folder(w) / "a/link");
    fs::permissions(folder(w) / "a/b", fs::perms::owner_read | fs::perms::owner_exec);
    fs::permissions(folder(w) / "a", fs::perms::none);
    REQUIRE(wait(backend().destroy(w.ref)));
    CHECK_FALSE(fs::exists(folder(w)));
    CHECK(fs::exists(store.path() / "engines"));
    CHECK(std::none_of(all.begin(), all.end(), runs));
    CHECK_FALSE(listed(w));
    CHECK(exits().empty());
}

TEST_CASE_METHOD(subprocess_fixture,
                 "a cancelled stop keeps no descriptor, and the next stop ends the engine") {
    run_shell("trap '' TERM; touch ready; while :; do sleep 1; done");
    const auto w = create_ready();
    const auto pid = pid_of(w);
    REQUIRE(listed(w));
    const auto before = open_descriptors();
    asio::cancellation_signal cancel;
    const auto strand = asio::make_strand(io->context());
    auto pending = asio::co_spawn(strand, backend().stop(w.ref, std::chrono::hours{1}),
                                  asio::bind_cancellation_slot(cancel.slot(), asio::use_future));
    // At its first wait.
    asio::post(strand, [&] { cancel.emit(asio::cancellation_type::terminal); });
    CHECK_THROWS_AS(io_threads::get(std::move(pending)), std::system_error);
    CHECK(eventually([&] { return open_descriptors() <= before; }));
    CHECK(runs(pid));
    CHECK(stop(w, rh::duration{10}));
    CHECK_FALSE(runs(pid));
}

TEST_CASE_METHOD(
    subprocess_fixture,
    "the grace of the last stop is used, also if an earlier one has ended the leader") {
    run_shell("(trap '' TERM; touch ready; while :; do sleep 1; done) & echo $! > child; "
              "trap 'exit 0' TERM; while :; do wait; done");
    const auto w = create_ready();
    const auto leader = pid_of(w);
    asio::cancellation_signal cancel;
    const auto strand = asio::make_strand(io->context());
    auto pending = asio::co_spawn(strand, backend().stop(w.ref, std::chrono::hours{1}),
                                  asio::bind_cancellation_slot(cancel.slot(), asio::use_future));
    REQUIRE(eventually([&] { return !runs(leader); }));
    asio::post(strand, [&] { cancel.emit(asio::cancellation_type::terminal); });
    CHECK_THROWS_AS(io_threads::get(std::move(pending)), std::system_error);
    CHECK(runs(pid_in(w, "child")));
    CHECK(stop(w, rh::duration{10}));
    CHECK_FALSE(runs(pid_in(w, "child")));
    CHECK(exits().empty());
}

TEST_CASE_METHOD(subprocess_fixture,
                 "operations that are cancelled at any moment keep no descriptor") {
    const auto w = create_new();
    const auto before = open_descriptors();
    for (int delay_us = 0; delay_us < 3000; delay_us += 100) {
        asio::cancellation_signal cancel;
        const auto strand = asio::make_strand(io->context());
        auto pending = asio::co_spawn(
            strand, backend().pause(w.ref),
            asio::bind_cancellation_slot(cancel.slot(), asio::use_future));
        asio::steady_timer timer{strand, std::chrono::microseconds{delay_us}};
        std::promise<void> emitted;
        timer.async_wait([&](const std::error_code&) {
            cancel.emit(asio::cancellation_type::terminal);
            emitted.set_value();
        });
        try {
            static_cast<void>(io_threads::get(std::move(pending)));
        } catch (const std::system_error& problem) {
            CHECK(problem.code() == asio::error::operation_aborted);
        }
        // The signal and the timer must outlive their use on the strand.
        asio::post(strand, [&] { timer.cancel(); });
        emitted.get_future().wait();
        std::promise<void> drained;
        asio::post(strand, [&] { drained.set_value(); });
        drained.get_future().wait();
        REQUIRE(wait(backend().resume(w.ref)));
    }
    CHECK(eventually([&] { return open_descriptors() <= before; }));
    CHECK(runs(pid_of(w)));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "a destroyed backend leaves its engines running and reports nothing more") {
    const auto w = create_new();
    const auto pid = pid_of(w);
    close();
    CHECK(runs(pid));
    ::kill(pid, SIGKILL);
    CHECK(eventually([&] { return !runs(pid); }));
    reopen();
    CHECK(listed(w)->state == rh::workload_state::down);
    CHECK(exits().empty());
}

TEST_CASE_METHOD(subprocess_fixture, "a backend can be destroyed by its exit handler") {
    io = std::make_unique<io_threads>(2);
    auto destroyed = std::make_unique<rh::subprocess_backend>(io->executor(), options);
    const auto w = new_workload();
    REQUIRE(io->wait(destroyed->create(w)));
    std::promise<void> gone;
    destroyed->on_exit([&](const rh::workload_exit&) {
        destroyed.reset();
        gone.set_value();
    });
    ::kill(pid_of(w), SIGKILL);
    CHECK(gone.get_future().wait_for(patience) == std::future_status::ready);
    CHECK(wait(backend().destroy(w.ref)));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "in a program that ignores SIGCHLD an exit is reported without a code") {
    const auto before = ::signal(SIGCHLD, SIG_IGN);
    const auto w = create_new();
    ::kill(pid_of(w), SIGKILL);
    CHECK(eventually([&] { return exits().size() == 1; }));
    CHECK_FALSE(exits().at(0).signal);
    CHECK(wait(backend().destroy(w.ref)));
    ::signal(SIGCHLD, before);
}

namespace {

/// Engines of the server's user without control groups, of which this process inherits what they
/// leave.
struct engine_with_orphans : subprocess_fixture {
    engine_with_orphans() {
        options.uids = rh::uid_range{};
        options.ends_orphans = true;
        options.cgroup_root.clear();
    }
    ~engine_with_orphans() { ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); }
};

} // namespace

TEST_CASE_METHOD(engine_with_orphans, "what an engine leaves behind is ended by who inherits it") {
    run_shell(
        "(/usr/bin/setsid /bin/sh -c 'echo $$ > kept.new; mv kept.new kept; exec sleep 1000' &); "
        "(env -i /usr/bin/setsid /bin/sh -c 'trap \"\" TERM; echo $$ > left.new; "
        "mv left.new left; while :; do sleep 1000; done' &); touch ready; exec sleep 1000");
    const auto w = create_ready();
    REQUIRE(eventually([&] { return has(w, "kept") && has(w, "left"); }));
    const pid_t kept = std::stoi(text(w, "kept"));
    const pid_t left = std::stoi(text(w, "left"));
    SECTION("while the engine runs, unless it can be told that it is the engine's") {
        CHECK(eventually([&] { return !runs(left); }));
        CHECK(runs(kept));
        REQUIRE(stop(w));
    }
    SECTION("at a stop") { REQUIRE(stop(w, rh::duration{100})); }
    SECTION("at a destroy") { REQUIRE(wait(backend().destroy(w.ref))); }
    CHECK_FALSE(runs(left));
    CHECK_FALSE(runs(kept));
}
