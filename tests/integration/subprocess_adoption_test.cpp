#include "../removal_log.hpp"
#include "../subprocess_fixture.hpp"
#include "catch.hpp"
#include "stranger.hpp"

#include <roundhouse/backend/subprocess/launch.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/backend/subprocess/take_over.hpp>

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <memory>
#include <set>

using namespace roundhouse_tests;

namespace {

/// Runs a backend in another process, which starts engines until it is killed. To be made before
/// the test has threads.
class other_program {
public:
    /// Starts the engines one after the other, and then waits.
    other_program(const rh::subprocess_options& options, std::vector<rh::workload> engines) {
        int ends[2];
        if (::pipe(ends) != 0) throw std::runtime_error{"pipe"};
        pid_ = ::fork();
        if (pid_ == 0) run(options, engines, ends[1]);
        ::close(ends[1]);
        started_ = ends[0];
    }
    ~other_program() {
        die();
        ::close(started_);
    }

    /// Waits until another engine has been started.
    bool wait_for_engine() const {
        char byte = 0;
        return ::read(started_, &byte, 1) == 1;
    }
    /// Kills the process by SIGKILL.
    void die() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }

private:
    [[noreturn]] static void run(const rh::subprocess_options& options,
                                 const std::vector<rh::workload>& engines, int report) {
        asio::io_context context;
        rh::subprocess_backend backend{context.get_executor(), options};
        for (const auto& w : engines) {
            bool done = false;
            asio::co_spawn(asio::make_strand(context), backend.create(w),
                           [&](const std::exception_ptr&, const rh::result<void>& made) {
                               done = made.has_value();
                           });
            while (!done) context.run_one();
            if (::write(report, "", 1) != 1) ::_exit(1);
        }
        for (;;) ::pause();
    }

    pid_t pid_ = 0;
    int started_ = -1;
};

/// Those of a fleet's engines of which a process runs.
std::set<rh::uuid> engines_in_process_table(const std::vector<rh::workload>& fleet) {
    std::set<rh::uuid> found;
    const auto table = sub::read_process_table({});
    REQUIRE(table);
    for (const auto& process : *table)
        for (const auto& w : fleet)
            if (process.engine == w.ref.engine_id && !process.stat.gone())
                found.insert(w.ref.engine_id);
    return found;
}

} // namespace

TEST_CASE_METHOD(subprocess_fixture, "a new backend lists the engines of an earlier one") {
    const auto up = create_new();
    const auto paused = create_new();
    const auto down = create_new();
    REQUIRE(wait(backend().pause(paused.ref)));
    REQUIRE(stop(down));
    const auto without_identity = fresh_id();
    const auto damaged = fresh_id();
    const auto engines = store.path() / "engines";
    std::filesystem::create_directory(engines / to_string(without_identity));
    const auto workloads = store.path() / "workloads";
    std::filesystem::create_directory(workloads / to_string(damaged));
    std::ofstream{workloads / to_string(damaged) / sub::identity_name}
        << "roundhouse-engine 1\nboot x\ngenera";
    for (const char* other : {"lost+found", "ABCDEF00-0000-4000-8000-000000000000"})
        std::filesystem::create_directory(engines / other);
    std::ofstream{engines / to_string(fresh_id())} << "no folder";
    reopen();

    const auto all = wait(backend().list());
    REQUIRE(all);
    CHECK(all->size() == 5);
    const auto find = [&](const rh::uuid& id) {
        for (const auto& each : *all)
            if (each.ref.engine_id == id) return each;
        return rh::found_workload{};
    };
    CHECK(find(up.ref.engine_id).ref == up.ref);
    CHECK(find(up.ref.engine_id).state == rh::workload_state::up);
    CHECK(find(paused.ref.engine_id).state == rh::workload_state::paused);
    CHECK(find(down.ref.engine_id).ref == down.ref);
    CHECK(find(down.ref.engine_id).state == rh::workload_state::down);
    for (const auto& id : {without_identity, damaged}) {
        CHECK(find(id).ref == rh::workload_ref{.engine_id = id, .generation = 0, .port = 0});
        CHECK(find(id).state == rh::workload_state::down);
    }
    CHECK(std::all_of(all->begin(), all->end(), [](const auto& each) { return each.ours; }));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "an engine whose orchestrator was killed is adopted, watched and stopped") {
    const auto w = new_workload();
    const auto v = new_workload();
    {
        const other_program orchestrator{options, {w, v}};
        REQUIRE(orchestrator.wait_for_engine());
        REQUIRE(orchestrator.wait_for_engine());
    }
    const auto pid = pid_of(w);
    CHECK(runs(pid));
    CHECK(listed(w)->state == rh::workload_state::up);
    CHECK(listed(w)->ref == w.ref);

    SECTION("its exit is reported, with no code known") {
        ::kill(pid, SIGKILL);
        REQUIRE(eventually([&] { return exits().size() == 1; }));
        CHECK(exits()[0].ref == w.ref);
        CHECK(exits()[0].owner == w.owner);
        CHECK_FALSE(exits()[0].exit_code);
        CHECK_FALSE(exits()[0].signal);
    }
    SECTION("a create of the same generation finds it running") {
        REQUIRE(create(w));
        CHECK(pid_of(w) == pid);
    }
    SECTION("a create of the next generation replaces it") {
        REQUIRE(create(next_generation(w)));
        CHECK_FALSE(runs(pid));
        CHECK(runs(pid_of(w)));
        CHECK(exits().empty());
    }
    REQUIRE(stop(w));
    CHECK_FALSE(runs(pid_of(w)));
    REQUIRE(wait(backend().destroy(v.ref)));
    REQUIRE(wait(backend().destroy(w.ref)));
}

