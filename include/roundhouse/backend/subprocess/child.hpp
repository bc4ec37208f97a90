#pragma once

#include <roundhouse/version.hpp>

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Children that share this program's memory until they call exec or end.
namespace detail::subprocess {

/// Starts a child by vfork, because a fork would copy the page tables of a large program, and ends it
/// with the status that `run()` returns, if it returns. The calling thread waits until the child has
/// called exec or ended. All signals are blocked, so that no handler runs in the child, which may call
/// async-signal-safe functions only. Returns its pid; negative, with the cause in errno, on failure.
///
/// The address and thread sanitizers support vfork (the latter makes it a fork). Not inlined, because
/// the child may change the frame of the function that calls vfork.
template <class Run> [[nodiscard, gnu::noinline]] pid_t start_child(const Run& run) noexcept {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t pid = ::vfork();
    if (pid == 0) ::_exit(run());
    const int number = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    errno = number;
    return pid;
}

/// Waits until a child has ended, and reaps it. How it ended; zero in all fields if this program
/// ignores SIGCHLD.
inline siginfo_t wait_for_child(pid_t pid) noexcept {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) != 0 && errno == EINTR) {
    }
    return info;
}

/// Runs `run()` in a child, and waits for its end: the status that it returns; negative if no child
/// can be started, or a signal has ended it.
template <class Run> [[nodiscard]] int run_in_child(const Run& run) noexcept {
    const pid_t pid = start_child(run);
    if (pid < 0) return -1;
    const auto ended = wait_for_child(pid);
    return ended.si_code == CLD_EXITED ? ended.si_status : -1;
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
