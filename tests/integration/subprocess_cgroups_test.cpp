#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/disk.hpp>
#include <roundhouse/backend/subprocess/engine_cgroups.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fs = std::filesystem;
namespace rh = roundhouse;
namespace sub = roundhouse::detail::subprocess;
using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

/// Engines of the server's user, which have control groups where this machine allows it.
struct engine_with_group : subprocess_fixture {
    engine_with_group() {
        options.uids = rh::uid_range{};
        fs::create_directories(store.path() / "engines"); // by which the groups are named
    }

    /// The groups that the backend uses with the present options.
    [[nodiscard]] sub::engine_cgroups groups() const {
        return sub::find_cgroups(options, (store.path() / "engines").string());
    }
};

/// Writes the pid of a process that has left the engine's session with an empty environment, that
/// its parent has left too, and that ignores SIGTERM.
constexpr auto leave_for_good =
    "(env -i /usr/bin/setsid /bin/sh -c 'trap \"\" TERM; echo $$ > left.new; mv left.new left; "
    "while :; do sleep 1000; done' &); until [ -s left ]; do sleep 0.01; done; touch ready; "
    "exec sleep 1000";

constexpr auto no_groups = "this process may make no control groups";
constexpr auto no_controller = "this process may make no control groups with that controller";

/// A shell that enters a group by itself and starts two others there, of which one starts further
/// ones all the time.
class busy_group {
public:
    explicit busy_group(int entrance) {
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, entrance, 3);
        std::string shell = "sh";
        std::string flag = "-c";
        std::string script = "printf 0 >&3 && { sleep 1000 & while :; do /bin/true; done & wait; }";
        char* const arguments[] = {shell.data(), flag.data(), script.data(), nullptr};
        const int failed = ::posix_spawn(&pid_, "/bin/sh", &actions, nullptr, arguments, environ);
        ::posix_spawn_file_actions_destroy(&actions);
        if (failed != 0) throw std::runtime_error{"no shell"};
    }
    ~busy_group() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    pid_t pid_ = 0;
};

/// The groups of engines in hierarchies of one version only.
struct own_groups {
    explicit own_groups(bool unified)
        : all{"/sys/fs/cgroup",
              lines_of_version(unified),
              "roundhouse-test-" + rh::to_string(fresh_id()),
              {.processes = 100}} {}
    ~own_groups() { all.remove_own(); }

    static std::string lines_of_version(bool unified) {
        std::string out;
        for (const auto& line : lines_of(text_of("/proc/self/cgroup")))
            if (line.starts_with("0::") == unified) out += line + '\n';
        return out;
    }

    void check_end_of_all() const {
        const auto engine = fresh_id();
        {
            const auto entrances = all.make(engine);
            REQUIRE(entrances);
            const auto& file = entrances->file ? entrances->file : entrances->others[0];
            const busy_group busy{file.get()};
            REQUIRE(eventually([&] { return all.processes_of(engine).size() >= 3; }));
            CHECK(all.engine_of(busy.pid()) == engine);
            CHECK(eventually([&] {
                all.kill(engine);
                return all.processes_of(engine).empty();
            }));
            CHECK_FALSE(runs(busy.pid()));
        }
        CHECK(eventually([&] { return all.remove(engine); }));
        CHECK_FALSE(all.has(engine));
    }

    sub::engine_cgroups all;
};

} // namespace

TEST_CASE_METHOD(engine_with_group, "an engine that uses up its memory ends out of memory") {
    options.memory_bytes = 64 * 1024 * 1024;
    if (!groups().hold(&sub::cgroup_controllers::memory)) ROUNDHOUSE_SKIP(no_controller);
    run_shell("exec tail /dev/zero"); // which keeps a line that does not end
    const auto w = create_new();
    REQUIRE(eventually([&] { return !exits().empty(); }));
    CHECK(exits()[0].ref == w.ref);
    CHECK(exits()[0].signal == SIGKILL);
    CHECK(exits()[0].out_of_memory);
    SECTION("and one that is ended otherwise does not") {
        run_shell("exec sleep 1000");
        reopen();
        REQUIRE(create(next_generation(w)));
        ::kill(pid_of(w), SIGKILL);
        REQUIRE(eventually([&] { return exits().size() == 2; }));
        CHECK(exits()[1].signal == SIGKILL);
        CHECK_FALSE(exits()[1].out_of_memory);
    }
}

