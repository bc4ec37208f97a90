#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/backend/subprocess/rights.hpp>
#include <roundhouse/detail/run_on.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/strand.hpp>
#include <dirent.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

struct process_entry {
    pid_t pid = 0;
    process_stat stat;
    uid_t uid = 0;                ///< Its user; 0 too if engines can have none of their own.
    std::optional<uuid> engine{}; ///< The `ENGINE_ID` in its environment.
};

/// All processes of the machine, as read from /proc within a few milliseconds.
using process_table = std::vector<process_entry>;

/// The value of a variable in an environment, which has the format of /proc/<pid>/environ. `name` ends
/// with "=".
[[nodiscard]] inline std::optional<std::string_view> variable_in(std::string_view environment,
                                                                 std::string_view name) {
    for (std::size_t at = 0; (at = environment.find(name, at)) != std::string_view::npos; ++at) {
        if (at > 0 && environment[at - 1] != '\0') continue;
        const auto value = environment.substr(at + name.size());
        return value.substr(0, value.find('\0'));
    }
    return std::nullopt;
}

/// The `ENGINE_ID` of an environment. With a `store`, a `store_mark`, not that of an engine whose
/// `TMPDIR` is in another store that exists: a copy of a store has engines of the same ids.
[[nodiscard]] inline std::optional<uuid> engine_in(std::string_view environment,
                                                   std::string_view store = {}) {
    const auto engine = parse_uuid(variable_in(environment, "ENGINE_ID=").value_or(""));
    if (!engine || store.empty()) return engine;
    const auto temporary = variable_in(environment, "TMPDIR=").value_or("");
    const auto own = '/' + to_string(*engine) + '/' + temporary_name;
    if (!temporary.ends_with(own)) return engine; // it has chosen another
    const auto found = store_mark(std::string(temporary.substr(0, temporary.size() - own.size())));
    if (!found.empty() && found != store) return std::nullopt;
    return engine;
}

/// Reads a whole file of /proc. The text is empty if the process has ended, or may not be read.
inline void read_all(int folder, const std::string& path, std::string& into) {
    // The kernel allows no larger environment.
    constexpr std::size_t most = std::size_t{4} * 1024 * 1024;
    into.clear();
    const descriptor file{::openat(folder, path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!file) return;
    for (std::size_t size = 0; size < most;) {
        into.resize(size + 16384);
        const auto more = ::read(file.get(), into.data() + size, 16384);
        size += more > 0 ? static_cast<std::size_t>(more) : 0;
        into.resize(size);
        if (more <= 0) return;
    }
}

/// The real user in the format of /proc/<pid>/status (proc_pid_status(5)). Empty if it has none.
[[nodiscard]] inline std::optional<uid_t> uid_in(std::string_view status) {
    constexpr std::string_view name = "\nUid:\t";
    const auto at = status.find(name);
    if (at == std::string_view::npos) return std::nullopt;
    status.remove_prefix(at + name.size());
    uid_t uid = 0;
    const auto [end, problem] = std::from_chars(status.data(), status.data() + status.size(), uid);
    return problem == std::errc{} ? std::optional(uid) : std::nullopt;
}

/// `of_engines` are the users that engines have for themselves. Of their processes the environment,
/// which they may change, is not looked at. `store` is the `store_mark`; empty for any.
[[nodiscard]] inline result<process_table> read_process_table(const uid_range& of_engines,
                                                              std::string_view store = {}) {
    const std::unique_ptr<DIR, int (*)(DIR*)> proc{::opendir("/proc"), ::closedir};
    if (!proc) return failed("/proc", errno);
    const bool has_users = may_use_other_users(); // also of an earlier range
    process_table table;
    std::string text;
    while (const dirent* entry = ::readdir(proc.get())) {
        const std::string name{static_cast<const char*>(entry->d_name)};
        process_entry process;
        const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(),
                                                    process.pid);
        if (problem != std::errc{} || end != name.data() + name.size()) continue;
        read_all(::dirfd(proc.get()), name + "/stat", text);
        const auto stat = parse_process_stat(text);
        if (!stat) continue;
        process.stat = *stat;
        if (has_users) {
            read_all(::dirfd(proc.get()), name + "/status", text);
            process.uid = uid_in(text).value_or(0);
        }
        if (!of_engines.contains(process.uid)) {
            read_all(::dirfd(proc.get()), name + "/environ", text);
            process.engine = engine_in(text, store);
        }
        table.push_back(process);
    }
    return table;
}

/// Reads the process table for its callers, which share a reading where they can: one takes some
/// microseconds for each process of the machine.
class process_table_reader {
public:
    using snapshot = std::shared_ptr<const process_table>;

    process_table_reader(const asio::any_io_executor& executor, const uid_range& of_engines,
                         std::string store)
        : strand_{asio::make_strand(executor)}, of_engines_{of_engines}, store_{std::move(store)} {}

    /// Returns a table whose reading began after this call.
    asio::awaitable<result<snapshot>> read() {
        auto reading = read_since(std::chrono::steady_clock::now());
        return run_on(strand_, std::move(reading));
    }

private:
    asio::awaitable<result<snapshot>> read_since(std::chrono::steady_clock::time_point asked_at) {
        if (last_ && last_begun_at_ >= asked_at) co_return last_;
        const auto begun_at = std::chrono::steady_clock::now();
        auto table = read_process_table(of_engines_, store_);
        if (!table) co_return unexpected{table.error()};
        last_ = std::make_shared<const process_table>(std::move(*table));
        last_begun_at_ = begun_at;
        co_return last_;
    }

