#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <cmath>
#include <set>

using namespace roundhouse_tests;

namespace {

/// Whether this program has no child that has ended and not been reaped.
bool no_zombies() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0;
}

std::string field(const std::string& status, const std::string& name) {
    for (const auto& line : lines_of(status))
        if (line.starts_with(name + ":\t")) return line.substr(name.size() + 2);
    return {};
}

/// Changes signals and descriptors of this program, which engines must not inherit.
class unruly_program {
public:
    unruly_program() : inheritable_{::open("/dev/zero", O_RDONLY)} {
        before_ = ::signal(SIGUSR1, SIG_IGN);
        sigset_t blocked;
        ::sigemptyset(&blocked);
        ::sigaddset(&blocked, SIGUSR2);
        ::pthread_sigmask(SIG_BLOCK, &blocked, &mask_before_); // threads made later inherit it
    }
    ~unruly_program() {
        ::signal(SIGUSR1, before_);
        ::pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
        ::close(inheritable_);
    }

private:
    int inheritable_;
    void (*before_)(int) = SIG_DFL;
    sigset_t mask_before_{};
};

} // namespace

TEST_CASE_METHOD(subprocess_fixture,
                 "an engine has the environment of its contract and nothing else") {
    ::setenv("ROUNDHOUSE_TEST_SECRET", "not for engines", 1);
    options.environment = {
        {"PATH", "/usr/bin:/bin"}, {"PASSED", "a b=c"}, {"HOME", "/elsewhere"}, {"EMPTY", ""}};
    options.catalog_dir = "/catalog";
    options.command = {"env"};
    auto w = new_workload();
    w.owner.user_id = "=a b= $HOME \"'\\ \xC3\xA4\xE2\x80\xA8 ENGINE_ID=x";
    w.product_slug = "demo";
    REQUIRE(create(w));
    REQUIRE(eventually([&] { return exits().size() == 1; }));
    ::unsetenv("ROUNDHOUSE_TEST_SECRET");

    const auto printed = lines_of(without_marks(text_of(log_of(w))));
    const auto data = folder(w).string();
    CHECK(std::set<std::string>(printed.begin(), printed.end()) ==
          std::set<std::string>{
              "ENGINE_ID=" + to_string(w.ref.engine_id),
              "ENGINE_KEY_HASH=" + rh::to_hex(w.key_hash), "ENGINE_HOST=127.0.0.1",
              "ENGINE_USER_ID=" + w.owner.user_id, "ENGINE_PRODUCT=demo", "ENGINE_VERSION=v1",
              "ENGINE_PORT=" + std::to_string(w.ref.port),
              "SQLITE_DB_PATH=" + data + "/brain.sqlite", "CATALOG_DIR=/catalog", "HOME=" + data,
              "TMPDIR=" + data + "/tmp", "PATH=/usr/bin:/bin", "PASSED=a b=c", "EMPTY="});
    CHECK(printed.size() == 14);
}

TEST_CASE_METHOD(subprocess_fixture, "an engine without a catalog has no CATALOG_DIR") {
    options.command = {"env"};
    const auto w = create_new();
    REQUIRE(eventually([&] { return exits().size() == 1; }));
    CHECK_FALSE(holds(text_of(log_of(w)), "CATALOG_DIR"));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "an engine starts in its folder, in a session of its own, and inherits nothing") {
    const unruly_program unruly;
    run_shell("ls -l /proc/self/fd > fds; pwd > pwd; umask > umask; cat /proc/$$/stat > stat; "
              "echo to-stderr >&2; echo to-stdout; touch ready; exec sleep 1000");
    const auto w = create_ready();
    const auto pid = pid_of(w);

    const auto stat = rh::detail::subprocess::parse_process_stat(text(w, "stat"));
    REQUIRE(stat);
    CHECK(stat->session == pid);
    CHECK(stat->group == pid);
    CHECK(text(w, "pwd") == folder(w).string() + '\n');
    CHECK(text(w, "umask") == "0077\n");
    CHECK(without_marks(text_of(log_of(w))) == "to-stderr\nto-stdout\n");
    std::vector<std::string> open;
    for (const auto& line : lines_of(text(w, "fds")))
        if (const auto arrow = line.find(" -> "); arrow != std::string::npos)
            open.push_back(line.substr(arrow + 4));
    // The shell has redirected the output of ls; the last is what ls reads.
    REQUIRE(open.size() == 4);
    CHECK(open[0] == "/dev/null");
    CHECK(open[1] == (folder(w) / "fds").string());
    CHECK(open[2] == log_of(w).string());
    CHECK(holds(open[3], "/fd"));
}

