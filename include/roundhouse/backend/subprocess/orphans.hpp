#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/engine_cgroups.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/backend/subprocess/process_watch.hpp>
#include <roundhouse/backend/subprocess/unended.hpp>
#include <roundhouse/backend/subprocess/workload_processes.hpp>
#include <roundhouse/types.hpp>

#include <asio/awaitable.hpp>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

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

/// Ends what engines have left behind. Used on the supervisor's strand only.
class orphan_sweeper {
public:
    /// Unless it `is_on`, nothing is done. `unended` gets those that cannot be ended.
    orphan_sweeper(bool is_on, duration kill_timeout, unended_processes& unended)
        : is_on_{is_on}, kill_timeout_{kill_timeout}, unended_{unended} {}

    /// Whether there is a child that leads no engine.
    [[nodiscard]] bool finds_any(const running_workloads& running) const {
        return is_on_ && has_other_child(running.leaders);
    }

    /// Ends all that there are. What they have started meanwhile is left to the next call, and those
    /// that this program may not signal are left alone. `running` must stay as long as the call.
    asio::awaitable<void> sweep(running_workloads running, workload_processes& processes) {
        constexpr int most_passes = 3; // orphans that start others must not delay the caller
        const auto give_up = std::chrono::steady_clock::now() + kill_timeout_;
        for (int pass = 0; pass < most_passes && finds_any(running); ++pass) {
            auto reading = processes.table();
            const auto table = co_await std::move(reading);
            if (!table || !is_on_) co_return;
            auto orphans = take_orphans(**table, running);
            leave_refused(orphans);
            if (orphans.empty()) co_return;
            auto ending = processes.end_these(orphans, SIGKILL, give_up);
            if (!co_await std::move(ending)) co_return;
        }
    }

    /// Leaves all processes alone from now on.
    void close() noexcept { is_on_ = false; }

private:
    /// To wait for these would delay the end of every engine.
    void leave_refused(process_table& orphans) {
        std::erase_if(orphans, [this](const process_entry& orphan) {
            if (may_signal(orphan)) return false;
            unended_.refused("what an engine has left cannot be ended", orphan);
            return true;
        });
    }

    bool is_on_;
    const duration kill_timeout_;
    unended_processes& unended_;
};

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
