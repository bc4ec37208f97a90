#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/isolation.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;
namespace rh = roundhouse;
namespace sub = roundhouse::detail::subprocess;
using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

bool binds(std::uint16_t port) {
    const int opened = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool bound = ::bind(opened, reinterpret_cast<const sockaddr*>(&address),
                              sizeof address) == 0;
    ::close(opened);
    return bound;
}

/// Whether `check()` is true in a child process that these rules restrict.
template <class Check> bool in_isolation(const sub::landlock_rules& rules, const Check& check) {
    const auto ruleset = sub::make_landlock_ruleset(rules, sub::landlock_version());
    REQUIRE(ruleset);
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(sub::isolate({.on = true, .ruleset = ruleset->get()}) && check() ? 0 : 1);
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool can_open(const fs::path& path, int flags) {
    const int opened = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
    if (opened >= 0) ::close(opened);
    return opened >= 0;
}

struct isolated_engine : subprocess_fixture {
    /// What a script that is run as an engine has written to the file `out` of its folder.
    std::string output_of(const std::string& script) {
        run_shell("{ " + script + "; } > out 2>&1; touch ready; exec sleep 1000");
        reopen();
        const auto w = create_ready();
        auto out = text(w, "out");
        REQUIRE(stop(w));
        return out;
    }
};

constexpr auto no_landlock = "this kernel has no Landlock";

} // namespace

TEST_CASE("a process in isolation has the files that its rules name, and no others") {
    if (sub::landlock_version() == 0) ROUNDHOUSE_SKIP(no_landlock);
    const temporary_folder own;
    const temporary_folder readable;
    const temporary_folder other;
    for (const auto* const folder : {&own, &readable, &other})
        std::ofstream(folder->path() / "file") << "text";
    const sub::landlock_rules rules{.readable = {readable.path().string(), "/no/such/file"},
                                    .writable = {"/dev/null"},
                                    .owned = {own.path().string()},
                                    .port = 1};
    const auto opens = [&](const fs::path& path, int flags) {
        return in_isolation(rules, [&] { return can_open(path, flags); });
    };
    CHECK(opens(own.path() / "file", O_RDWR | O_TRUNC));
    CHECK(opens(own.path() / "new", O_RDWR | O_CREAT));
    CHECK(opens(readable.path() / "file", O_RDONLY));
    CHECK_FALSE(opens(readable.path() / "file", O_WRONLY));
    CHECK_FALSE(opens(readable.path() / "new", O_RDWR | O_CREAT));
    CHECK_FALSE(opens(other.path() / "file", O_RDONLY));
    CHECK_FALSE(opens(other.path(), O_RDONLY | O_DIRECTORY));
    CHECK(opens("/dev/null", O_RDWR));
    CHECK_FALSE(opens("/dev/zero", O_RDONLY));
    CHECK_FALSE(in_isolation(rules, [&] {
        return ::link((other.path() / "file").c_str(), (own.path() / "link").c_str()) == 0;
    }));
}

TEST_CASE("a process in isolation binds its own port and ephemeral ones only") {
    if (sub::landlock_version() < 4) ROUNDHOUSE_SKIP("this kernel's Landlock knows no ports");
    const auto port = free_port();
    const auto other = free_port();
    const sub::landlock_rules rules{.readable = {}, .writable = {}, .owned = {}, .port = port};
    CHECK(in_isolation(rules, [&] { return binds(port); }));
    CHECK(in_isolation(rules, [] { return binds(0); }));
    if (other != port) CHECK_FALSE(in_isolation(rules, [&] { return binds(other); }));
}

TEST_CASE("a process in isolation signals no process outside of it") {
    if (sub::landlock_version() < 6) ROUNDHOUSE_SKIP("this kernel's Landlock knows no signals");
    const auto parent = ::getpid();
    CHECK_FALSE(in_isolation({}, [&] { return ::kill(parent, 0) == 0; }));
    CHECK(in_isolation({}, [] {
        const pid_t child = ::fork();
        if (child == 0) ::pause();
        const bool ended = ::kill(child, SIGKILL) == 0;
        ::waitpid(child, nullptr, 0);
        return ended;
    }));
}

TEST_CASE_METHOD(isolated_engine, "an engine has limits and no way to more rights") {
    const auto shown = output_of("grep NoNewPrivs /proc/self/status; ulimit -c; ulimit -Sn; "
                                 "cat /proc/self/oom_score_adj; echo \"$TMPDIR\"; "
                                 "touch \"$TMPDIR/x\" && echo made");
    CHECK_THAT(shown, Contains("NoNewPrivs:\t1\n0\n1024\n500\n"));
    CHECK_THAT(shown, Contains("/tmp\nmade\n"));
}

TEST_CASE_METHOD(isolated_engine, "an engine without isolation gets the limits that are named") {
    options.isolation = rh::isolation_mode::none;
    options.limits = {.open_files = 123, .core_bytes = 0};
    CHECK_THAT(output_of("ulimit -Sn; ulimit -Sc"), Contains("123\n0\n"));
}