TEST_CASE_METHOD(subprocess_fixture, "an engine starts with no signal blocked or ignored") {
    const unruly_program unruly;
    options.command = {"sleep", "1000"}; // a shell may block signals itself
    const auto w = create_new();
    const auto status = text_of("/proc/" + std::to_string(pid_of(w)) + "/status");
    CHECK(field(status, "SigBlk") == "0000000000000000");
    CHECK(field(status, "SigIgn") == "0000000000000000");
}

TEST_CASE_METHOD(subprocess_fixture,
                 "a new engine's folder has mode 0700, and an existing one is kept") {
    const auto w = create_new();
    namespace fs = std::filesystem;
    CHECK(fs::status(folder(w)).permissions() == fs::perms::owner_all);
    // Engines with users of their own have to get through it.
    const bool has_uids = std::ranges::count(backend().isolation(), "uid") > 0;
    const auto enterable = has_uids ? fs::perms::group_exec | fs::perms::others_exec
                                    : fs::perms::none;
    CHECK(fs::status(store.path() / "engines").permissions() == (fs::perms::owner_all | enterable));
    REQUIRE(stop(w));
    std::ofstream{folder(w) / "brain.sqlite"} << "memories";
    REQUIRE(create(next_generation(w)));
    CHECK(text(w, "brain.sqlite") == "memories");
}

TEST_CASE_METHOD(subprocess_fixture,
                 "a command that cannot be run is named in the failure, and leaves nothing") {
    const auto script = store.path() / "no-program";
    std::ofstream{script} << "no format that the kernel knows";
    std::string cause;
    SECTION("it is missing") {
        options.command = {"/no/such/engine"};
        cause = "No such file or directory";
    }
    SECTION("it is not on the engine's PATH") {
        options.command = {"no-such-engine"};
        cause = "No such file or directory";
    }
    SECTION("it may not be executed") {
        options.command = {script.string()};
        cause = "Permission denied";
    }
    SECTION("the kernel cannot execute it") {
        std::filesystem::permissions(script, std::filesystem::perms::owner_all);
        options.command = {script.string()};
        cause = "Exec format error";
    }
    const auto w = new_workload();
    const auto made = create(w);
    REQUIRE_FALSE(made);
    CHECK(made.error().code == rh::errc::backend_error);
    CHECK(holds(made.error().message, options.command.front()));
    CHECK(holds(made.error().message, cause));
    CHECK_FALSE(holds(made.error().message, rh::to_hex(w.key_hash)));
    CHECK_FALSE(std::filesystem::exists(folder(w)));
    CHECK(no_zombies());
    CHECK(exits().empty());
}

TEST_CASE_METHOD(subprocess_fixture,
                 "a folder that existed before a failed create is kept with its files") {
    options.command = {"/no/such/engine"};
    const auto w = new_workload();
    std::filesystem::create_directories(folder(w));
    std::ofstream{folder(w) / "brain.sqlite"} << "memories";
    REQUIRE_FALSE(create(w));
    CHECK(text(w, "brain.sqlite") == "memories");
}

TEST_CASE_METHOD(subprocess_fixture, "a repeated create keeps the process") {
    const auto w = create_new();
    const auto pid = pid_of(w);
    REQUIRE(create(w));
    CHECK(pid_of(w) == pid);
    CHECK(runs(pid));
}

TEST_CASE_METHOD(subprocess_fixture,
                 "a newer generation replaces an older one, whose exit is not reported") {
    const auto w = create_new();
    const auto pid = pid_of(w);
    REQUIRE(create(next_generation(w)));
    CHECK_FALSE(runs(pid));
    CHECK(pid_of(w) != pid);
    CHECK(runs(pid_of(w)));
    CHECK(listed(w)->ref.generation == 2);
    CHECK(exits().empty());
}

