#include "../removal_log.hpp"
#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/backend/subprocess/rights.hpp>
#include <roundhouse/backend/subprocess/setup.hpp>
#include <roundhouse/backend/subprocess/uids.hpp>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

namespace fs = std::filesystem;
namespace rh = roundhouse;
namespace sub = roundhouse::detail::subprocess;
using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

uid_t owner(const fs::path& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) throw std::runtime_error{path.string()};
    return status.st_uid;
}

/// Engines that have users of their own, and nothing else that isolates them.
struct engine_with_user : subprocess_fixture {
    engine_with_user() {
        options.isolation = rh::isolation_mode::none;
        options.uids = rh::default_engine_uids;
    }

    pid_t pid_in(const rh::workload& w, const std::string& file) {
        return std::stoi(text(w, file));
    }
};

/// Writes the pid of a process that has left the engine's session with an empty environment, that
/// its parent has left too, and that ignores SIGTERM.
constexpr auto leave_for_good =
    "(env -i /usr/bin/setsid /bin/sh -c 'trap \"\" TERM; echo $$ > left.new; mv left.new left; "
    "while :; do sleep 1000; done' &); until [ -s left ]; do sleep 0.01; done; touch ready; "
    "exec sleep 1000";

bool may_use_uids() { return sub::why_unusable(rh::default_engine_uids).empty(); }
constexpr auto not_root = "only root can give engines users of their own";

} // namespace

TEST_CASE_METHOD(engine_with_user, "an engine with a user of its own reaches nothing of others") {
    if (!may_use_uids()) ROUNDHOUSE_SKIP(not_root);
    std::ofstream(store.path() / "data.mdb") << "SECRET";
    fs::permissions(store.path() / "data.mdb", fs::perms::owner_read | fs::perms::owner_write);
    run_shell("echo SECRET > private; echo $$ > pid; touch ready; exec sleep 1000");
    const auto neighbour = create_ready();
    const auto other = std::to_string(pid_in(neighbour, "pid"));
    run_shell("echo line >> /dev/stdout; { cat ../../data.mdb ../*/private " +
              folder(neighbour).string() +
              "/private; ls .. ../../workloads && echo LISTED; "
              "cat /proc/$PPID/environ /proc/$PPID/maps && echo READ; "
              "cat /proc/" +
              other +
              "/environ && echo READ; "
              "kill -0 $PPID && echo SIGNALLED; kill -0 " +
              other +
              " && echo SIGNALLED; "
              "echo x > ../../lock2 && echo WRITTEN; grep Cap /proc/self/status; id -u; id -G; "
              "touch \"$TMPDIR/file\" && echo done; } > out 2>&1; "
              "touch ready; exec sleep 1000");
    reopen();
    const auto w = create_ready();
    const auto shown = text(w, "out");
    for (const auto* const leak : {"SECRET", "LISTED", "READ", "SIGNALLED", "WRITTEN"})
        CHECK_THAT(shown, !Contains(leak));
    CHECK(owner(log_of(w)) == ::geteuid());
    CHECK_THAT(shown, Contains("CapPrm:\t0000000000000000") && Contains("done"));
    const auto uid = owner(folder(w));
    CHECK(rh::default_engine_uids.contains(uid));
    CHECK(uid != owner(folder(neighbour)));
    CHECK_THAT(shown, Contains('\n' + std::to_string(uid) + '\n' + std::to_string(uid) + '\n'));
    CHECK(owner(folder(w) / "tmp" / "file") == uid);
    CHECK(owner(workload_folder(w)) == ::geteuid());
    CHECK(without_marks(text_of(log_of(w))) == "line\n");
    CHECK(backend().isolation() == std::vector<std::string>{"uid"});
}

