#pragma once

#include <roundhouse/version.hpp>

#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

/// Whether a child can be started in a control group. Not with ThreadSanitizer, whose account of a
/// thread's calls would be the child's and the parent's at once.
#if defined(__x86_64__) && defined(__LP64__) && defined(SYS_clone3) &&                             \
    defined(CLONE_INTO_CGROUP) && !defined(__SANITIZE_THREAD__)
#define ROUNDHOUSE_CLONE_INTO_CGROUP 1
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef ROUNDHOUSE_CLONE_INTO_CGROUP
#endif
#endif
#endif

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Children that share this program's memory until they call exec or end.
namespace detail::subprocess {

/// Blocks all signals for the calling thread while it exists. Leaves errno as it is.
class blocked_signals {
public:
    blocked_signals() noexcept {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    blocked_signals(const blocked_signals&) = delete;
    blocked_signals& operator=(const blocked_signals&) = delete;
    ~blocked_signals() {
        const int number = errno;
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
        errno = number;
    }

private:
    sigset_t before_{};
};

/// Starts a child by vfork, because a fork would copy the page tables of a large program, and ends it
/// with the status that `run()` returns, if it returns. The calling thread waits until the child has
/// called exec or ended. All signals are blocked, so that no handler runs in the child, which may call
/// async-signal-safe functions only. Returns its pid; negative, with the cause in errno, on failure.
///
/// The address and thread sanitizers support vfork (the latter makes it a fork). Not inlined, because
/// the child may change the frame of the function that calls vfork.
template <class Run> [[nodiscard, gnu::noinline]] pid_t start_child(const Run& run) noexcept {
    const blocked_signals blocked;
    const pid_t pid = ::vfork();
    if (pid == 0) ::_exit(run());
    return pid;
}

#ifdef ROUNDHOUSE_CLONE_INTO_CGROUP

/// Clones as vfork(2) does, but for the flags; the child calls `run(argument)`, which does not return.
/// The C library has no function for it, and one that returns in the child would have to be written as
/// vfork is there: the child would overwrite the address that the parent returns to. So the child
/// calls a function, below the caller's frame and what the ABI lets the caller keep below that.
[[nodiscard, gnu::noinline]] inline pid_t clone_and_call(const clone_args& arguments,
                                                         void (*run)(const void*),
                                                         const void* argument) noexcept {
    long result = SYS_clone3;
    asm volatile("syscall\n\t"
                 "test %%rax, %%rax\n\t"
                 "jnz 1f\n\t"
                 "sub $256, %%rsp\n\t"
                 "and $-16, %%rsp\n\t"
                 "mov %[argument], %%rdi\n\t"
                 "call *%[run]\n\t"
                 "ud2\n"
                 "1:"
                 : "+a"(result)
                 : "D"(&arguments), "S"(sizeof arguments), [run] "r"(run), [argument] "r"(argument)
                 : "rcx", "r11", "cc", "memory");
    if (result >= 0) return static_cast<pid_t>(result);
    errno = static_cast<int>(-result);
    return -1;
}

#endif

/// The same as `start_child`, in the control group of version 2 whose folder is open as `group`
/// (clone3(2), CLONE_INTO_CGROUP). To move a child to a group later lets the kernel wait for all
/// processors, for ten milliseconds and more. Fails too, with ENOSYS, where that cannot be done: not
/// x86-64, a kernel before Linux 5.7, a container that forbids clone3, or ThreadSanitizer.
template <class Run>
[[nodiscard]] pid_t start_child_in([[maybe_unused]] int group,
                                   [[maybe_unused]] const Run& run) noexcept {
#ifdef ROUNDHOUSE_CLONE_INTO_CGROUP
    clone_args arguments{};
    arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP;
    arguments.exit_signal = SIGCHLD;
    arguments.cgroup = static_cast<std::uint64_t>(group);
    const blocked_signals blocked;
    return clone_and_call(
        arguments, [](const void* of) { ::_exit((*static_cast<const Run*>(of))()); }, &run);
#else
    errno = ENOSYS;
    return -1;
#endif
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
