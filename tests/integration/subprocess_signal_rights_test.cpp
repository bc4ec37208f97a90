// Processes of engines that the server may not signal, such as those of set-user-ID programs.

#include "../removal_log.hpp"
#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/launch.hpp>
#include <roundhouse/backend/subprocess/port_owner.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/rights.hpp>

#include <linux/capability.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace rh = roundhouse;
namespace sub = roundhouse::detail::subprocess;
using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

constexpr auto not_root = "only root can start a process of another user";
constexpr auto of_other_user = "setpriv --reuid=12345 --regid=12345 --clear-groups sleep 1000";

/// A server that is root, but may not signal processes of others, and engines of root.
struct server_without_kill : subprocess_fixture {
    server_without_kill() : is_root{sub::may_use_other_users()} {
        options.isolation = rh::isolation_mode::none;
        options.uids = rh::uid_range{};
        options.cgroup_root.clear(); // by which the kernel would end all
        options.kill_timeout = std::chrono::milliseconds{500};
        options.short_grace = rh::duration{0};
        static_cast<void>(sub::get_capabilities(before_));
        auto without = before_;
        without[0].effective &= ~static_cast<std::uint32_t>(sub::capability(CAP_KILL));
        set(without); // which the threads of the backend inherit
    }
    ~server_without_kill() {
        set(before_);
        for (const auto pid : others_) ::kill(pid, SIGKILL);
        for (const auto pid : children_) ::waitpid(pid, nullptr, 0); // fails for one that is reaped
        ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    }

    /// Starts a child of this process as an engine is launched: with a session of its own.
    pid_t launch(std::string script) {
        posix_spawnattr_t attributes;
        ::posix_spawnattr_init(&attributes);
        ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
        std::string shell = "sh";
        std::string flag = "-c";
        char* const arguments[] = {shell.data(), flag.data(), script.data(), nullptr};
        pid_t pid = 0;
        const int failed = ::posix_spawn(&pid, "/bin/sh", nullptr, &attributes, arguments, environ);
        ::posix_spawnattr_destroy(&attributes);
        if (failed != 0) throw std::runtime_error{"no shell"};
        children_.push_back(pid);
        return pid;
    }

    /// Puts what the backend logs into `told`.
    void keep_log() {
        options.log = [lines = told](const rh::log_line& line) { lines->sink()(line); };
    }

    /// Waits until a process has become one of the other user.
    pid_t other_user(pid_t pid) {
        others_.push_back(pid);
        const auto status = "/proc/" + std::to_string(pid) + "/status";
        CHECK(eventually([&] { return holds(text_of(status), "\nUid:\t12345\t"); }));
        return pid;
    }

    static void check_names(const rh::result<void>& failure, pid_t pid) {
        REQUIRE_FALSE(failure);
        CHECK_THAT(failure.error().message, Contains(refusal(pid)));
    }

    [[nodiscard]] static std::string refusal(pid_t pid) {
        return "process " + std::to_string(pid) + " of user 12345 may not be signalled";
    }

    bool is_root;
    const std::shared_ptr<removal_log> told = std::make_shared<removal_log>();

private:
    static void set(const sub::capability_words& words) {
        __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
        ::syscall(SYS_capset, &header, words.data());
    }

    sub::capability_words before_{};
    std::vector<pid_t> others_;
    std::vector<pid_t> children_;
};

} // namespace

TEST_CASE_METHOD(server_without_kill,
                 "a process of an engine that the server may not signal is named with its user") {
    if (!is_root) ROUNDHOUSE_SKIP(not_root);
    run_shell(std::string(of_other_user) +
              " & echo $! > other.new; mv other.new other; touch ready; exec sleep 1000");
    const auto w = create_ready();
    const auto other = other_user(pid_in(w, "other"));
    SECTION("by a stop") { check_names(stop(w, rh::duration{0}), other); }
    SECTION("by a destroy of an engine whose own process has ended") {
        const auto leader = pid_of(w);
        close();
        ::kill(leader, SIGKILL);
        REQUIRE(eventually([&] { return !runs(leader); }));
        check_names(wait(backend().destroy(w.ref)), other);
    }
    SECTION("by a pause") {
        options.pause_timeout = std::chrono::milliseconds{200};
        reopen();
        check_names(wait(backend().pause(w.ref)), other);
    }
    CHECK(runs(other));
}