TEST_CASE_METHOD(engine_with_user, "an engine keeps its user until it is destroyed") {
    if (!may_use_uids()) ROUNDHOUSE_SKIP(not_root);
    const auto w = create_new();
    const auto uid = owner(folder(w));
    REQUIRE(stop(w));
    REQUIRE(create(next_generation(w)));
    CHECK(owner(folder(w)) == uid);
    options.uids = rh::uid_range{.low = 1'900'000'000, .high = 1'900'000'001}; // the last is kept
    reopen();
    REQUIRE(create(next_generation(next_generation(w))));
    CHECK(owner(folder(w)) == uid); // of another range
    const auto last = create_new();
    CHECK(owner(folder(last)) == 1'900'000'000);
    const auto refused = create(new_workload());
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().message, Contains("ORCH_ENGINE_UIDS"));
    REQUIRE(wait(backend().destroy(last.ref)));
    CHECK(owner(folder(create_new())) == 1'900'000'000);
}

TEST_CASE_METHOD(engine_with_user,
                 "a data folder of the server's own user is given to the engine") {
    if (!may_use_uids()) ROUNDHOUSE_SKIP(not_root);
    options.uids = rh::uid_range{};
    run_shell("mkdir -p a/b && echo mine > a/b/file; mkdir .hidden; ln -s /etc/hostname link; "
              "touch ready; exec sleep 1000");
    const auto w = create_ready();
    CHECK(owner(folder(w)) == ::geteuid());
    REQUIRE(stop(w));
    const auto outside = store.path() / "outside";
    std::ofstream(outside) << "text";
    fs::create_hard_link(outside, folder(w) / "named twice");
    fs::create_symlink(outside, folder(w) / "link of the store");
    std::ofstream(folder(w) / "of somebody else") << "text";
    REQUIRE(::chown((folder(w) / "of somebody else").c_str(), 12345, 12345) == 0);
    fs::remove(folder(w) / "ready");

    REQUIRE(::mkfifo((folder(w) / "pipe").c_str(), 0600) == 0);
    const auto told = std::make_shared<removal_log>();
    options.log = [told](const rh::log_line& line) { told->sink()(line); };
    options.uids = rh::default_engine_uids;
    run_shell(
        "cat a/b/file > out && echo more >> a/b/file && touch .hidden/x ready; exec sleep 1000");
    reopen();
    REQUIRE(create(next_generation(w)));
    REQUIRE(eventually([&] { return has(w, "ready"); }));
    CHECK(text(w, "out") == "mine\n");
    const auto uid = owner(folder(w));
    CHECK(rh::default_engine_uids.contains(uid));
    CHECK(owner(folder(w) / "a" / "b" / "file") == uid);
    CHECK(owner(outside) == ::geteuid());
    CHECK(owner(folder(w) / "of somebody else") == 12345);
    CHECK(owner(folder(w) / "pipe") == ::geteuid());
    CHECK(told->count(rh::to_string(w.ref.engine_id) + ' ' + folder(w).string() +
                      " file with several names: 1, link: 2, of another user: 1, pipe: 1") == 1);
}

TEST_CASE_METHOD(engine_with_user, "all that an engine has started ends with it, wherever it is") {
    if (!may_use_uids()) ROUNDHOUSE_SKIP(not_root);
    run_shell(leave_for_good);
    const auto w = create_ready();
    const auto left = pid_in(w, "left");
    REQUIRE(runs(left));
    SECTION("at a stop") { REQUIRE(stop(w, rh::duration{200})); }
    SECTION("at a destroy") { REQUIRE(wait(backend().destroy(w.ref))); }
    SECTION("at a destroy by a later server, after the engine's own process has ended") {
        const auto identity = sub::read_identity((workload_folder(w) / "identity").string());
        close();
        REQUIRE((identity && *identity));
        REQUIRE(::kill((*identity)->pid, SIGKILL) == 0);
        REQUIRE(eventually([&] { return !runs((*identity)->pid); }));
        REQUIRE(runs(left));
        REQUIRE(wait(backend().destroy(w.ref)));
    }
    CHECK_FALSE(runs(left));
}

TEST_CASE_METHOD(engine_with_user, "an engine that starts processes without end is ended") {
    if (!may_use_uids()) ROUNDHOUSE_SKIP(not_root);
    options.isolation = rh::isolation_mode::automatic; // for the limit
    options.processes = 50;
    run_shell("cat > spread <<'END'\nwhile :; do setsid /bin/sh ./spread & done\nEND\n"
              "/bin/sh ./spread 2>/dev/null & touch ready; exec sleep 1000");
    const auto w = create_ready();
    REQUIRE(stop(w, rh::duration{50}));
    const auto uid = owner(folder(w));
    const auto table = sub::read_process_table(rh::default_engine_uids);
    REQUIRE(table);
    for (const auto& process : *table) CHECK((process.uid != uid || process.stat.gone()));
}

TEST_CASE_METHOD(engine_with_user, "an engine that is in no list of processes is ended") {
    if (!may_use_uids()) ROUNDHOUSE_SKIP(not_root);
    if (!fs::exists("/usr/bin/perl")) ROUNDHOUSE_SKIP("no perl");
    // Each process starts the next one and ends, so that a look at /proc may miss all of them.
    run_shell("perl -e '$SIG{TERM} = \"IGNORE\"; use POSIX; while (1) { my $p = fork; "
              "if ($p) { POSIX::_exit(0) } POSIX::setsid(); open(F, \">>hops\"); print F \"x\"; "
              "close F; select undef, undef, undef, 0.0004 }' & "
              "until [ -s hops ]; do sleep 0.01; done; touch ready; exec sleep 1000");
    const auto w = create_ready();
    REQUIRE(stop(w, rh::duration{50}));
    const auto hops = fs::file_size(folder(w) / "hops");
    for (int look = 0; look < 50; ++look) // each takes longer than a hop
        REQUIRE(sub::read_process_table({}));
    CHECK(fs::file_size(folder(w) / "hops") == hops);
}

TEST_CASE_METHOD(engine_with_user, "what a user leaves in shared memory goes with its engine") {
    if (!may_use_uids()) ROUNDHOUSE_SKIP(not_root);
    const auto name = "/dev/shm/" + rh::to_string(fresh_id());
    run_shell("echo SECRET > " + name + "; mkdir " + name + ".d; touch " + name +
              ".d/file ready; exec sleep 1000");
    const auto w = create_ready();
    REQUIRE(fs::exists(name));
    REQUIRE(wait(backend().destroy(w.ref)));
    CHECK_FALSE(fs::exists(name));
    CHECK_FALSE(fs::exists(name + ".d"));
}

TEST_CASE_METHOD(engine_with_user, "what an engine's user may not use is named") {
    if (!may_use_uids()) ROUNDHOUSE_SKIP(not_root);
    const temporary_folder closed;
    const auto script = closed.path() / "engine.sh";
    std::ofstream(script) << "exec sleep 1000\n";
    fs::permissions(closed.path(), fs::perms::owner_all);
    options.command = {"/bin/sh", script.string()};
    CHECK_THROWS_WITH(reopen(), Contains(script.string()));
    options.uids.reset();
    options.isolation = rh::isolation_mode::automatic;
    CHECK_THAT(backend().why_no_uids(), Contains(script.string()));
    CHECK(owner(folder(create_new())) == ::geteuid());
}

TEST_CASE("a server that may not use the users of its engines does not start") {
    if (!may_use_uids()) ROUNDHOUSE_SKIP(not_root);
    const temporary_folder store;
    fs::permissions(store.path(), fs::perms::owner_all | fs::perms::others_exec);
    const auto engines = store.path() / "engines";
    const auto folder = engines / rh::to_string(fresh_id());
    fs::create_directories(folder);
    const auto is_refused = [&] {
        const pid_t pid = ::fork();
        if (pid == 0) {
            if (!sub::become(65534)) ::_exit(2);
            try {
                sub::check_owners(engines.string());
                ::_exit(1);
            } catch (const std::invalid_argument& refused) {
                ::_exit(holds(refused.what(), folder.string()) ? 0 : 3);
            }
        }
        int status = 0;
        ::waitpid(pid, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    };
    CHECK(is_refused() == 0); // root's
    REQUIRE(::chown(folder.c_str(), 65534, 65534) == 0);
    CHECK(is_refused() == 1);
    sub::check_owners(engines.string()); // root may use all
}
