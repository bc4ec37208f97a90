#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The control groups (cgroups(7)) that this program may make others in.
namespace detail::subprocess {

/// The group that this program moves to, because a group of version 2 with processes of its own
/// cannot give controllers to those in it. A unit of systemd may start it there (DelegateSubgroup=).
inline constexpr std::string_view server_cgroup = "roundhouse-server";

/// The controllers of a group that engines can have ceilings by.
struct cgroup_controllers {
    bool memory = false;
    bool cpu = false;
    bool pids = false;
    bool io = false;

    [[nodiscard]] bool any() const noexcept { return memory || cpu || pids || io; }
};

/// A member of `cgroup_controllers`, and the controller's names.
struct controller_names {
    bool cgroup_controllers::*member;
    std::string_view unified; ///< In version 2.
    std::string_view alone;   ///< In version 1.
};

inline constexpr std::array<controller_names, 4> all_controllers{
    {{&cgroup_controllers::memory, "memory", "memory"},
     {&cgroup_controllers::cpu, "cpu", "cpu"},
     {&cgroup_controllers::pids, "pids", "pids"},
     {&cgroup_controllers::io, "io", "blkio"}}};

/// What a group of version 2 is told, so that those in it get these controllers.
[[nodiscard]] inline std::string passed_on(const cgroup_controllers& controllers) {
    std::string text;
    for (const auto& each : all_controllers)
        if (controllers.*each.member) text.append(text.empty() ? "+" : " +").append(each.unified);
    return text;
}

/// One of the hierarchies that the machine has, and the place of this program in it.
struct cgroup_tree {
    std::string base;     ///< The folder of the group in which engines get theirs.
    bool unified = false; ///< Of version 2.
    cgroup_controllers controllers;
};

/// The most hierarchies of version 1 that engines have groups in: one for each controller.
inline constexpr std::size_t most_other_trees = all_controllers.size();

/// Writes to a file that the kernel makes. Fails with the path and the cause.
[[nodiscard]] inline result<void> write_setting(const std::string& path, std::string_view value) {
    const descriptor file{::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC)};
    if (!file || ::write(file.get(), value.data(), value.size()) < 0)
        return failed("cannot write " + path, errno);
    return {};
}

/// The parts of a text between separators, without empty ones.
[[nodiscard]] inline std::vector<std::string_view> parts_of(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const auto part = text.substr(0, text.find(separator));
        text.remove_prefix(std::min(text.size(), part.size() + 1));
        if (!part.empty()) parts.push_back(part);
    }
    return parts;
}

[[nodiscard]] inline bool has_part(const std::vector<std::string_view>& parts,
                                   std::string_view part) {
    return std::ranges::find(parts, part) != parts.end();
}

/// Of the controllers that are wanted, those that are listed by their names of one version.
[[nodiscard]] inline cgroup_controllers wanted_of(const cgroup_controllers& wanted,
                                                  const std::vector<std::string_view>& listed,
                                                  std::string_view controller_names::*name) {
    cgroup_controllers out;
    for (const auto& each : all_controllers)
        out.*each.member = wanted.*each.member && has_part(listed, each.*name);
    return out;
}