TEST_CASE_METHOD(engine_with_group,
                 "what has left its engine's session, parents and environment ends with it") {
    if (groups().empty()) ROUNDHOUSE_SKIP(no_groups);
    run_shell(leave_for_good);
    const auto w = create_ready();
    const auto left = pid_in(w, "left");
    const auto leader = pid_of(w);
    REQUIRE(runs(left));
    CHECK(std::ranges::count(backend().isolation(), "cgroup") == 1);
    SECTION("at a stop") { REQUIRE(stop(w, rh::duration{200})); }
    SECTION("at a destroy") { REQUIRE(wait(backend().destroy(w.ref))); }
    SECTION("at a crash") {
        ::kill(leader, SIGKILL);
        REQUIRE(eventually([&] { return !runs(left); }));
    }
    SECTION("at a stop by a later server, which has adopted the engine") {
        reopen();
        CHECK(listed(w)->state == rh::workload_state::up);
        REQUIRE(runs(left));
        REQUIRE(stop(w, rh::duration{200}));
    }
    SECTION("at a destroy by a later server, after the engine's own process has ended") {
        close();
        ::kill(leader, SIGKILL);
        REQUIRE(eventually([&] { return !runs(leader); }));
        REQUIRE(runs(left));
        REQUIRE(wait(backend().destroy(w.ref)));
    }
    CHECK_FALSE(runs(left));
    REQUIRE(wait(backend().destroy(w.ref))); // after a crash it waits for the end of the watch
    CHECK_FALSE(groups().has(w.ref.engine_id));
}

TEST_CASE_METHOD(engine_with_group, "an engine without an end to its processes meets its ceiling") {
    options.processes = 30;
    if (!groups().hold(&sub::cgroup_controllers::pids)) ROUNDHOUSE_SKIP(no_controller);
    run_shell("(while :; do sleep 1000 & done) 2>/dev/null; : > ready; exec sleep 1000");
    const auto w = create_ready(); // once the shell cannot fork any more
    const auto found = groups().processes_of(w.ref.engine_id).size();
    CHECK(found > 10);
    CHECK(found <= 30);
    REQUIRE(stop(w, rh::duration{50}));
    CHECK(groups().processes_of(w.ref.engine_id).empty());
    CHECK_FALSE(groups().has(w.ref.engine_id));
}

TEST_CASE_METHOD(engine_with_group, "an engine's processors have a ceiling in its control group") {
    options.cpus = 0.25;
    if (!groups().hold(&sub::cgroup_controllers::cpu)) ROUNDHOUSE_SKIP(no_controller);
    CHECK(backend().unheld_ceilings().empty());
    const auto w = create_new();
    CHECK(groups().processes_of(w.ref.engine_id).size() == 1);
    CHECK_THAT(text_of("/proc/" + std::to_string(pid_of(w)) + "/cgroup"),
               Contains(rh::to_string(w.ref.engine_id)));
}

TEST_CASE_METHOD(engine_with_group, "an engine's disk has a ceiling in its control group") {
    options.io_bytes_per_s = 1024 * 1024;
    if (sub::disk_of(store.path().string()) == 0) ROUNDHOUSE_SKIP("the store is on no disk");
    if (!groups().hold(&sub::cgroup_controllers::io)) ROUNDHOUSE_SKIP(no_controller);
    CHECK(backend().unheld_ceilings().empty());
    const auto w = create_new();
    const auto grouped = lines_of(text_of("/proc/" + std::to_string(pid_of(w)) + "/cgroup"));
    CHECK(std::ranges::any_of(grouped, [&](const std::string& line) {
        return (line.starts_with("0::") || holds(line, "blkio")) &&
               holds(line, rh::to_string(w.ref.engine_id));
    }));
}

TEST_CASE_METHOD(engine_with_group, "a ceiling of a disk holds nowhere for a store on none") {
    if (sub::disk_of("/dev/shm") != 0 || ::access("/dev/shm", W_OK) != 0)
        ROUNDHOUSE_SKIP("/dev/shm is no tmpfs that this user may write to");
    options.store_path = "/dev/shm/roundhouse-test-" + rh::to_string(fresh_id());
    options.io_bytes_per_s = 1024 * 1024;
    CHECK(backend().unheld_ceilings() == std::vector<std::string>{"io_bytes_per_s"});
    close();
    fs::remove_all(options.store_path);
    options.store_path = store.path();
}

TEST_CASE_METHOD(engine_with_group, "a start that fails leaves no control group") {
    if (groups().empty()) ROUNDHOUSE_SKIP(no_groups);
    const auto w = new_workload();
    SECTION("before the child") { options.command = {"/no/such/program"}; }
    SECTION("in the child") {
        const auto file = store.path() / "no program";
        std::ofstream{file} << "\x7f";
        fs::permissions(file, fs::perms::owner_all);
        options.command = {file.string()};
    }
    REQUIRE_FALSE(create(w));
    CHECK_FALSE(groups().has(w.ref.engine_id));
}

