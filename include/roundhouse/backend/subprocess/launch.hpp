#pragma once

#include <roundhouse/backend/subprocess/child.hpp>
#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/engine_cgroups.hpp>
#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/isolation.hpp>
#include <roundhouse/backend/subprocess/passed_listener.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/error.hpp>

#include <sys/file.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The launch of a process that writes its own identity file before it becomes the engine.
namespace detail::subprocess {

struct launch_plan {
    std::string program; ///< An absolute path.
    std::vector<std::string> arguments;
    std::vector<std::string> environment; ///< The whole environment, as `NAME=value`.
    std::string folder;                   ///< The path of the working folder, for messages.
    int working_folder = -1;              ///< A descriptor of it. Like all here, the caller's.
    int output = -1;                      ///< What stdout and stderr are appended to.
    int listener = -1;                    ///< Passed as `listener_number`, if there is one.
    std::string workload_folder;          ///< For the identity file. The folder must exist.
    std::string identity_head;
    /// A file that the child keeps locked, shared, until it has become the engine. An exclusive
    /// lock on it proves that no launch is under way, not even one of a crashed orchestrator.
    std::string lock;
    cgroup_entrances cgroups{};
    child_isolation isolation;
};

/// The step that the child reports.
enum class launch_step : int {
    session,
    folder,
    cgroup,
    descriptors,
    identity,
    isolation,
    started,
    program
};

struct launch_report {
    launch_step step = launch_step::session;
    int error = 0;
    std::uint64_t start_time = 0;
};

/// All data of the child, prepared by the parent. The child shares the parent's memory, in which
/// other threads may hold any lock. So it does not allocate, calls async-signal-safe functions
/// only, and ends with exec or _exit.
struct child_plan {
    const char* program;
    char* const* arguments;
    char* const* environment;
    int folder;
    const char* identity;
    const char* identity_draft;
    std::string_view identity_head;
    int input;
    int output;
    int listener;
    int lock;
    int report;
    child_isolation isolation;
};

[[noreturn]] inline void give_up(int report_to, launch_step step) noexcept {
    const launch_report report{.step = step, .error = errno, .start_time = 0};
    // Fails only if the parent has ended, which needs no report.
    [[maybe_unused]] const auto written = ::write(report_to, &report, sizeof report);
    ::_exit(127);
}

/// Gives the descriptors the numbers that the engine expects, and closes all others. Those that the
/// child itself needs have the numbers after these, and are closed by exec.
[[nodiscard]] inline bool arrange_descriptors(const child_plan& plan, int& report,
                                              child_isolation& isolation) noexcept {
    struct assignment {
        int from; ///< Negative if there is none.
        int to;
        int flags;
        int copy = -1;
    };
    constexpr int own = listener_number + 1;
    std::array<assignment, 7> assignments{{{plan.report, own, O_CLOEXEC},
                                           {plan.input, 0, 0},
                                           {plan.output, 1, 0},
                                           {plan.output, 2, 0},
                                           {plan.listener, listener_number, 0},
                                           {plan.lock, own + 1, O_CLOEXEC},
                                           {isolation.ruleset, own + 2, O_CLOEXEC}}};
    // All are copied first, because each may have a number that another is to get.
    constexpr int clear = 10;
    for (auto& each : assignments) {
        if (each.from >= 0) each.copy = ::fcntl(each.from, F_DUPFD_CLOEXEC, clear);
        if (each.from >= 0 && each.copy < 0) return false;
    }
    report = assignments.front().copy;
    for (const auto& each : assignments) {
        if (each.copy < 0) ::close(each.to); // this program may have something there
        else if (::dup3(each.copy, each.to, each.flags) < 0) return false;
    }
    report = own;
    if (isolation.ruleset >= 0) isolation.ruleset = own + 2;
    return ::syscall(SYS_close_range, static_cast<unsigned>(own + 3), ~0U, 0U) == 0;
}

/// Writes the identity file atomically, by renaming a draft. Returns the start time, or 0 with the
/// cause in errno.
[[nodiscard]] inline std::uint64_t write_identity(const child_plan& plan) noexcept {
    const auto stat = read_process_stat("/proc/self/stat");
    if (!stat) {
        errno = ESRCH; // no /proc
        return 0;
    }
    const identity_tail tail(::getpid(), stat->start_time);
    const auto file = open_anew(plan.identity_draft);
    if (!file) return 0;
    const auto& head = plan.identity_head;
    if (::write(file.get(), head.data(), head.size()) != static_cast<ssize_t>(head.size()))
        return 0;
    if (::write(file.get(), tail.text.data(), tail.size) != static_cast<ssize_t>(tail.size))
        return 0;
    return ::rename(plan.identity_draft, plan.identity) == 0 ? stat->start_time : 0;
}

/// Resets the handlers before the mask: a pending signal must not run a handler of the parent in
/// memory that is shared with it.
inline void reset_signals() noexcept {
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (int signal = 1; signal <= SIGRTMAX; ++signal)
        ::sigaction(signal, &standard, nullptr); // fails for SIGKILL, SIGSTOP and reserved ones
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// `in_groups`: whether the child is in the engine's control groups; the cause is in errno if not.
[[noreturn]] inline void run_child(const child_plan& plan, bool in_groups) noexcept {
    int report = plan.report;
    if (!in_groups) give_up(report, launch_step::cgroup);
    if (::setsid() < 0) give_up(report, launch_step::session);
    ::umask(077);
    if (::fchdir(plan.folder) != 0) give_up(report, launch_step::folder);
    auto wanted = plan.isolation;
    if (!arrange_descriptors(plan, report, wanted)) give_up(report, launch_step::descriptors);
    const launch_report started{
        .step = launch_step::started, .error = 0, .start_time = write_identity(plan)};
    if (started.start_time == 0) give_up(report, launch_step::identity);
    if (::write(report, &started, sizeof started) != sizeof started) ::_exit(127);
    if (!isolate(wanted)) give_up(report, launch_step::isolation);
    reset_signals();
    ::execve(plan.program, plan.arguments, plan.environment);
    give_up(report, launch_step::program);
}

[[nodiscard]] inline std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (const auto& text : texts)
        pointers.push_back(const_cast<char*>(text.c_str())); // exec does not change the text
    pointers.push_back(nullptr);
    return pointers;
}

[[nodiscard]] inline std::string describe(const launch_report& report, const launch_plan& plan) {
    switch (report.step) {
    case launch_step::session: return "cannot begin a session";
    case launch_step::folder: return "cannot enter " + plan.folder;
    case launch_step::cgroup: return "cannot enter the engine's control group";
    case launch_step::descriptors: return "cannot arrange the engine's descriptors";
    case launch_step::identity: return "cannot write " + plan.workload_folder + '/' + identity_name;
    case launch_step::isolation: return "cannot isolate " + plan.program;
    case launch_step::started:
    case launch_step::program: break;
    }
    return "cannot run " + plan.program;
}

/// What to do if isolation may be the cause.
[[nodiscard]] inline std::string hint_for(const launch_report& report, const launch_plan& plan) {
    if (report.step == launch_step::isolation && report.error == EAGAIN)
        return " (as many processes as ORCH_ENGINE_PIDS, or subprocess_options::processes, allows)";
    if (report.error != EACCES) return {};
    std::string hint;
    if (plan.isolation.ruleset >= 0)
        hint = "engines may read what ORCH_ENGINE_READABLE, or subprocess_options::readable, names";
    if (plan.isolation.uid != 0)
        hint.append(hint.empty() ? "" : "; ")
            .append("engines have users of their own, to whom it must be open");
    return hint.empty() ? hint : " (isolation: " + hint + ')';
}

/// Reads the child's reports until it has become the engine or given up; returns the last.
[[nodiscard]] inline launch_report read_reports(int pipe) {
    launch_report last{.step = launch_step::session, .error = ECHILD, .start_time = 0};
    for (;;) {
        launch_report next;
        const auto size = ::read(pipe, &next, sizeof next); // atomic, being below PIPE_BUF
        if (size == sizeof next) {
            last = next;
        } else if (size >= 0 || errno != EINTR) {
            return last;
        }
    }
}

/// Whether a child of this program has ended and is not reaped. Empty if it has no child of that number.
[[nodiscard]] inline std::optional<bool> is_zombie(pid_t pid) noexcept {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        return std::nullopt;
    return info.si_pid != 0;
}

/// Ends a child that leads a group, with the group, and reaps it. Blocks until it has ended. Fails with
/// its number and user if this program may not signal it, such as one that runs a set-user-ID program:
/// it is left then.
[[nodiscard]] inline result<void> end_child(pid_t pid) {
    // A program that ignores SIGCHLD has no zombies: the number may be another process's by now.
    if (!is_zombie(pid).has_value()) return {};
    if (::kill(pid, SIGKILL) != 0 && errno == EPERM && is_zombie(pid) == false)
        return fail(errc::backend_error, why_not_signalled(pid));
    ::kill(-pid, SIGKILL); // the child, running or a zombie, keeps the number of the group its own
    wait_for_child(pid);
    return {};
}

/// Starts the engine, and returns its process, a child that nobody reaps yet. Blocks until exec has
/// returned. On failure no process is left.
[[nodiscard]] inline result<pid_t> launch(const launch_plan& plan) {
    const descriptor input{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    if (!input) return failed("/dev/null", errno);
    const descriptor lock = open_regular(plan.lock, O_RDWR | O_CREAT);
    if (!lock) return not_opened(plan.lock, errno);
    if (::flock(lock.get(), LOCK_SH) != 0) return failed(plan.lock, errno);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return failed("cannot make a pipe", errno);
    const descriptor reports{ends[0]};
    descriptor reports_in{ends[1]};

    const auto identity = plan.workload_folder + '/' + identity_name;
    const auto draft = plan.workload_folder + '/' + identity_draft_name;
    const auto arguments = pointers_to(plan.arguments);
    const auto environment = pointers_to(plan.environment);
    const child_plan child{.program = plan.program.c_str(),
                           .arguments = arguments.data(),
                           .environment = environment.data(),
                           .folder = plan.working_folder,
                           .identity = identity.c_str(),
                           .identity_draft = draft.c_str(),
                           .identity_head = plan.identity_head,
                           .input = input.get(),
                           .output = plan.output,
                           .listener = plan.listener,
                           .lock = lock.get(),
                           .report = reports_in.get(),
                           .isolation = plan.isolation};
    const pid_t pid = start_child_in(
        plan.cgroups, [&child](bool in_groups) noexcept -> int { run_child(child, in_groups); });
    if (pid < 0) return failed("cannot start a process", errno);
    reports_in = descriptor{};
    const auto report = read_reports(reports.get());
    if (report.error != 0) {
        wait_for_child(pid); // it ends by itself
        return fail(errc::backend_error,
                    describe(report, plan) + ": " + cause(report.error) + hint_for(report, plan));
    }
    return pid;
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
