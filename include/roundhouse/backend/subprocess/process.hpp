#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/version.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Processes as the kernel shows them. A pid names a process only while that process, or its zombie
/// that has not been reaped, exists; then it is reused. A process is named for good by its pid and
/// start time, or by a pidfd.
namespace detail::subprocess {

/// Fields of `/proc/<pid>/stat` (proc_pid_stat(5)).
struct process_stat {
    char state = '?';
    pid_t parent = 0;
    pid_t group = 0;
    pid_t session = 0;
    std::uint64_t start_time = 0; ///< In clock ticks since boot.

    [[nodiscard]] bool gone() const noexcept { return state == 'Z' || state == 'X'; }
    [[nodiscard]] bool stopped() const noexcept { return state == 'T'; }
};

/// Parses a stat file. Does not allocate: a child calls it between fork and exec.
[[nodiscard]] inline std::optional<process_stat>
parse_process_stat(std::string_view text) noexcept {
    // The name, in parentheses, may contain parentheses and spaces: the fields begin after the last
    // one.
    const auto name_end = text.rfind(')');
    if (name_end == std::string_view::npos) return std::nullopt;
    process_stat stat;
    std::size_t at = name_end + 2;
    for (int field = 3; field <= 22; ++field) {
        if (at >= text.size()) return std::nullopt;
        const auto end = std::min(text.find(' ', at), text.size());
        const char* const from = text.data() + at;
        const char* const to = text.data() + end;
        if (field == 3) stat.state = *from;
        if (field == 4) std::from_chars(from, to, stat.parent);
        if (field == 5) std::from_chars(from, to, stat.group);
        if (field == 6) std::from_chars(from, to, stat.session);
        if (field == 22 && std::from_chars(from, to, stat.start_time).ec != std::errc{})
            return std::nullopt;
        at = end + 1;
    }
    return stat;
}

/// Reads a stat file. Does not allocate.
[[nodiscard]] inline std::optional<process_stat> read_process_stat(const char* path) noexcept {
    const descriptor file{::open(path, O_RDONLY | O_CLOEXEC)};
    if (!file) return std::nullopt;
    std::array<char, 1024> text; // the fields up to the start time are shorter
    const auto size = ::read(file.get(), text.data(), text.size());
    if (size <= 0) return std::nullopt;
    return parse_process_stat({text.data(), static_cast<std::size_t>(size)});
}

[[nodiscard]] inline std::optional<process_stat> read_process_stat(pid_t pid) noexcept {
    std::array<char, 32> path;
    std::snprintf(path.data(), path.size(), "/proc/%d/stat", pid);
    return read_process_stat(path.data());
}

/// Opens a pidfd, which is close-on-exec. By its number: older C libraries have no wrapper for the
/// system call. On failure the cause is in errno: ESRCH if no process has the pid.
[[nodiscard]] inline descriptor open_pidfd(pid_t pid) noexcept {
    descriptor pidfd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
    // The number is that of a thread now: EINVAL before Linux 6.15, ENOENT since.
    if (!pidfd && (errno == EINVAL || errno == ENOENT)) errno = ESRCH;
    return pidfd;
}

/// A process that has not been reaped.
struct open_process {
    descriptor pidfd;
    process_stat stat;
};

/// Opens the process that had this pid and began at this time, as in /proc/<pid>/stat. Empty if it
/// is gone; fails if no descriptors are left.
[[nodiscard]] inline result<std::optional<open_process>> find_process(pid_t pid,
                                                                      std::uint64_t start_time) {
    auto pidfd = open_pidfd(pid);
    if (!pidfd) {
        if (errno == ESRCH) return std::nullopt;
        return failed("cannot watch process " + std::to_string(pid), errno);
    }
    // After the pidfd was opened: if the pid's process still has that start time, the pidfd is of the
    // same process.
    const auto stat = read_process_stat(pid);
    if (!stat || stat->start_time != start_time) return std::nullopt;
    return open_process{std::move(pidfd), *stat};
}

/// Whether the process has ended, reaped or not: then its pidfd is readable (pidfd_open(2)).
[[nodiscard]] inline bool has_ended(int pidfd) noexcept {
    pollfd entry{.fd = pidfd, .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, 0) > 0;
}

/// Sends a signal to the process alone. Failures are ignored: the process has ended, or stays, which
/// the caller notices and tells (`why_unmoved`).
inline void send_signal(int pidfd, int signal) noexcept {
    ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0);
}

/// Whether this program may signal the process. It may not if that is another user's, such as one that
/// runs a set-user-ID program (execve(2)). True for a process that has ended.
[[nodiscard]] inline bool may_signal(int pidfd) noexcept {
    return ::syscall(SYS_pidfd_send_signal, pidfd, 0, nullptr, 0) == 0 || errno != EPERM;
}

/// Sends a signal to the group that the process leads. Returns false if that cannot be done without
/// the risk of signalling another group.
///
/// Linux 6.9 finds the group by the pidfd, which is safe even when the leader has been reaped.
/// Older kernels take the group's number, which may have been reused unless the leader or its
/// zombie still exists: `held` says that it does.
[[nodiscard]] inline bool send_signal_to_group(int pidfd, pid_t leader, bool held,
                                               int signal) noexcept {
    if (leader == ::getpgrp()) return false;        // this process is in that group
    constexpr unsigned to_process_group = 1U << 2U; // PIDFD_SIGNAL_PROCESS_GROUP of newer headers
    if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, to_process_group) == 0)
        return true;
    if (errno == ESRCH) return true; // the group is empty
    if (!held) return false;
    // Failures are ignored: the group is empty, or its processes stay, which the caller notices.
    ::kill(-leader, signal);
    return true;
}

constexpr auto by_pidfd = static_cast<idtype_t>(3); // P_PIDFD of newer headers

/// The exit status of a process: one of the two is set.
struct exit_report {
    std::optional<int> code;
    std::optional<int> signal;
};

/// Reads the exit status of a child, and leaves its zombie. Empty if it is no child of this
/// process, or has not ended.
[[nodiscard]] inline std::optional<exit_report> look_at_exit(int pidfd) noexcept {
    siginfo_t info{};
    if (::waitid(by_pidfd, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        return std::nullopt;
    if (info.si_pid == 0) return std::nullopt;
    if (info.si_code == CLD_EXITED)
        return exit_report{.code = info.si_status, .signal = std::nullopt};
    return exit_report{.code = std::nullopt, .signal = info.si_status};
}

/// Whether the process is a child of this one, running or a zombie: then its pid cannot be reused
/// before it is reaped here.
[[nodiscard]] inline bool is_our_child(int pidfd) noexcept {
    siginfo_t info{};
    return ::waitid(by_pidfd, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/// Reaps the zombie, if it is a child of this process. Where this process is the init of its
/// container, the orphans of engines become its children too.
inline void reap(int pidfd) noexcept {
    siginfo_t info{};
    // Fails for a process that is no child of this one.
    ::waitid(by_pidfd, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG);
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