TEST_CASE_METHOD(subprocess_fixture, "a stop finds an engine that was not listed before") {
    const auto w = new_workload();
    {
        const other_program orchestrator{options, {w}};
        REQUIRE(orchestrator.wait_for_engine());
    }
    const auto pid = pid_of(w);
    REQUIRE(stop(w));
    CHECK_FALSE(runs(pid));
    REQUIRE(wait(backend().destroy(w.ref)));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "the processes that an adopted leader leaves behind are ended") {
    const auto w = new_workload();
    run_shell(
        "setsid sleep 1003 & echo $! > escaped; sleep 1004 & echo $! > child; touch ready; wait");
    {
        const other_program orchestrator{options, {w}};
        REQUIRE(orchestrator.wait_for_engine());
        REQUIRE(eventually([&] { return has(w, "ready"); }));
    }
    REQUIRE(listed(w));
    ::kill(pid_of(w), SIGKILL);
    CHECK(eventually([&] { return !runs(pid_in(w, "escaped")) && !runs(pid_in(w, "child")); }));
    REQUIRE(wait(backend().destroy(w.ref)));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "the processes of a leader that ended unwatched are ended by stop and by create") {
    options.cgroup_root.clear(); // by which the list would have ended them
    const auto w = new_workload();
    run_shell("setsid sleep 1003 & echo $! > escaped; sleep 1004 & echo $! > child; "
              "env -i sleep 1005 & echo $! > bare; touch ready; wait");
    {
        const other_program orchestrator{options, {w}};
        REQUIRE(orchestrator.wait_for_engine());
        REQUIRE(eventually([&] { return has(w, "ready"); }));
    }
    const auto leader = pid_of(w);
    const auto escaped = pid_in(w, "escaped");
    const auto child = pid_in(w, "child");
    const auto bare = pid_in(w, "bare"); // found by its session, which has the child's id
    ::kill(leader, SIGKILL);
    REQUIRE(eventually([&] { return !runs(leader); }));
    CHECK(runs(escaped));
    CHECK(runs(child));
    CHECK(listed(w)->state == rh::workload_state::down);
    SECTION("stop") { REQUIRE(stop(w)); }
    SECTION("create") { REQUIRE(create(next_generation(w))); }
    CHECK_FALSE(runs(escaped));
    CHECK_FALSE(runs(child));
    CHECK_FALSE(runs(bare));
    CHECK(exits().empty());
    REQUIRE(wait(backend().destroy(w.ref)));
}