[[nodiscard]] inline bool is_folder_at(const std::string& path) noexcept {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

/// The folder of a group that /proc/self/cgroup names, or of its parent if it is `server_cgroup`. In
/// a container the name may count from a group that is not seen: then it is the top of the mount.
[[nodiscard]] inline std::string cgroup_folder(const std::string& mount, std::string_view path) {
    while (path.ends_with('/')) path.remove_suffix(1);
    if (path.ends_with(server_cgroup) &&
        path.substr(0, path.size() - server_cgroup.size()).ends_with('/'))
        path.remove_suffix(server_cgroup.size() + 1);
    auto folder = mount + std::string(path);
    return is_folder_at(folder) ? folder : mount;
}

/// Whether a group of version 2 was left to this program: systemd marks those that it does not
/// manage itself (Delegate=). What it manages it may undo at any time.
[[nodiscard]] inline bool is_delegated(const std::string& folder, bool is_top) {
    if (is_top || ::geteuid() != 0 || !is_folder_at("/run/systemd/system")) return true;
    const auto is_marked = [&folder](const char* name) {
        char value = 0;
        return ::getxattr(folder.c_str(), name, &value, 1) == 1 && value == '1';
    };
    return is_marked("trusted.delegate") || is_marked("user.delegate");
}

/// Lets groups that are made in a group of version 2 have controllers. Moves this program out of it
/// first, unless the group is the top of all (which has no type). Returns those that they have.
inline cgroup_controllers enable_controllers(const std::string& base, cgroup_controllers wanted) {
    std::string text;
    read_all(AT_FDCWD, base + "/cgroup.controllers", text);
    std::ranges::replace(text, '\n', ' ');
    wanted = wanted_of(wanted, parts_of(text, ' '), &controller_names::unified);
    if (!wanted.any()) return wanted;
    if (exists(base + "/cgroup.type")) {
        const auto server = base + '/' + std::string(server_cgroup);
        ::mkdir(server.c_str(), 0755); // one that cannot be made cannot be written to either
        if (!write_setting(server + "/cgroup.procs", "0")) return {};
    }
    const auto file = base + "/cgroup.subtree_control";
    if (write_setting(file, passed_on(wanted))) return wanted;
    for (const auto& each : all_controllers) { // the kernel may refuse one only
        cgroup_controllers one;
        one.*each.member = wanted.*each.member;
        if (one.any()) wanted.*each.member = write_setting(file, passed_on(one)).has_value();
    }
    return wanted;
}

/// Whether groups can be made in a group: by making one, which is removed again.
[[nodiscard]] inline bool takes_groups(const std::string& base, const std::string& name) {
    const auto folder = base + '/' + name;
    if (::mkdir(folder.c_str(), 0755) != 0) return errno == EEXIST;
    ::rmdir(folder.c_str()); // fails for a folder that stands for a hierarchy and has files
    return true;
}

/// The hierarchies in which engines can have groups. `root` is where they are mounted, `own` the text
/// of /proc/self/cgroup, and `name` that of the group which holds the engines'. Of version 1 only
/// those that have a controller which is wanted.
[[nodiscard]] inline std::vector<cgroup_tree> find_cgroup_trees(const std::string& root,
                                                                std::string_view own,
                                                                const std::string& name,
                                                                const cgroup_controllers& wanted) {
    std::vector<cgroup_tree> unified;
    std::vector<cgroup_tree> others;
    for (const auto line : parts_of(own, '\n')) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string_view::npos || second == std::string_view::npos) continue;
        const auto list = line.substr(first + 1, second - first - 1);
        const auto path = line.substr(second + 1);
        if (list.empty()) {
            const bool is_hybrid = exists(root + "/unified/cgroup.controllers");
            const auto mount = is_hybrid ? root + "/unified" : root;
            auto base = cgroup_folder(mount, path);
            if (!exists(base + "/cgroup.controllers") || !is_delegated(base, base == mount) ||
                !takes_groups(base, name))
                continue;
            const auto controllers = enable_controllers(base, wanted);
            unified.push_back({std::move(base), true, controllers});
            continue;
        }
        const auto listed = parts_of(list, ',');
        const auto has = wanted_of(wanted, listed, &controller_names::alone);
        if (!has.any()) continue;
        const auto of_all = root + '/' + std::string(list);
        const auto mount = is_folder_at(of_all) ? of_all : root + '/' + std::string(listed.front());
        auto base = cgroup_folder(mount, path);
        if (takes_groups(base, name)) others.push_back({std::move(base), false, has});
    }
    if (others.size() > most_other_trees) others.resize(most_other_trees);
    unified.insert(unified.end(), others.begin(), others.end()); // the one that can end all first
    return unified;
}

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
