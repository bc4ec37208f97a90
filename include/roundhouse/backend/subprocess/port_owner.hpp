#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Which process listens on a port of the loopback address, as the kernel tells it (sock_diag(7)).
namespace detail::subprocess {

/// A socket that listens.
struct listener {
    std::uint32_t inode = 0; ///< Names it among the descriptors of a process.
    uid_t uid = 0;           ///< Of the process that made it.
};

/// The socket that would get a connection to a port of 127.0.0.1. Empty if there is none; fails if
/// the kernel does not tell. A few system calls; does not block.
[[nodiscard]] inline result<std::optional<listener>> find_listener(std::uint16_t port) {
    constexpr auto what = "cannot ask who listens on a port";
    const descriptor kernel{::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)};
    if (!kernel) return failed(what, errno);
    // The kernel answers at once. The bound is for one that does not.
    const timeval second{.tv_sec = 1, .tv_usec = 0};
    ::setsockopt(kernel.get(), SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    struct {
        nlmsghdr head;
        inet_diag_req_v2 body;
    } request{};
    request.head.nlmsg_len = sizeof request;
    request.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.head.nlmsg_flags = NLM_F_REQUEST; // for one socket, not for a list
    request.body.sdiag_family = AF_INET;
    request.body.sdiag_protocol = IPPROTO_TCP;
    request.body.id.idiag_sport = htons(port);
    request.body.id.idiag_src[0] = htonl(INADDR_LOOPBACK);
    request.body.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    if (::send(kernel.get(), &request, sizeof request, 0) < 0) return failed(what, errno);
    alignas(nlmsghdr) std::array<char, 1024> answer;
    const auto size = ::recv(kernel.get(), answer.data(), answer.size(), 0);
    if (size < 0) return failed(what, errno);
    nlmsghdr head;
    if (static_cast<std::size_t>(size) < sizeof head) return failed(what, EPROTO);
    std::memcpy(&head, answer.data(), sizeof head);
    const char* const body = answer.data() + NLMSG_HDRLEN;
    const auto body_size = static_cast<std::size_t>(size) - NLMSG_HDRLEN;
    if (head.nlmsg_type == NLMSG_ERROR && body_size >= sizeof(nlmsgerr)) {
        nlmsgerr problem;
        std::memcpy(&problem, body, sizeof problem);
        if (problem.error == -ENOENT) return std::optional<listener>{};
        return failed(what, -problem.error);
    }
    if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY || body_size < sizeof(inet_diag_msg))
        return failed(what, EPROTO);
    inet_diag_msg found;
    std::memcpy(&found, body, sizeof found);
    return std::optional(listener{.inode = found.idiag_inode, .uid = found.idiag_uid});
}

/// Whether a process has a socket among its descriptors. Empty if these may not be looked at. False
/// for a process that has ended.
[[nodiscard]] inline std::optional<bool> has_socket(pid_t pid, std::uint32_t inode) {
    const auto path = "/proc/" + std::to_string(pid) + "/fd";
    const std::unique_ptr<DIR, int (*)(DIR*)> folder{::opendir(path.c_str()), ::closedir};
    if (!folder) return errno == ENOENT ? std::optional(false) : std::nullopt;
    const auto wanted = "socket:[" + std::to_string(inode) + ']';
    std::array<char, 64> target;
    while (const dirent* entry = ::readdir(folder.get())) {
        const auto size = ::readlinkat(::dirfd(folder.get()), entry->d_name, target.data(),
                                       target.size());
        if (size < 0 && (errno == EACCES || errno == EPERM)) return std::nullopt;
        if (size > 0 && std::string_view(target.data(), static_cast<std::size_t>(size)) == wanted)
            return true;
    }
    return false;
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