TEST_CASE_METHOD(server_without_kill,
                 "an engine that the server may not signal is named with its user") {
    if (!is_root) ROUNDHOUSE_SKIP(not_root);
    options.pause_timeout = std::chrono::milliseconds{200}; // of which a stop waits one too
    run_shell(std::string("exec ") + of_other_user);
    const auto w = create_new();
    const auto leader = other_user(pid_of(w));
    check_names(stop(w, rh::duration{0}), leader);
    CHECK(exits().empty());
}

TEST_CASE_METHOD(server_without_kill,
                 "a launched process that may not be signalled is named, and not waited for") {
    if (!is_root) ROUNDHOUSE_SKIP(not_root);
    const auto other = other_user(launch(std::string("exec ") + of_other_user));
    check_names(sub::end_child(other), other);
    CHECK(runs(other));
}

TEST_CASE_METHOD(server_without_kill, "a launched process is ended with its group, and reaped") {
    const auto file = store.path() / "member";
    const auto leader = launch("sleep 1000 & echo $! > " + file.string() + ".new; mv " +
                               file.string() + ".new " + file.string() + "; wait");
    REQUIRE(eventually([&] { return std::filesystem::exists(file); }));
    const auto member = static_cast<pid_t>(std::stol(text_of(file)));
    CHECK(sub::end_child(leader));
    CHECK_FALSE(sub::is_zombie(leader).has_value()); // no child of this number any more
    CHECK(eventually([&] { return !runs(member); }));
    CHECK(sub::end_child(leader)); // which is gone
}

TEST_CASE_METHOD(server_without_kill,
                 "an engine that cannot be ended for a second port is told, and goes on") {
    if (!is_root) ROUNDHOUSE_SKIP(not_root);
    if (!sub::tells_listeners()) ROUNDHOUSE_SKIP(no_sock_diag);
    if ((sub::capabilities() & sub::capability(CAP_SYS_PTRACE)) == 0)
        ROUNDHOUSE_SKIP("this process may not see the descriptors of others");
    if (!std::filesystem::exists("/usr/bin/perl")) ROUNDHOUSE_SKIP("no perl");
    run_shell("exec setpriv --reuid=12345 --regid=12345 --clear-groups perl -e 'use Socket; "
              "socket(my $s, PF_INET, SOCK_STREAM, 0); bind($s, sockaddr_in(0, INADDR_LOOPBACK)); "
              "listen($s, 5); sleep 1000'");
    const auto w = create_new();
    const auto leader = other_user(pid_of(w));
    // A later server has isolation, by which an engine of its own would have no other user.
    options.isolation = rh::isolation_mode::automatic;
    options.ports = {.low = 1, .high = 65535};
    options.log_check_interval = rh::duration{20};
    options.pause_timeout = std::chrono::milliseconds{200};
    keep_log();
    reopen();
    REQUIRE(listed(w));
    CHECK(told->waits_for("an engine listens on a port that is not its own"));
    check_names(stop(w, rh::duration{0}), leader);
    CHECK(told->count(refusal(leader)) == 1);
    CHECK(exits().empty());
    CHECK(runs(leader));
}

TEST_CASE_METHOD(server_without_kill,
                 "what an engine has left and nobody may end is told, and holds up nothing") {
    if (!is_root) ROUNDHOUSE_SKIP(not_root);
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    const auto left = store.path() / "left";
    // It leaves the engine's session, parents and environment, and becomes another user's.
    run_shell("(env -i /usr/bin/setsid /bin/sh -c 'echo $$ > " + left.string() + ".new; mv " +
              left.string() + ".new " + left.string() + "; exec " + of_other_user +
              "' &); touch ready; exec sleep 1000");
    const auto w = create_ready();
    REQUIRE(eventually([&] { return std::filesystem::exists(left); }));
    const auto orphan = other_user(static_cast<pid_t>(std::stol(text_of(left))));
    options.ends_orphans = true;
    options.log_check_interval = rh::duration{20};
    options.kill_timeout = 2 * patience; // longer than the test waits for a call
    keep_log();
    reopen();
    REQUIRE(listed(w));
    CHECK(told->waits_for("what an engine has left cannot be ended"));
    CHECK(stop(w));
    CHECK(told->count(refusal(orphan)) == 1);
    CHECK(runs(orphan));
}