TEST_CASE_METHOD(subprocess_fixture, "a reused pid is neither adopted nor signalled") {
    const stranger other;
    auto identity = other.identity();
    SECTION("the present process started later") { --identity.start_time; }
    SECTION("the machine has been booted since then") {
        identity.boot_id = "00000000-0000-0000-0000-000000000000";
    }
    const auto w = new_workload();
    REQUIRE(wait(backend().list())); // so that there is a folder of workloads
    write_identity(workload_folder(w), identity);
    CHECK(listed(w)->state == rh::workload_state::down);
    CHECK(listed(w)->ref.generation == 3);
    CHECK(stop(w));
    CHECK_FALSE(wait(backend().pause(w.ref)));
    CHECK(runs(identity.pid));
    CHECK(create(next_generation(w)));
    CHECK(wait(backend().destroy(w.ref)));
    CHECK(runs(identity.pid));
    CHECK(sub::read_process_stat(identity.pid)->state == 'S');
}

TEST_CASE_METHOD(
    subprocess_fixture,
    "the process that an identity names is adopted, which shows that the test above is valid") {
    const stranger other;
    const auto w = new_workload();
    write_identity(workload_folder(w), other.identity());
    CHECK(listed(w)->state == rh::workload_state::up);
    CHECK(stop(w));
    CHECK_FALSE(runs(other.identity().pid));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "every process is found, at whatever moment the orchestrator is killed") {
    std::vector<rh::workload> fleet;
    for (int i = 0; i < 60; ++i) fleet.push_back(new_workload());
    run_shell("exec sleep 1000");
    for (std::size_t from = 0; from < fleet.size(); from += 20) {
        const std::vector<rh::workload> batch(fleet.begin() + static_cast<long>(from),
                                              fleet.begin() + static_cast<long>(from) + 20);
        other_program orchestrator{options, batch};
        // Killed while it starts another engine.
        for (std::size_t i = 0; i < 2 + from / 4; ++i) REQUIRE(orchestrator.wait_for_engine());
        orchestrator.die();
    }
    const auto all = wait(backend().list());
    REQUIRE(all);
    std::set<rh::uuid> up;
    for (const auto& each : *all)
        if (each.state == rh::workload_state::up) up.insert(each.ref.engine_id);
    CHECK(up.size() >= 20);
    // While a process calls exec, the kernel shows no environment of it.
    CHECK(eventually([&] { return engines_in_process_table(fleet) == up; }));
    for (const auto& w : fleet) CHECK(wait(backend().destroy(w.ref)));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "a launch that a killed orchestrator had begun is waited for, up to a bound") {
    const auto w = create_new();
    options.launch_timeout = rh::duration{50};
    close();
    const sub::descriptor lock{::open((store.path() / "launch-lock").c_str(), O_RDWR | O_CLOEXEC)};
    REQUIRE(lock);
    REQUIRE(::flock(lock.get(), LOCK_SH) == 0); // as a child does between fork and exec
    const auto refused = wait(backend().list());
    REQUIRE_FALSE(refused);
    CHECK(holds(refused.error().message, "a start begun earlier does not end"));

    options.launch_timeout = patience;
    reopen();
    auto pending = io->start(backend().list());
    CHECK(pending.wait_for(std::chrono::milliseconds{20}) == std::future_status::timeout);
    REQUIRE(::flock(lock.get(), LOCK_UN) == 0);
    CHECK(io_threads::get(std::move(pending)));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "an engine whose data folder is lost is found, and ended before the next") {
    const auto w = new_workload();
    {
        const other_program orchestrator{options, {w}};
        REQUIRE(orchestrator.wait_for_engine());
    }
    const auto pid = pid_of(w);
    std::filesystem::remove_all(folder(w));
    CHECK(listed(w)->state == rh::workload_state::up);
    REQUIRE(create(next_generation(w)));
    CHECK_FALSE(runs(pid));
    CHECK(wait(backend().destroy(w.ref)));
}

