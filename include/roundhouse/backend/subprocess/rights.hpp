#pragma once

#include <roundhouse/backend/subprocess/child.hpp>

#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The user and the capabilities of a process. The functions are async-signal-safe: a child calls
/// them between vfork and exec. They make raw system calls, because those of the C library change
/// all threads, of which the child has its parent's.
namespace detail::subprocess {

/// Sets of capabilities (capabilities(7)), a bit for each.
using capability_set = std::uint64_t;

[[nodiscard]] constexpr capability_set capability(unsigned number) noexcept {
    return capability_set{1} << number;
}

/// What it takes to give an engine a user of its own, to reach its files, and to end it.
inline constexpr capability_set for_other_users = capability(CAP_CHOWN) |
                                                  capability(CAP_DAC_OVERRIDE) |
                                                  capability(CAP_FOWNER) | capability(CAP_KILL) |
                                                  capability(CAP_SETGID) | capability(CAP_SETUID);

using capability_words = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

[[nodiscard]] inline bool get_capabilities(capability_words& words) noexcept {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    return ::syscall(SYS_capget, &header, words.data()) == 0;
}

/// The effective capabilities of the calling thread; none if they cannot be read.
[[nodiscard]] inline capability_set capabilities() noexcept {
    capability_words words{};
    if (!get_capabilities(words)) return 0;
    return words[0].effective | (capability_set{words[1].effective} << 32U);
}

/// Gives up all capabilities of the calling thread but these. On failure returns false, with the
/// cause in errno.
[[nodiscard]] inline bool keep_capabilities(capability_set kept) noexcept {
    capability_words words{};
    if (!get_capabilities(words)) return false;
    for (auto& word : words) {
        word.permitted &= static_cast<std::uint32_t>(kept);
        word.effective = word.permitted;
        word.inheritable = 0; // and so the ambient ones
        kept >>= 32U;
    }
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    return ::syscall(SYS_capset, &header, words.data()) == 0;
}

// On old 32-bit systems the plain names are those of 16-bit numbers.
#if defined(SYS_setresuid32)
inline constexpr long set_groups = SYS_setgroups32;
inline constexpr long set_group = SYS_setresgid32;
inline constexpr long set_user = SYS_setresuid32;
#else
inline constexpr long set_groups = SYS_setgroups;
inline constexpr long set_group = SYS_setresgid;
inline constexpr long set_user = SYS_setresuid;
#endif

/// Makes the calling thread one of a user, and of the group of that number alone, for good: without
/// capabilities. On failure returns false, with the cause in errno.
[[nodiscard]] inline bool become(uid_t uid) noexcept {
    return ::syscall(set_groups, 0, nullptr) == 0 && ::syscall(set_group, uid, uid, uid) == 0 &&
           ::syscall(set_user, uid, uid, uid) == 0 && keep_capabilities(0);
}

/// Whether the programs of this process may become other users, and reach what belongs to these.
[[nodiscard]] inline bool may_use_other_users() noexcept {
    return (capabilities() & for_other_users) == for_other_users;
}

/// Ends all processes of a user at once, so that none can start another meanwhile: by a child that
/// acts as that user, and so may signal no process of anybody else. The child itself belongs to
/// `killer`, a user without processes, so that those of `uid` cannot stop it: the calling thread waits
/// for it. False if that cannot be done.
[[nodiscard]] inline bool kill_all_of(uid_t uid, uid_t killer) noexcept {
    const auto kill_as_user = [uid, killer]() noexcept {
        if (uid == 0 || killer == 0 || uid == killer) return 1;
        if (::syscall(set_groups, 0, nullptr) != 0 ||
            ::syscall(set_group, killer, killer, killer) != 0 ||
            ::syscall(set_user, killer, uid, killer) != 0 || !keep_capabilities(0))
            return 1;
        uid_t real = 0;
        uid_t effective = 0;
        uid_t saved = 0;
        // As root, this signal would end the machine.
        const bool is_user = ::getresuid(&real, &effective, &saved) == 0 && real == killer &&
                             effective == uid && saved == killer && capabilities() == 0;
        if (!is_user) return 1;
        ::kill(-1, SIGKILL); // fails if the user has no process
        return 0;
    };
    return run_in_child(kill_as_user) == 0;
}

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
