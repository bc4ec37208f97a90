#pragma once

#include <roundhouse/backend/subprocess/cgroup_trees.hpp>
#include <roundhouse/backend/subprocess/child.hpp>
#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/disk.hpp>
#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// The ceilings of an engine; 0 for none.
struct engine_ceilings {
    std::uint64_t memory_bytes = 0;
    double cpus = 0;
    std::uint32_t processes = 0;
    std::uint64_t io_bytes_per_s = 0; ///< Read from the disk, and as many written.
    dev_t disk = 0;                   ///< With 0 that ceiling holds nowhere.
};

/// The ways into an engine's groups.
struct cgroup_entrances {
    /// That of version 2: its folder, in which a child can be started, and the file by which one enters
    /// it later. Empty if the engine has no such group.
    descriptor folder;
    descriptor file;
    /// Those of version 1: the files by which a process enters them.
    std::array<descriptor, most_other_trees> others;
};

/// Moves the calling process, which has one thread, into the group that it has the entrance of, if it
/// has one. Async-signal-safe. On failure returns false, with the cause in errno.
[[nodiscard]] inline bool enter_cgroup(const descriptor& entrance) noexcept {
    return !entrance || ::write(entrance.get(), "0", 1) == 1;
}

/// The same for several groups.
[[nodiscard]] inline bool
enter_cgroups(const std::array<descriptor, most_other_trees>& files) noexcept {
    return std::ranges::all_of(files, enter_cgroup);
}

/// Starts a child as `start_child` does, in all groups of an engine. It calls `run` with whether it
/// has entered them; if not, the cause is in errno.
template <class Run>
[[nodiscard]] pid_t start_child_in(const cgroup_entrances& groups, const Run& run) noexcept {
    if (groups.folder) {
        const pid_t pid = start_child_in(groups.folder.get(), [&]() noexcept -> int {
            return run(enter_cgroups(groups.others));
        });
        if (pid >= 0) return pid; // else the other way is tried, which tells what is wrong
    }
    return start_child([&]() noexcept -> int {
        return run(enter_cgroup(groups.file) && enter_cgroups(groups.others));
    });
}

/// The engine whose group a process is in: `text` is its /proc/<pid>/cgroup, and `name` the group that
/// holds those of the engines.
[[nodiscard]] inline std::optional<uuid> engine_in_cgroup(std::string_view text,
                                                          std::string_view name) {
    for (const auto line : parts_of(text, '\n')) {
        const auto parts = parts_of(line, '/');
        const auto at = std::ranges::find(parts, name);
        if (at == parts.end() || at + 1 == parts.end()) continue;
        if (const auto engine = parse_uuid(*(at + 1))) return engine;
    }
    return std::nullopt;
}

/// The control groups of engines: `<base>/<name>/<engine>` in each hierarchy. Holds their paths and
/// settings only, so that it may be copied and used from any thread. Its members make a few system
/// calls, which do not block for long.
class engine_cgroups {
public:
    /// Engines have none.
    engine_cgroups() = default;

    /// Finds out what can be used: of the hierarchies that `find_cgroup_trees` describes those in which
    /// a group could be made as an engine's is, and entered by a child. Blocks for one child each.
    engine_cgroups(const std::string& root, std::string_view own, std::string name,
                   const engine_ceilings& ceilings)
        : name_{std::move(name)},
          ceilings_{ceilings},
          trees_{find_cgroup_trees(root, own, name_,
                                   {.memory = true,
                                    .cpu = ceilings.cpus > 0,
                                    .pids = true,
                                    .io = ceilings.io_bytes_per_s > 0 && ceilings.disk != 0})} {
        std::erase_if(trees_, [this](const cgroup_tree& tree) {
            const auto usable = try_out(tree);
            if (!usable) left_out_.push_back(usable.error().message);
            return !usable;
        });
    }

    [[nodiscard]] bool empty() const noexcept { return trees_.empty(); }

    /// Why hierarchies are not used in which groups can be made: a folder and a cause for each.
    [[nodiscard]] const std::vector<std::string>& left_out() const noexcept { return left_out_; }

    /// Whether ceilings of a kind hold: `controller` is a member of `cgroup_controllers`.
    [[nodiscard]] bool hold(bool cgroup_controllers::*controller) const {
        return std::ranges::any_of(
            trees_, [&](const cgroup_tree& tree) { return tree.controllers.*controller; });
    }