TEST_CASE_METHOD(subprocess_fixture, "a file in the engine's own folder names no process") {
    const stranger other;
    const auto w = create_new();
    write_identity(folder(w), other.identity());
    std::filesystem::copy_file(folder(w) / sub::identity_name,
                               folder(w) / sub::identity_name_0_1_0);
    reopen();
    CHECK(listed(w)->ref == w.ref);
    CHECK(stop(w));
    reopen();
    CHECK(wait(backend().destroy(w.ref)));
    CHECK(runs(other.identity().pid));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "identities that lead no session, or name one process twice, are not believed") {
    const auto w = create_new();
    const auto engine = sub::read_identity((workload_folder(w) / sub::identity_name).string());
    REQUIRE(engine);
    const auto thief = new_workload();
    auto identity = **engine;
    const stranger sleeper(0); // in the session of this process
    SECTION("another engine's process") {}
    SECTION("a process that leads no session") {
        identity.pid = sleeper.identity().pid;
        identity.start_time = sleeper.identity().start_time;
    }
    SECTION("this process") {
        identity.pid = ::getpid();
        identity.start_time = sub::read_process_stat(::getpid())->start_time;
    }
    write_identity(workload_folder(thief), identity);
    CHECK(listed(w)->state == rh::workload_state::up);
    CHECK(listed(thief)->state == rh::workload_state::down);
    CHECK(stop(thief));
    CHECK(wait(backend().destroy(thief.ref)));
    CHECK(runs(pid_of(w)));
    CHECK(runs(sleeper.identity().pid));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "what replaces the identity of an engine that runs is told once, by its kind") {
    const auto told = std::make_shared<removal_log>();
    options.log = [told](const rh::log_line& line) { told->sink()(line); };
    options.log_check_interval = rh::duration{10};
    const auto bystander = create_new();
    const auto w = create_new();
    const auto file = workload_folder(w) / sub::identity_name;
    const auto text = text_of(file);
    const auto pid = pid_of(w);
    std::filesystem::remove(file);
    std::string kind = "damaged file";
    SECTION("a link, also to a good one") {
        std::filesystem::create_symlink(workload_folder(bystander) / sub::identity_name, file);
        kind = "link";
    }
    SECTION("a folder") {
        std::filesystem::create_directory(file);
        kind = "folder";
    }
    SECTION("a pipe") {
        REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
        kind = "pipe";
    }
    SECTION("a part of it") { std::ofstream{file} << text.substr(0, text.size() / 2); }
    SECTION("another engine's") {
        std::filesystem::copy_file(workload_folder(bystander) / sub::identity_name, file);
    }
    const auto line = "stop and start the engine " + rh::to_string(w.ref.engine_id) + ' ' +
                      file.string() + ' ' + kind;
    CHECK(told->waits_for(line));
    CHECK(listed(w)->ref == w.ref); // it is watched
    CHECK(listed(w)->state == rh::workload_state::up);
    CHECK(told->count("in the place of an engine's identity") == 1);
    std::filesystem::remove(file);
    CHECK(create(next_generation(w)));
    CHECK_FALSE(runs(pid));
    CHECK(listed(w)->ref == next_generation(w).ref);
    CHECK(told->count("in the place of an engine's identity") == 1);
}

TEST_CASE_METHOD(subprocess_fixture,
                 "a link in place of a data folder is named, and removed alone") {
    const auto w = create_new();
    const auto bystander = create_new();
    REQUIRE(stop(w));
    std::filesystem::remove_all(folder(w));
    std::filesystem::create_directory_symlink(folder(bystander), folder(w));
    const auto refused = create(next_generation(w));
    REQUIRE_FALSE(refused);
    CHECK(holds(refused.error().message, folder(w).string() + " is a link"));
    CHECK(wait(backend().destroy(w.ref)));
    CHECK_FALSE(std::filesystem::is_symlink(folder(w)));
    CHECK(std::filesystem::is_directory(folder(bystander) / "tmp"));
    CHECK(runs(pid_of(bystander)));
}
