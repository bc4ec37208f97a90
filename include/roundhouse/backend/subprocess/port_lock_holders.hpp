#pragma once

#include <roundhouse/detail/sock_diag.hpp>
#include <roundhouse/version.hpp>

#include <sys/socket.h>
#include <sys/types.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The names by which servers hold ports, and who has them.
namespace detail::subprocess {

inline constexpr std::string_view port_lock_prefix = "roundhouse-port-";

/// The name of a port's lock, in the abstract namespace of Unix sockets (unix(7)).
[[nodiscard]] inline std::string port_lock_name(std::uint16_t port) {
    return std::string(port_lock_prefix) + std::to_string(port);
}

/// The port whose lock has a name, which is as the kernel tells it: with a first byte of 0. Empty if it
/// is another name.
[[nodiscard]] inline std::optional<std::uint16_t> port_of_lock(std::string_view name) {
    if (!name.starts_with('\0')) return std::nullopt;
    name.remove_prefix(1);
    if (!name.starts_with(port_lock_prefix)) return std::nullopt;
    const auto digits = name.substr(port_lock_prefix.size());
    std::uint16_t port = 0;
    const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (problem != std::errc{} || port_lock_name(port) != name) return std::nullopt;
    return port;
}

/// The user of the process that made the lock of each port which is locked in this network namespace.
/// What the kernel does not tell is left out. Looks at all Unix sockets there are, which takes
/// milliseconds for thousands.
[[nodiscard]] inline std::unordered_map<std::uint16_t, uid_t> port_lock_holders() {
    std::unordered_map<std::uint16_t, uid_t> found;
    static_cast<void>(sock_diag().list_named([&found](const named_socket& socket) {
        if (socket.type != SOCK_STREAM) return; // a name counts for sockets of one type only
        if (const auto port = port_of_lock(socket.name)) found.emplace(*port, socket.uid);
    }));
    return found;
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