TEST_CASE_METHOD(engine_with_group,
                 "what is in a control group that is no engine's is ended by a later server") {
    if (groups().empty()) ROUNDHOUSE_SKIP(no_groups);
    const auto lost = create_new();
    const auto kept = create_new();
    const auto lost_pid = pid_of(lost);
    const auto kept_pid = pid_of(kept);
    close();
    fs::remove_all(folder(lost));
    fs::remove_all(workload_folder(lost));
    REQUIRE(runs(lost_pid));
    CHECK_FALSE(listed(lost)); // by a new backend
    CHECK_FALSE(runs(lost_pid));
    CHECK_FALSE(groups().has(lost.ref.engine_id));
    CHECK(runs(kept_pid));
    CHECK(listed(kept)->state == rh::workload_state::up);
}

TEST_CASE_METHOD(engine_with_group, "without a folder of control groups engines have none") {
    options.cgroup_root.clear();
    options.memory_bytes = 64 * 1024 * 1024;
    const auto w = create_new();
    CHECK(std::ranges::count(backend().isolation(), "cgroup") == 0);
    CHECK(std::ranges::count(backend().unheld_ceilings(), "memory_bytes") == 1);
    CHECK_THAT(text_of("/proc/" + std::to_string(pid_of(w)) + "/cgroup"),
               !Contains(rh::to_string(w.ref.engine_id)));
}

TEST_CASE_METHOD(engine_with_group, "a start warns of control groups that cannot be entered") {
    if (!holds(text_of("/proc/self/cgroup"), "0::")) ROUNDHOUSE_SKIP("no cgroups of version 2");
    const temporary_folder root; // stands for the hierarchy
    const auto of_store = "roundhouse-" + sub::store_mark((store.path() / "engines").string());
    const auto tried = root.path() / of_store / rh::to_string(rh::uuid{});
    fs::create_directories(tried); // where no file is by which to enter
    for (const auto& file : {root.path() / "cgroup.subtree_control",
                             root.path() / of_store / "cgroup.subtree_control", tried / "pids.max"})
        std::ofstream{file};
    std::ofstream{root.path() / "cgroup.controllers"} << "pids\n";
    options.cgroup_root = root.path().string();
    std::mutex mutex;
    std::vector<std::string> causes;
    options.log = [&](const rh::log_line& line) {
        const std::lock_guard lock{mutex};
        for (const auto& field : line.fields)
            if (field.name == "cause") causes.emplace_back(std::get<std::string_view>(field.value));
    };
    CHECK(std::ranges::count(backend().isolation(), "cgroup") == 0);
    CHECK(std::ranges::count(backend().unheld_ceilings(), "processes") == 1);
    const auto w = create_new(); // which has no group
    REQUIRE(wait(backend().destroy(w.ref)));
    close();
    options.log = {};
    const std::lock_guard lock{mutex};
    REQUIRE(causes.size() == 1);
    CHECK_THAT(causes.front(), Contains(tried.string()));
}

TEST_CASE("an engine's process begins its life in its control group of version 2") {
    const own_groups groups{true};
    if (groups.all.empty()) ROUNDHOUSE_SKIP(no_groups);
#ifndef ROUNDHOUSE_CLONE_INTO_CGROUP
    ROUNDHOUSE_SKIP("not on this processor, or with this sanitizer");
#else
    const auto engine = fresh_id();
    {
        const auto entrances = groups.all.make(engine);
        REQUIRE(entrances);
        char program[] = "/bin/sleep";
        char time[] = "1000";
        char* const arguments[] = {program, time, nullptr};
        const auto pid = sub::start_child_in(entrances->folder.get(), [&]() noexcept {
            ::execv(program, arguments);
            return 127;
        });
        if (pid < 0) {
            REQUIRE(groups.all.remove(engine));
            ROUNDHOUSE_SKIP("the kernel, or this container, has no clone3 with CLONE_INTO_CGROUP");
        }
        CHECK(groups.all.engine_of(pid) == engine);
        CHECK(groups.all.processes_of(engine).size() == 1);
        ::kill(pid, SIGKILL);
        CHECK(sub::wait_for_child(pid).si_status == SIGKILL);
    }
    CHECK(eventually([&] { return groups.all.remove(engine); }));
#endif
}

TEST_CASE("all of a control group of version 2 are ended by the kernel") {
    const own_groups groups{true};
    if (groups.all.empty()) ROUNDHOUSE_SKIP(no_groups);
    groups.check_end_of_all();
}

TEST_CASE("all of a control group of version 1 are ended, also if they start others") {
    const own_groups groups{false};
    if (!groups.all.hold(&sub::cgroup_controllers::pids)) ROUNDHOUSE_SKIP(no_controller);
    groups.check_end_of_all();
}
