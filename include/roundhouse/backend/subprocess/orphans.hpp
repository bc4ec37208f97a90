#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/engine_cgroups.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/backend/subprocess/process_watch.hpp>
#include <roundhouse/types.hpp>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <unordered_map>
#include <unordered_set>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// What engines have started and left: this process inherits it, as the subreaper of its descendants
/// (PR_SET_CHILD_SUBREAPER, prctl(2)), or as the first process of a container.
namespace detail::subprocess {

/// The engines that run, by what their processes are known.
struct running_workloads {
    const std::unordered_map<uuid, watch_ptr>& watches;
    const std::unordered_multiset<pid_t>& leaders;
    const engine_cgroups& cgroups;

    /// Whether a process is one of theirs, as far as that can be seen.
    [[nodiscard]] bool have(const process_entry& process) const {
        if (leaders.contains(process.pid) || leaders.contains(process.stat.session)) return true;
        if (process.engine && watches.contains(*process.engine)) return true;
        const auto grouped = cgroups.engine_of(process.pid);
        if (grouped && watches.contains(*grouped)) return true;
        if (process.uid == 0) return false;
        for (const auto& [engine, watched] : watches)
            if (watched->uid == process.uid) return true;
        return false;
    }
};

/// Whether this process has a child that leads no engine. True if the kernel does not tell (it is
/// built without CONFIG_PROC_CHILDREN).
[[nodiscard]] inline bool has_other_child(const std::unordered_multiset<pid_t>& leaders) {
    std::error_code problem;
    for (std::filesystem::directory_iterator task{"/proc/self/task", problem}, end;
         !problem && task != end; task.increment(problem)) {
        std::ifstream children(task->path() / "children");
        if (!children) return true;
        for (pid_t child = 0; children >> child;)
            if (!leaders.contains(child)) return true;
    }
    return false;
}

/// The children of this process that are no engine's. Those that have ended are reaped and left out.
/// `table` must be new, and this process must start engines only.
[[nodiscard]] inline process_table take_orphans(const process_table& table,
                                                const running_workloads& running) {
    const pid_t self = ::getpid();
    process_table orphans;
    for (const auto& process : table) {
        if (process.stat.parent != self || running.leaders.contains(process.pid)) continue;
        if (!process.stat.gone()) {
            if (!running.have(process)) orphans.push_back(process);
            continue;
        }
        const auto found = find_process(process.pid, process.stat.start_time);
        if (found && *found) reap((*found)->pidfd.get());
    }
    return orphans;
}

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
