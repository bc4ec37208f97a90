#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <sys/types.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The file that names the process which runs an engine. It lies in the workload folder, where the
/// engine cannot write: what it says is believed. The process writes the file itself before it
/// becomes the engine, so that no engine runs without one. The file stays when the process has ended;
/// whether it still runs is found in /proc.
namespace detail::subprocess {

inline constexpr const char* identity_name = "identity";
inline constexpr const char* identity_draft_name = "identity.new";

struct process_identity {
    uuid engine_id{}; ///< Nil in a file of 0.1.0, which does not say.
    std::string boot_id;
    std::uint64_t generation = 0;
    std::uint16_t port = 0;
    engine_owner owner{};
    uid_t uid = 0; ///< The user that the engine has for itself; 0 if it runs as this program's.
    pid_t pid = 0;
    std::uint64_t start_time = 0; ///< As in /proc/<pid>/stat.
};

/// The part of the file that is known before the process exists. `identity_tail` follows. The user is
/// in hexadecimal, so that no user_id can break the lines.
[[nodiscard]] inline std::string identity_head(const process_identity& identity) {
    return "roundhouse-engine 3\nengine " + to_string(identity.engine_id) + "\nboot " +
           identity.boot_id + "\ngeneration " + std::to_string(identity.generation) + "\nport " +
           std::to_string(identity.port) + "\nproduct " + to_string(identity.owner.product_id) +
           "\nuser " + to_hex(identity.owner.user_id) + "\nuid " + std::to_string(identity.uid) +
           "\npid ";
}

/// The rest of the file, which the process writes. Does not allocate.
struct identity_tail {
    identity_tail(pid_t pid, std::uint64_t start_time) noexcept {
        char* at = std::to_chars(text.data(), text.data() + 20, pid).ptr;
        const auto append = [&at](std::string_view part) {
            for (const char c : part) *at++ = c;
        };
        append("\nstart ");
        at = std::to_chars(at, at + 20, start_time).ptr;
        append("\nend\n");
        size = static_cast<std::size_t>(at - text.data());
    }

    std::array<char, 96> text{};
    std::size_t size = 0;
};

/// Parses the file. Empty if it is truncated or has another format.
[[nodiscard]] inline std::optional<process_identity> parse_identity(std::string_view text) {
    const auto take = [&text](std::string_view label) -> std::optional<std::string_view> {
        const auto end = text.find('\n');
        if (end == std::string_view::npos || !text.starts_with(label)) return std::nullopt;
        const auto value = text.substr(label.size(), end - label.size());
        text.remove_prefix(end + 1);
        return value;
    };
    const auto read_number = [&take](std::string_view label, auto& number) {
        const auto value = take(label);
        if (!value) return false;
        const auto [end, problem] = std::from_chars(value->data(), value->data() + value->size(),
                                                    number);
        return problem == std::errc{} && end == value->data() + value->size();
    };
    process_identity identity;
    const bool of_0_1_0 = text.starts_with("roundhouse-engine 2\n");
    if (!take(of_0_1_0 ? "roundhouse-engine 2" : "roundhouse-engine 3")) return std::nullopt;
    if (!of_0_1_0) {
        const auto engine = parse_uuid(take("engine ").value_or(""));
        if (!engine) return std::nullopt;
        identity.engine_id = *engine;
    }
    const auto boot = take("boot ");
    if (!boot) return std::nullopt;
    identity.boot_id = *boot;
    if (!read_number("generation ", identity.generation) || !read_number("port ", identity.port))
        return std::nullopt;
    const auto product = parse_uuid(take("product ").value_or(""));
    const auto user = from_hex(take("user ").value_or("?"));
    if (!product || !user) return std::nullopt;
    identity.owner = {*product, *user};
    if (!of_0_1_0 && !read_number("uid ", identity.uid)) return std::nullopt;
    if (!read_number("pid ", identity.pid) || !read_number("start ", identity.start_time) ||
        !take("end") || identity.pid <= 1) {
        return std::nullopt;
    }
    return identity;
}

/// Reads an identity file. Empty if there is none or a damaged one. Fails if the file cannot be read.
[[nodiscard]] inline result<std::optional<process_identity>>
read_identity(const std::string& path) {
    const auto file = open_regular(path, O_RDONLY);
    if (!file) {
        // A link, a folder or the like in its place counts as damage.
        if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENXIO ||
            errno == EINVAL)
            return std::nullopt;
        return failed(path, errno);
    }
    std::array<char, 1024> text;
    const auto size = ::read(file.get(), text.data(), text.size());
    if (size < 0) return failed(path, errno);
    return parse_identity({text.data(), static_cast<std::size_t>(size)});
}

/// Reads the identity file of an engine. One of another engine, such as a copy, counts as damaged.
[[nodiscard]] inline result<std::optional<process_identity>> read_identity(const std::string& path,
                                                                           const uuid& engine) {
    auto identity = read_identity(path);
    if (identity && *identity && (*identity)->engine_id != engine) identity->reset();
    return identity;
}

/// An id that is new with each boot of the machine. Start times count from the boot.
[[nodiscard]] inline std::string read_boot_id() {
    const descriptor file{::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC)};
    std::array<char, 64> text;
    const auto size = file ? ::read(file.get(), text.data(), text.size()) : -1;
    if (size <= 0)
        throw std::system_error{errno, std::system_category(), "/proc/sys/kernel/random/boot_id"};
    std::string_view id{text.data(), static_cast<std::size_t>(size)};
    return std::string{id.substr(0, id.find('\n'))};
}

/// Opens a pidfd of the process that an identity names. Empty if that process has ended, and if the
/// identity names one that leads no session of its own, which no engine's process is, or this one.
[[nodiscard]] inline result<descriptor> open_identified(const process_identity& identity,
                                                        std::string_view boot_id) {
    if (identity.boot_id != boot_id || identity.pid == ::getpid()) return descriptor{};
    auto process = find_process(identity.pid, identity.start_time);
    if (!process) return unexpected{process.error()};
    if (!*process || (*process)->stat.session != identity.pid) return descriptor{};
    return std::move((*process)->pidfd);
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
