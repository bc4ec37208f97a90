#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/detail/sock_diag.hpp>
#include <roundhouse/error.hpp>

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/inet_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Which process listens on a port of the loopback address, as the kernel tells it (sock_diag(7)).
namespace detail::subprocess {

/// A socket that listens.
struct listener {
    std::uint32_t inode = 0; ///< Names it among the descriptors of a process.
    uid_t uid = 0;           ///< Of the process that made it, or that it was given to (fchown).
};

/// The socket that would get a connection to a port of 127.0.0.1. Empty if there is none; fails if
/// the kernel does not tell. A few system calls; does not block.
[[nodiscard]] inline result<std::optional<listener>> find_listener(std::uint16_t port) {
    inet_diag_req_v2 request{};
    request.sdiag_family = AF_INET;
    request.sdiag_protocol = IPPROTO_TCP;
    request.id.idiag_sport = htons(port);
    request.id.idiag_src[0] = htonl(INADDR_LOOPBACK);
    request.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    std::optional<listener> found;
    const int problem = sock_diag().find(request, [&found](const inet_diag_msg& socket) {
        found = listener{.inode = socket.idiag_inode, .uid = socket.idiag_uid};
    });
    if (problem != 0 && problem != ENOENT)
        return failed("cannot ask who listens on a port", problem);
    return found;
}

/// Whether one of the sockets among a process's descriptors, by its inode, is one that `matches`.
/// Empty if the descriptors may not be looked at. False for a process that has ended.
template <std::predicate<std::uint32_t> Matches>
[[nodiscard]] std::optional<bool> any_socket(pid_t pid, const Matches& matches) {
    const auto path = "/proc/" + std::to_string(pid) + "/fd";
    const std::unique_ptr<DIR, int (*)(DIR*)> folder{::opendir(path.c_str()), ::closedir};
    if (!folder) return errno == ENOENT ? std::optional(false) : std::nullopt;
    constexpr std::string_view kind = "socket:[";
    std::array<char, 64> target;
    while (const dirent* entry = ::readdir(folder.get())) {
        const auto size = ::readlinkat(::dirfd(folder.get()), entry->d_name, target.data(),
                                       target.size());
        if (size < 0 && (errno == EACCES || errno == EPERM)) return std::nullopt;
        std::string_view text(target.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
        if (!text.starts_with(kind)) continue;
        text.remove_prefix(kind.size());
        std::uint32_t inode = 0;
        std::from_chars(text.data(), text.data() + text.size(), inode);
        if (matches(inode)) return true;
    }
    return false;
}

/// The same for one socket.
[[nodiscard]] inline std::optional<bool> has_socket(pid_t pid, std::uint32_t inode) {
    return any_socket(pid, [inode](std::uint32_t each) { return each == inode; });
}

/// The failure of an engine whose port somebody else has.
[[nodiscard]] inline unexpected held_by_another(std::uint16_t port) {
    return fail(errc::port_taken, "port " + std::to_string(port) + " is held by another process");
}

/// Whose a listener is.
enum class listener_owner : std::uint8_t { engine, stranger, unknown };

/// Whether one of these processes has a socket.
[[nodiscard]] inline listener_owner owner_among(const process_table& processes,
                                                std::uint32_t inode) {
    bool all_seen = true;
    for (const auto& process : processes) {
        const auto has = has_socket(process.pid, inode);
        if (has.value_or(false)) return listener_owner::engine;
        all_seen = all_seen && has;
    }
    return all_seen ? listener_owner::stranger : listener_owner::unknown;
}

/// Whether the kernel of this machine tells who listens on a port.
[[nodiscard]] inline bool tells_listeners() { return find_listener(1).has_value(); }

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
