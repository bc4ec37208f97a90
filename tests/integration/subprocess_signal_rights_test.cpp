// Processes of engines that the server may not signal, such as those of set-user-ID programs.

#include "../subprocess_fixture.hpp"
#include "catch.hpp"

#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/rights.hpp>

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
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
        CHECK_THAT(failure.error().message, Contains("process " + std::to_string(pid) +
                                                     " of user 12345 may not be signalled"));
    }

    bool is_root;

private:
    static void set(const sub::capability_words& words) {
        __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
        ::syscall(SYS_capset, &header, words.data());
    }

    sub::capability_words before_{};
    std::vector<pid_t> others_;
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