    /// Whether an engine has a group.
    [[nodiscard]] bool has(const uuid& engine) const {
        return std::ranges::any_of(
            trees_, [&](const cgroup_tree& tree) { return exists(folder_in(tree, engine)); });
    }

    /// The engines that have groups.
    [[nodiscard]] std::vector<uuid> engines() const {
        std::vector<uuid> out;
        for (const auto& tree : trees_)
            if (const auto found = engines_in(tree.base + '/' + name_)) // or none has one there
                for (const auto& engine : *found)
                    if (std::ranges::find(out, engine) == out.end()) out.push_back(engine);
        return out;
    }

    /// Makes the groups of an engine, with its ceilings. A failure names the file and the cause.
    [[nodiscard]] result<cgroup_entrances> make(const uuid& engine) const {
        return make(engine, ceilings_);
    }

    /// The same with other ceilings than engines have as a rule. That of the disk is always the rule's.
    [[nodiscard]] result<cgroup_entrances> make(const uuid& engine,
                                                const engine_ceilings& ceilings) const {
        cgroup_entrances entrances;
        auto other = entrances.others.begin();
        for (const auto& tree : trees_) {
            if (auto made = make_with_ceilings(tree, engine, ceilings); !made)
                return unexpected{made.error()};
            const auto folder = folder_in(tree, engine);
            if (tree.unified) {
                entrances.folder = descriptor{
                    ::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
                if (!entrances.folder) return failed("cannot open " + folder, errno);
            }
            auto file = open_entrance(tree, folder);
            if (!file) return unexpected{file.error()};
            (tree.unified ? entrances.file : *other++) = std::move(*file);
        }
        return entrances;
    }

    /// The processes in an engine's group that run. What is in another group by the end of the call is
    /// left out: its number may have been another process's.
    [[nodiscard]] process_table processes_of(const uuid& engine) const {
        process_table found;
        if (trees_.empty()) return found;
        const auto file = folder_in(trees_.front(), engine) + "/cgroup.procs";
        for (const auto pid : pids_in(file)) {
            process_entry process;
            process.pid = pid;
            const auto stat = read_process_stat(pid);
            if (!stat || stat->gone()) continue;
            process.stat = *stat;
            found.push_back(process);
        }
        if (found.empty()) return found;
        auto still = pids_in(file);
        std::ranges::sort(still);
        std::erase_if(found, [&still](const process_entry& process) {
            return !std::ranges::binary_search(still, process.pid);
        });
        return found;
    }

    /// Ends all processes in an engine's group. Where the kernel does not do so at once, none of them
    /// can start another any more, if there is a controller for that; call it again until none is left.
    void kill(const uuid& engine) const {
        for (const auto& tree : trees_)
            if (tree.unified && write_setting(folder_in(tree, engine) + "/cgroup.kill", "1"))
                return;
        for (const auto& tree : trees_)
            if (tree.controllers.pids) // fails if there is no group
                static_cast<void>(write_setting(folder_in(tree, engine) + "/pids.max", "0"));
        for (const auto& process : processes_of(engine))
            if (const auto pidfd = open_member(process); pidfd && *pidfd) // or it has ended
                send_signal(pidfd->get(), SIGKILL);
    }

    /// Removes the groups of an engine. False while processes are in one.
    [[nodiscard]] bool remove(const uuid& engine) const {
        bool gone = true;
        for (const auto& tree : trees_)
            gone = (::rmdir(folder_in(tree, engine).c_str()) == 0 || errno == ENOENT) && gone;
        return gone;
    }

    /// Removes the groups that hold those of the engines, unless an engine has one.
    void remove_own() const {
        for (const auto& tree : trees_) remove_from(tree);
    }

    /// The engine whose group a process is in.
    [[nodiscard]] std::optional<uuid> engine_of(pid_t pid) const {
        if (trees_.empty()) return std::nullopt;
        std::string text;
        read_all(AT_FDCWD, "/proc/" + std::to_string(pid) + "/cgroup", text);
        return engine_in_cgroup(text, name_);
    }

    /// How many processes of an engine's group the kernel has ended for want of memory. 0 if it does
    /// not tell.
    [[nodiscard]] std::uint64_t out_of_memory_kills(const uuid& engine) const {
        for (const auto& tree : trees_) {
            if (!tree.controllers.memory) continue;
            std::string text;
            read_all(AT_FDCWD,
                     folder_in(tree, engine) +
                         (tree.unified ? "/memory.events" : "/memory.oom_control"),
                     text);
            constexpr std::string_view label = "oom_kill ";
            for (const auto line : parts_of(text, '\n')) {
                if (!line.starts_with(label)) continue;
                std::uint64_t count = 0;
                std::from_chars(line.data() + label.size(), line.data() + line.size(), count);
                return count;
            }
        }
        return 0;
    }

    /// Whether an engine ended because its memory, or the machine's, had run out: the kernel has ended
    /// it, or the process that its shell waited for. `before` is what `out_of_memory_kills` was then.
    [[nodiscard]] bool ended_out_of_memory(const uuid& engine, std::uint64_t before,
                                           const std::optional<exit_report>& exit) const {
        constexpr int of_shell = 128 + SIGKILL;
        return (!exit || exit->signal == SIGKILL || exit->code == of_shell) &&
               out_of_memory_kills(engine) > before;
    }

private:
    [[nodiscard]] std::string folder_in(const cgroup_tree& tree, const uuid& engine) const {
        return tree.base + '/' + name_ + '/' + to_string(engine);
    }

    [[nodiscard]] static std::vector<pid_t> pids_in(const std::string& file) {
        std::string text;
        read_all(AT_FDCWD, file, text);
        std::vector<pid_t> pids;
        for (const auto line : parts_of(text, '\n')) {
            pid_t pid = 0; // stays so for a process of another pid namespace
            std::from_chars(line.data(), line.data() + line.size(), pid);
            if (pid > 0 && pid != ::getpid()) pids.push_back(pid);
        }
        return pids;
    }

    /// Programs look for their ceilings in their group: all users may read it.
    [[nodiscard]] static result<void> make_group(const std::string& folder) {
        if (::mkdir(folder.c_str(), 0755) == 0 || errno == EEXIST) return {};
        return failed("cannot make the control group " + folder, errno);
    }

    /// The file by which a process enters a group.
    [[nodiscard]] static result<descriptor> open_entrance(const cgroup_tree& tree,
                                                          const std::string& folder) {
        // Moving one thread of version 1 spares the kernel a wait for all processors.
        const auto file = folder + (tree.unified ? "/cgroup.procs" : "/tasks");
        descriptor entrance{::open(file.c_str(), O_WRONLY | O_CLOEXEC)};
        if (!entrance) return failed("cannot open " + file, errno);
        return entrance;
    }

    /// Makes a group in a hierarchy as for an engine, has a child enter it, and removes it. Groups can
    /// be made where no process may be moved to, such as from a group that is not this program's.
    [[nodiscard]] result<void> try_out(const cgroup_tree& tree) const {
        constexpr uuid nobody{};
        auto outcome = enter_by_child(tree, nobody);
        // What stays is used by the next trial, or removed like a group that is left of an engine.
        ::rmdir(folder_in(tree, nobody).c_str());
        remove_from(tree);
        return outcome;
    }

    [[nodiscard]] result<void> enter_by_child(const cgroup_tree& tree, const uuid& engine) const {
        if (auto made = make_with_ceilings(tree, engine, ceilings_); !made) return made;
        const auto entrance = open_entrance(tree, folder_in(tree, engine));
        if (!entrance) return unexpected{entrance.error()};
        const int problem = run_in_child(
            [&entrance]() noexcept { return enter_cgroup(*entrance) ? 0 : errno; });
        if (problem == 0) return {};
        return failed("no process can enter the control group " + folder_in(tree, engine),
                      problem > 0 ? problem : ECHILD);
    }

    /// Removes the group that holds those of the engines, unless an engine has one.
    void remove_from(const cgroup_tree& tree) const { ::rmdir((tree.base + '/' + name_).c_str()); }

    [[nodiscard]] result<void> make_with_ceilings(const cgroup_tree& tree, const uuid& engine,
                                                  const engine_ceilings& ceilings) const {
        const auto holder = tree.base + '/' + name_;
        if (auto made = make_group(holder); !made) return made;
        const auto& has = tree.controllers;
        if (const auto text = passed_on(has); tree.unified && !text.empty())
            if (auto set = write_setting(holder + "/cgroup.subtree_control", text); !set)
                return set;
        const auto folder = folder_in(tree, engine);
        if (auto made = make_group(folder); !made) return made;
        if (has.memory)
            if (auto set = set_memory(folder, tree.unified, ceilings.memory_bytes); !set)
                return set;
        if (has.cpu)
            if (auto set = set_cpus(folder, tree.unified, ceilings.cpus); !set) return set;
        if (has.io)
            if (auto set = set_io(folder, tree.unified); !set) return set;
        if (!has.pids) return {};
        return write_setting(folder + "/pids.max", ceilings.processes > 0
                                                       ? std::to_string(ceilings.processes)
                                                       : std::string("max"));
    }

    /// A ceiling counts swapped memory too: an engine that swaps slows the others down.
    [[nodiscard]] static result<void> set_memory(const std::string& folder, bool unified,
                                                 std::uint64_t bytes) {
        const auto write_if_there = [&folder](std::string_view name,
                                              std::string_view value) -> result<void> {
            const auto path = folder + std::string(name);
            if (!exists(path)) return {}; // a kernel without it, or without swap
            return write_setting(path, value);
        };
        const auto number = std::to_string(bytes);
        if (!unified) {
            constexpr std::string_view with_swap = "/memory.memsw.limit_in_bytes";
            if (auto set = write_if_there(with_swap, "-1"); !set) return set; // at least the next
            if (auto set = write_setting(folder + "/memory.limit_in_bytes",
                                         bytes > 0 ? number : "-1");
                !set)
                return set;
            return bytes > 0 ? write_if_there(with_swap, number) : result<void>{};
        }
        if (auto set = write_if_there("/memory.oom.group", "1"); !set) return set;
        if (auto set = write_if_there("/memory.swap.max", bytes > 0 ? "0" : "max"); !set)
            return set;
        return write_setting(folder + "/memory.max", bytes > 0 ? number : "max");
    }

    [[nodiscard]] static result<void> set_cpus(const std::string& folder, bool unified,
                                               double cpus) {
        constexpr long long period_us = 100'000;
        constexpr long long least_us = 1'000; // the kernel refuses less
        const auto quota = std::to_string(
            std::max(least_us, std::llround(cpus * static_cast<double>(period_us))));
        const auto period = std::to_string(period_us);
        if (unified) return write_setting(folder + "/cpu.max", quota + ' ' + period);
        if (auto set = write_setting(folder + "/cpu.cfs_period_us", period); !set) return set;
        return write_setting(folder + "/cpu.cfs_quota_us", quota);
    }

    /// With version 1 what is written by way of the page cache has no ceiling: the kernel does not know
    /// any more whose it is.
    [[nodiscard]] result<void> set_io(const std::string& folder, bool unified) const {
        const auto disk = device_text(ceilings_.disk);
        const auto rate = std::to_string(ceilings_.io_bytes_per_s);
        if (unified)
            return write_setting(folder + "/io.max", disk + " rbps=" + rate + " wbps=" + rate);
        for (const auto* const name : {"read_bps_device", "write_bps_device"})
            if (auto set = write_setting(folder + "/blkio.throttle." + name, disk + ' ' + rate);
                !set)
                return set;
        return {};
    }

    std::string name_;
    engine_ceilings ceilings_;
    std::vector<cgroup_tree> trees_;
    std::vector<std::string> left_out_;
};

/// The control groups that the engines of a store can have; none if none are wanted. `engines` is
/// their folder, by which a later program on the store finds them again: it keeps its number when it
/// is moved.
[[nodiscard]] inline engine_cgroups find_cgroups(const subprocess_options& options,
                                                 const std::string& engines) {
    const bool asked_for = options.memory_bytes > 0 || options.cpus > 0 ||
                           options.io_bytes_per_s > 0;
    if (options.cgroup_root.empty() || (options.isolation == isolation_mode::none && !asked_for))
        return {};
    const auto mark = store_mark(engines);
    if (mark.empty()) return {};
    std::string own;
    read_all(AT_FDCWD, "/proc/self/cgroup", own);
    return {options.cgroup_root, own, "roundhouse-" + mark,
            engine_ceilings{.memory_bytes = options.memory_bytes,
                            .cpus = options.cpus,
                            .processes = options.processes,
                            .io_bytes_per_s = options.io_bytes_per_s,
                            .disk = disk_of(engines)}};
}

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
