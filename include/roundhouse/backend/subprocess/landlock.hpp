#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/error.hpp>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// Landlock (landlock(7)): a process gives up rights for itself and all that it starts, whatever its
/// user. What the kernel's header has not yet on older systems is defined here; the kernel is asked
/// at run time.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// What a process may still do. Outgoing connections are not restricted.
struct landlock_rules {
    std::vector<std::string> readable; ///< Files and folders to read and to execute.
    std::vector<std::string> writable; ///< Files to read and to write, such as devices.
    std::vector<std::string> owned;    ///< Folders with all rights but to make devices; must exist.
    std::uint16_t port = 0;            ///< To listen on, beside ephemeral ones.
};

namespace landlock {

// Rights on files and folders, of linux/landlock.h, with the version of the interface since which
// each exists.
inline constexpr std::uint64_t execute = 1U << 0U;
inline constexpr std::uint64_t write_file = 1U << 1U;
inline constexpr std::uint64_t read_file = 1U << 2U;
inline constexpr std::uint64_t read_folder = 1U << 3U;
inline constexpr std::uint64_t make_device = (1U << 6U) | (1U << 11U); ///< Character and block.
inline constexpr std::uint64_t all_of_version_1 = (1U << 13U) - 1;
inline constexpr std::uint64_t refer = 1U << 13U;        ///< 2
inline constexpr std::uint64_t truncate = 1U << 14U;     ///< 3
inline constexpr std::uint64_t ioctl_device = 1U << 15U; ///< 5
inline constexpr std::uint64_t of_files = execute | write_file | read_file | truncate |
                                          ioctl_device;

inline constexpr std::uint64_t bind_tcp = 1U << 0U;               ///< 4
inline constexpr std::uint64_t scope_abstract_sockets = 1U << 0U; ///< 6
inline constexpr std::uint64_t scope_signal = 1U << 1U;           ///< 6

struct ruleset_attributes {
    std::uint64_t files = 0;
    std::uint64_t network = 0;
    std::uint64_t scoped = 0;
};
struct [[gnu::packed]] path_attributes {
    std::uint64_t allowed = 0;
    std::int32_t descriptor = -1;
};
struct port_attributes {
    std::uint64_t allowed = 0;
    std::uint64_t port = 0;
};

inline constexpr unsigned version_flag = 1;
inline constexpr int rule_of_path = 1;
inline constexpr int rule_of_port = 2;

/// What this version of the interface can take away.
[[nodiscard]] constexpr ruleset_attributes handled_by(int version) noexcept {
    ruleset_attributes out{.files = all_of_version_1};
    if (version >= 2) out.files |= refer;
    if (version >= 3) out.files |= truncate;
    if (version >= 4) out.network = bind_tcp;
    if (version >= 5) out.files |= ioctl_device;
    if (version >= 6) out.scoped = scope_abstract_sockets | scope_signal;
    return out;
}

/// The attributes that older versions do not know must not be passed to them.
[[nodiscard]] constexpr std::size_t size_for(int version) noexcept {
    return version >= 6   ? sizeof(ruleset_attributes)
           : version >= 4 ? offsetof(ruleset_attributes, scoped)
                          : offsetof(ruleset_attributes, network);
}

} // namespace landlock

/// The version of the kernel's interface; 0 if the kernel has none, or it is switched off.
[[nodiscard]] inline int landlock_version() noexcept {
    const auto version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, landlock::version_flag);
    return version < 0 ? 0 : static_cast<int>(version);
}

/// Makes a set of rules, for `restrict_self`. A file that does not exist is left out, unless it is
/// to be owned. Fails with `backend_error`.
[[nodiscard]] inline result<descriptor> make_landlock_ruleset(const landlock_rules& rules,
                                                              int version) {
    const auto handled = landlock::handled_by(version);
    descriptor ruleset{static_cast<int>(
        ::syscall(SYS_landlock_create_ruleset, &handled, landlock::size_for(version), 0))};
    if (!ruleset) return failed("cannot make a Landlock ruleset", errno);
    const auto allow = [&](const std::string& path, std::uint64_t rights, int flags) {
        const descriptor file{::open(path.c_str(), O_PATH | O_CLOEXEC | flags)};
        struct stat status {};
        if (!file || ::fstat(file.get(), &status) != 0) return false;
        rights &= S_ISDIR(status.st_mode) ? handled.files : handled.files & landlock::of_files;
        const landlock::path_attributes rule{.allowed = rights, .descriptor = file.get()};
        return ::syscall(SYS_landlock_add_rule, ruleset.get(), landlock::rule_of_path, &rule, 0) ==
               0;
    };
    constexpr auto reading = landlock::execute | landlock::read_file | landlock::read_folder;
    constexpr auto using_device = landlock::read_file | landlock::write_file | landlock::truncate |
                                  landlock::ioctl_device;
    for (const auto& path : rules.readable)
        if (!allow(path, reading, 0) && errno != ENOENT && errno != EACCES && errno != ENOTDIR)
            return failed(path, errno);
    for (const auto& path : rules.writable)
        if (!allow(path, using_device, 0) && errno != ENOENT) return failed(path, errno);
    for (const auto& path : rules.owned)
        if (!allow(path, handled.files & ~(landlock::make_device | landlock::ioctl_device),
                   O_DIRECTORY | O_NOFOLLOW))
            return failed(path, errno);
    if (handled.network == 0) return ruleset;
    for (const std::uint64_t port : {std::uint64_t{0}, std::uint64_t{rules.port}}) {
        const landlock::port_attributes rule{.allowed = landlock::bind_tcp, .port = port};
        if (::syscall(SYS_landlock_add_rule, ruleset.get(), landlock::rule_of_port, &rule, 0) != 0)
            return failed("port " + std::to_string(port), errno);
    }
    return ruleset;
}

/// Restricts the calling thread, and what it starts from now on. It must have no_new_privs set.
/// Async-signal-safe. On failure returns false, with the cause in errno.
[[nodiscard]] inline bool restrict_self(int ruleset) noexcept {
    return ::syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
}

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