TEST_CASE_METHOD(isolated_engine, "an engine cannot reach the store, other engines or the server") {
    if (sub::landlock_version() == 0) ROUNDHOUSE_SKIP(no_landlock);
    std::ofstream(store.path() / "data.mdb") << "SECRET";
    run_shell("echo SECRET > private; touch ready; exec sleep 1000");
    const auto neighbour = create_ready();
    const auto shown = output_of("cat ../../data.mdb; cat ../*/private; ls ..; "
                                 "ls ../../workloads; echo SECRET > ../../workloads/x; "
                                 "ln ../../data.mdb mine; "
                                 "kill -0 $PPID && echo SIGNALLED; echo done");
    CHECK_THAT(shown, Contains("done") && !Contains("SECRET"));
    CHECK_FALSE(fs::exists(store.path() / "workloads" / "x"));
    CHECK_THAT(shown, !Contains(rh::to_string(neighbour.ref.engine_id)));
    if (sub::landlock_version() >= 6) CHECK_THAT(shown, !Contains("SIGNALLED"));
    std::vector<std::string> expected{"no_new_privileges", "limits", "landlock"};
    if (sub::why_unusable(rh::default_engine_uids).empty()) expected.emplace_back("uid");
    if (sub::tells_listeners()) expected.emplace_back("port_owner");
    if (!sub::find_cgroups(options, (store.path() / "engines").string()).empty())
        expected.emplace_back("cgroup");
    CHECK(backend().isolation() == expected);
}

TEST_CASE_METHOD(isolated_engine,
                 "an engine reads what the options name, and all without isolation") {
    if (sub::landlock_version() == 0) ROUNDHOUSE_SKIP(no_landlock);
    const temporary_folder more;
    std::ofstream(more.path() / "file") << "from the folder\n";
    const auto script = "cat " + (more.path() / "file").string();
    SECTION("nothing else by itself") {
        CHECK_THAT(output_of(script), Contains("Permission denied"));
    }
    SECTION("a folder that is named") {
        options.readable = {more.path().string()};
        CHECK(output_of(script) == "from the folder\n");
    }
    SECTION("the engine's own log, by the path that programs use") {
        run_shell("echo line >> /dev/stdout; touch ready; exec sleep 1000");
        reopen();
        const auto w = create_ready();
        CHECK(without_marks(text_of(log_of(w))) == "line\n");
    }
    SECTION("a folder that has the store in it is refused, and one that is missing") {
        for (const auto& path : {std::string("/"), (more.path() / "missing").string()}) {
            options.readable = {path};
            CHECK_THROWS_WITH(reopen(), Contains("engines cannot be given " + path));
        }
        options.readable.clear();
    }
    SECTION("without isolation") {
        options.isolation = rh::isolation_mode::none;
        CHECK(output_of(script) == "from the folder\n");
        CHECK(backend().isolation().empty());
    }
}

TEST_CASE_METHOD(isolated_engine, "an engine makes no devices, and a virtual environment runs") {
    if (sub::landlock_version() == 0) ROUNDHOUSE_SKIP(no_landlock);
    const temporary_folder environment;
    const auto bin = environment.path() / "bin";
    fs::create_directories(bin);
    std::ofstream(environment.path() / "pyvenv.cfg") << "home = /usr/bin\n";
    std::ofstream(environment.path() / "other") << "not given\n";
    fs::create_symlink("/bin/sh", bin / "sh");
    const auto at = environment.path().string();
    const auto script = "{ cat " + at + "/pyvenv.cfg; cat " + at +
                        "/other; mknod device c 1 3 && echo MADE; } > out 2>&1; touch ready; "
                        "exec sleep 1000";
    options.command = {(bin / "sh").string(), "-c", script};
    const auto w = create_ready();
    CHECK_THAT(text(w, "out"), Contains("home = /usr/bin") && !Contains("not given"));
    CHECK_THAT(text(w, "out"), !Contains("MADE"));
}

TEST_CASE("a place that is given to all engines is no place for secrets") {
    CHECK(sub::given_to_all("/etc/passwd") == "/etc");
    CHECK(sub::given_to_all("/usr/bin") == "/usr");
    CHECK(sub::given_to_all("/dev/shm") == "/dev/shm");
    CHECK(sub::given_to_all(fs::temp_directory_path()).empty());
    CHECK(sub::given_to_all("/no/such/file").empty());
    rh::subprocess_options options;
    options.store_path = "/usr/share";
    const sub::isolation without_uids{rh::isolation_mode::automatic, {}, {}};
    CHECK_FALSE(sub::unmet_requirement(options, without_uids));
    options.isolation = rh::isolation_mode::required;
    CHECK(sub::unmet_requirement(options, without_uids));
    const sub::isolation with_uids{
        options.isolation, {.range = {.low = 1, .high = 2}, .why_none = {}}, {}};
    CHECK_FALSE(sub::unmet_requirement(options, with_uids));
}

TEST_CASE_METHOD(isolated_engine, "one file of an engine is bounded by the options") {
    options.file_bytes = 4096;
    CHECK_THAT(output_of("trap '' XFSZ; head -c 8192 /dev/zero > big; wc -c < big"),
               Contains("4096\n"));
}