    asio::any_io_executor strand_;
    uid_range of_engines_;
    std::string store_;
    // Used on the strand only.
    snapshot last_;
    std::chrono::steady_clock::time_point last_begun_at_;
};

/// By what the processes of a workload are known.
struct workload_marks {
    uuid engine;
    pid_t session = 0; ///< The pid of the workload's leader, or 0.
    /// That pid cannot have been reused. If it can, the session counts only if one of its processes
    /// has the engine's id.
    bool held = false;
    uid_t uid = 0; ///< The user that the engine has for itself, or 0.
};

/// The processes of a workload that still run: those of its session and of its user, those that have
/// the engine's id, and what these have started.
///
/// `known` are members that were found before. They stay members until they have ended: while a
/// process exits, and while it calls exec, the kernel shows no environment of it.
[[nodiscard]] inline process_table members_of(const process_table& table,
                                              const workload_marks& marks,
                                              const process_table& known = {}) {
    const pid_t self = ::getpid();
    const auto proves_session = [&](const process_entry& process) {
        return process.engine == marks.engine && process.stat.session == marks.session;
    };
    const bool ours = marks.session > 0 &&
                      (marks.held || std::any_of(table.begin(), table.end(), proves_session));
    const auto is_known = [&](const process_entry& process) {
        return std::any_of(known.begin(), known.end(), [&](const process_entry& entry) {
            return entry.pid == process.pid && entry.stat.start_time == process.stat.start_time;
        });
    };
    process_table members;
    std::unordered_map<pid_t, std::uint64_t> began; // of the members
    const auto add = [&](const process_entry& process) {
        if (process.pid != self && !process.stat.gone() &&
            began.emplace(process.pid, process.stat.start_time).second)
            members.push_back(process);
    };
    for (const auto& process : table)
        if (process.engine == marks.engine || (ours && process.stat.session == marks.session) ||
            (marks.uid != 0 && process.uid == marks.uid) || is_known(process))
            add(process);
    // A parent that began later has the pid of an earlier one.
    const auto is_child = [&](const process_entry& process) {
        const auto parent = began.find(process.stat.parent);
        return parent != began.end() && parent->second <= process.stat.start_time;
    };
    for (std::size_t before = 0; before != members.size();) {
        before = members.size();
        for (const auto& process : table)
            if (is_child(process)) add(process);
    }
    return members;
}

/// Adds the processes that a table does not have yet.
inline void add_to(process_table& table, const process_table& others) {
    std::unordered_map<pid_t, std::uint64_t> began;
    for (const auto& process : table) began.emplace(process.pid, process.stat.start_time);
    for (const auto& process : others) {
        const auto known = began.find(process.pid);
        if (known == began.end() || known->second != process.stat.start_time)
            table.push_back(process);
    }
}

/// Opens a pidfd of a process in the table. Empty if that process has ended meanwhile; fails if no
/// descriptors are left.
[[nodiscard]] inline result<descriptor> open_member(const process_entry& process) {
    auto found = find_process(process.pid, process.stat.start_time);
    if (!found) return unexpected{found.error()};
    if (!*found || has_ended((*found)->pidfd.get())) return descriptor{};
    return std::move((*found)->pidfd);
}

/// Whether this program may signal a process in the table. True for one that has ended.
[[nodiscard]] inline bool may_signal(const process_entry& process) {
    const auto pidfd = open_member(process);
    return !pidfd || !*pidfd || may_signal(pidfd->get());
}

/// That this program may not signal a process, whose that is, and the way out.
[[nodiscard]] inline std::string why_not_signalled(pid_t pid) {
    std::string status;
    read_all(AT_FDCWD, "/proc/" + std::to_string(pid) + "/status", status);
    const auto uid = uid_in(status);
    return "process " + std::to_string(pid) +
           (uid ? " of user " + std::to_string(*uid) : std::string()) +
           " may not be signalled by this program, which is user " + std::to_string(::geteuid()) +
           ": end it as root";
}

/// Why processes, of which there is at least one, have not done what a signal tells them to: the number
/// of one and its state, or that this program may not signal it. `wanted` is a verb.
[[nodiscard]] inline std::string why_unmoved(const process_table& processes,
                                             std::string_view wanted) {
    const auto refused = std::ranges::find_if_not(
        processes, [](const process_entry& process) { return may_signal(process); });
    if (refused != processes.end()) return why_not_signalled(refused->pid);
    return "process " + std::to_string(processes.front().pid) + " does not " + std::string(wanted) +
           " (state " + processes.front().stat.state + ')';
}

/// Reaps the zombies of a session, other than its leader's, which are children of this process: it
/// inherits the orphans of engines where it is the init of its container. `session` must not have
/// been reused.
inline void reap_orphans(const process_table& table, pid_t session) {
    const pid_t self = ::getpid();
    for (const auto& process : table) {
        if (process.stat.session != session || process.pid == session) continue;
        if (process.stat.parent != self || !process.stat.gone()) continue;
        // A child that is a zombie keeps its pid until it is reaped here.
        const auto pidfd = open_pidfd(process.pid);
        if (pidfd) reap(pidfd.get());
    }
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