TEST_CASE_METHOD(subprocess_fixture, "an older generation does not replace a newer one") {
    auto w = next_generation(new_workload());
    REQUIRE(create(w));
    const auto pid = pid_of(w);
    w.ref.generation = 1;
    const auto made = create(w);
    REQUIRE_FALSE(made);
    CHECK(holds(made.error().message, "newer generation"));
    CHECK(runs(pid));
}

TEST_CASE_METHOD(subprocess_fixture, "each workload appends to the log of the one before") {
    run_shell("echo line $ENGINE_PORT; touch ready; exec sleep 1000");
    const auto w = create_ready();
    REQUIRE(stop(w));
    std::filesystem::remove(folder(w) / "ready");
    REQUIRE(create(next_generation(w)));
    REQUIRE(eventually([&] { return has(w, "ready"); }));
    const auto line = "line " + std::to_string(w.ref.port) + "\n";
    CHECK(without_marks(text_of(log_of(w))) == line + line);
}

TEST_CASE_METHOD(subprocess_fixture,
                 "many engines can be started, listed and destroyed at the same time") {
    std::vector<rh::workload> fleet;
    for (int i = 0; i < 40; ++i) fleet.push_back(new_workload());
    auto& made_by = backend();
    std::vector<std::future<rh::result<void>>> calls;
    for (const auto& w : fleet) calls.push_back(io->start(made_by.create(w)));
    for (auto& each : calls) CHECK(io_threads::get(std::move(each)));
    const auto all = wait(made_by.list());
    REQUIRE(all);
    CHECK(all->size() == fleet.size());
    std::vector<pid_t> pids;
    for (const auto& w : fleet) pids.push_back(pid_of(w));
    CHECK(std::all_of(pids.begin(), pids.end(), runs));

    calls.clear();
    for (const auto& w : fleet) calls.push_back(io->start(made_by.destroy(w.ref)));
    for (auto& each : calls) CHECK(io_threads::get(std::move(each)));
    CHECK(std::none_of(pids.begin(), pids.end(), runs));
    CHECK(wait(made_by.list())->empty());
    CHECK(exits().empty());
    CHECK(no_zombies());
}

TEST_CASE_METHOD(subprocess_fixture, "options that cannot work are refused by the constructor") {
    const auto refusal = [&] {
        try {
            backend();
        } catch (const std::exception& problem) {
            return std::string{problem.what()};
        }
        return std::string{};
    };
    SECTION("a NUL in an argument") { options.command = {"sh", std::string{"a\0b", 3}}; }
    SECTION("a NUL in a path") { options.cgroup_root = std::string{"a\0b", 3}; }
    SECTION("fewer processors than none") { options.cpus = -0.5; }
    SECTION("processors that are no number") { options.cpus = std::nan(""); }
    SECTION("a variable without a name") { options.environment = {{"", "x"}}; }
    SECTION("a variable with = in its name") { options.environment = {{"A=B", "x"}}; }
    SECTION("no command") { options.command = {}; }
    SECTION("a store that is a file") {
        options.store_path = store.path() / "file";
        std::ofstream{options.store_path} << "x";
    }
    CHECK_FALSE(refusal().empty());
    options.store_path = store.path();
    options.command = {"true"};
    options.environment = {};
    options.cgroup_root.clear();
    options.cpus = 0;
    CHECK(refusal().empty());
}

TEST_CASE_METHOD(subprocess_fixture,
                 "a relative store path and a relative command become absolute") {
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(store.path());
    std::ofstream{"engine"}
        << "#!/bin/sh\necho $SQLITE_DB_PATH > where; touch ready; exec sleep 1000\n";
    std::filesystem::permissions("engine", std::filesystem::perms::owner_all);
    options.store_path = ".";
    options.command = {"./engine"};
    backend();
    std::filesystem::current_path(before);
    const auto w = create_ready();
    CHECK(text(w, "where") == (folder(w) / "brain.sqlite").string() + '\n');
}
