#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/log_file.hpp>
#include <roundhouse/backend/subprocess/process_table.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The change from a store of 0.1.0, where an engine's identity file and log lay in the engine's own
/// folder, to workload folders.
namespace detail::subprocess {

inline constexpr const char* identity_name_0_1_0 = ".roundhouse-identity";

/// What is added to the path of the folder `workloads` for the file that says that the store was taken
/// over. It lies beside the folder, so that it stays when somebody removes that.
inline constexpr const char* taken_over_suffix = ".taken-over";

/// Whether a process is the engine's: by the engine's id in its environment, or, if it has overwritten
/// that, by its working folder, which it had from the launch on.
[[nodiscard]] inline bool is_process_of(const uuid& engine, pid_t pid, const std::string& folder) {
    const auto process = "/proc/" + std::to_string(pid);
    std::string environment;
    read_all(AT_FDCWD, process + "/environ", environment);
    if (const auto named = engine_in(environment)) return named == engine;
    struct stat working {};
    struct stat own {};
    return ::stat((process + "/cwd").c_str(), &working) == 0 &&
           ::lstat(folder.c_str(), &own) == 0 && working.st_dev == own.st_dev &&
           working.st_ino == own.st_ino;
}

/// What the identity file in an engine's own folder says, if it can be believed: its process runs,
/// and is the engine's. Empty if not, and if the engine has made the file unreadable.
[[nodiscard]] inline result<std::optional<process_identity>>
proven_identity(const std::string& folder, const uuid& engine, std::string_view boot_id) {
    auto identity = read_identity(folder + '/' + identity_name_0_1_0);
    if (!identity || !*identity) return std::nullopt;
    (*identity)->engine_id = engine;
    const auto process = open_identified(**identity, boot_id);
    if (!process) return unexpected{process.error()};
    // In this order: if the process has not ended now, what was read of its pid is its own.
    if (!*process || !is_process_of(engine, (*identity)->pid, folder) || has_ended(process->get()))
        return std::nullopt;
    return *identity;
}

/// Makes the workload folder of one engine from what its own folder has. Logs are moved, so that an
/// engine that runs goes on writing to its own. What cannot be moved, or is no regular file with one
/// name, of this user, stays behind. What an engine does to its own folder fails nothing.
[[nodiscard]] inline result<void> take_over_engine(const std::string& from, const std::string& to,
                                                   const uuid& engine, std::string_view boot_id) {
    if (auto made = make_folder(to); !made) return unexpected{made.error()};
    const auto identity = proven_identity(from, engine, boot_id);
    if (!identity) return unexpected{identity.error()};
    const auto file = to + '/' + identity_name;
    if (*identity) {
        const identity_tail tail((*identity)->pid, (*identity)->start_time);
        const auto text = identity_head(**identity) + std::string(tail.text.data(), tail.size);
        if (auto written = write_anew(file, text); !written) return written;
    } else if (::unlink(file.c_str()) != 0 && errno != ENOENT) { // of a call that was interrupted
        return failed(file, errno);
    }
    for (const auto* const name : {log_name, old_log_name}) {
        const auto path = from + '/' + name;
        struct stat status {};
        const auto log = open_regular(path, O_RDONLY);
        if (!log || ::fstat(log.get(), &status) != 0 || status.st_uid != ::geteuid() ||
            status.st_nlink != 1)
            continue;
        ::rename(path.c_str(), (to + '/' + name).c_str());
    }
    return {};
}

/// Makes the folder `workloads` from what the folders in `engines` have. It gets its name last: until
/// then the next call does all of it again.
[[nodiscard]] inline result<void> take_over_engines(const std::string& engines,
                                                    const std::string& workloads,
                                                    std::string_view boot_id) {
    const auto draft = workloads + ".new";
    if (auto made = make_folder(draft); !made) return unexpected{made.error()};
    if (!is_own_folder(draft))
        return fail(errc::backend_error, draft + " is no folder of this user: remove it");
    const auto found = engines_in(engines);
    if (!found) return unexpected{found.error()};
    for (const auto& engine : *found) {
        const auto name = '/' + to_string(engine);
        if (!is_own_folder(engines + name)) continue;
        if (auto taken = take_over_engine(engines + name, draft + name, engine, boot_id); !taken)
            return taken;
    }
    const auto drafted = engines_in(draft);
    if (!drafted) return unexpected{drafted.error()};
    const std::unordered_set<uuid> present(found->begin(), found->end());
    for (const auto& engine : *drafted) { // those of a call that was interrupted may be gone
        if (present.contains(engine)) continue;
        if (auto removed = remove_folder(draft + '/' + to_string(engine)); !removed) return removed;
    }
    if (::rename(draft.c_str(), workloads.c_str()) != 0) return failed(workloads, errno);
    return {};
}

/// Makes the folder `workloads`, unless it exists: from what the folders in `engines` have, but once in
/// the life of a store only. Afterwards no file in an engine's folder is believed any more, also if
/// `workloads` was removed. Blocks; takes some system calls for each engine.
[[nodiscard]] inline result<void>
take_over(const std::string& engines, const std::string& workloads, std::string_view boot_id) {
    const auto mark = workloads + taken_over_suffix;
    const bool is_taken_over = exists(mark);
    if (!is_own_folder(workloads)) {
        if (exists(workloads))
            return fail(errc::backend_error, workloads + " is no folder of this user: remove it");
        if (is_taken_over) {
            const auto made = make_folder(workloads);
            return made ? result<void>{} : unexpected{made.error()};
        }
        if (auto taken = take_over_engines(engines, workloads, boot_id); !taken) return taken;
    }
    // Last, so that a call which was interrupted is repeated.
    return is_taken_over ? result<void>{} : write_anew(mark, "");
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
