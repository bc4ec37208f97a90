#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/types.hpp>

#include <fcntl.h>
#include <linux/ioprio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The trash: where data folders of destroyed engines wait until they are removed in the background,
/// so that destroying an engine takes as long for a million files as for one. A folder is moved
/// there while its engine's row is `destroying`, so what is there belongs to no row (SPEC §2).
namespace detail::subprocess {

/// The folders of the trash. The second is used where the first cannot be: `engines` may be a file
/// system of its own, and folders are not moved from one to another.
[[nodiscard]] inline std::array<std::string, 2> trash_folders(const std::string& store_path) {
    return {store_path + "/trash", store_path + "/engines/.trash"};
}

/// Whether a name is one that the trash gives: the engine's id, a dot and a number.
[[nodiscard]] inline bool is_trash_name(std::string_view name) {
    constexpr std::size_t id_length = 36;
    return name.size() > id_length + 1 && name[id_length] == '.' &&
           parse_uuid(name.substr(0, id_length)) &&
           name.find_first_not_of("0123456789", id_length + 1) == std::string_view::npos;
}

/// The paths of what waits in a folder of the trash. Empty if there is no such folder.
[[nodiscard]] inline result<std::vector<std::string>> waiting_in(const std::string& folder) {
    std::vector<std::string> found;
    const auto opened = open_to_read(AT_FDCWD, folder.c_str());
    if (!opened && errno == ENOENT) return found;
    if (!opened && (errno == ENOTDIR || errno == ELOOP))
        return fail(errc::backend_error, folder + " is no folder: remove it");
    if (!opened) return failed("cannot read the trash " + folder, errno);
    while (const dirent* entry = next_entry(opened))
        if (is_trash_name(entry->d_name)) found.push_back(folder + '/' + entry->d_name);
    if (errno != 0) return failed("cannot read the trash " + folder, errno);
    return found;
}

/// How many folders wait in the trash of a store. Changes nothing.
[[nodiscard]] inline result<std::size_t> count_trash(const std::string& store_path) {
    std::size_t count = 0;
    for (const auto& folder : trash_folders(store_path)) {
        const auto waiting = waiting_in(folder);
        if (!waiting) return unexpected{waiting.error()};
        count += waiting->size();
    }
    return count;
}

/// Takes data folders into the trash, and removes them with a thread of its own, which it starts
/// when there is something to remove.
///
/// The thread yields to everything else: it has the lowest priority of its class for processors and
/// disks, and it works half of the time at most, so that a disk that is slow gets longer rests. The
/// idle class for disks would be too low: a removal holds locks of the file system, and a commit
/// would wait behind it for as long as the disk is busy.
class trash {
public:
    /// Starts to remove what waits from earlier times. `log` is called from any thread.
    trash(const std::string& store_path, log_sink log)
        : folders_{trash_folders(store_path)}, log_{std::move(log)} {
        const auto waiting = count_trash(store_path);
        if (waiting && *waiting == 0) return;
        if (waiting)
            tell(log_level::info,
                 "data folders of destroyed engines are in the trash, and are removed now",
                 {{"folders", *waiting}});
        wake(); // the thread says what cannot be read
    }

    trash(const trash&) = delete;
    trash& operator=(const trash&) = delete;
    ~trash() { close(); }

    /// Takes an entry of `parent` away: a folder into the trash, anything else, such as a link, for
    /// good. Succeeds if there is none. False if it is a folder that cannot be moved, which the
    /// caller is to remove where it is. From any thread.
    [[nodiscard]] result<bool> take(const std::string& parent, const std::string& name) {
        const auto path = parent + '/' + name;
        const descriptor from{::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
        if (from && is_folder(from.get(), name)) {
            // For the rights that it adds: the folder's entry ".." is about to change.
            static_cast<void>(open_subfolder(from.get(), name.c_str()));
            for (const auto& folder : folders_) {
                if (!move(from.get(), name, folder)) continue;
                wake();
                return true;
            }
            tell(log_level::warning,
                 "a data folder cannot be moved to the trash, and is removed where it is",
                 {{"path", path}, {"reason", cause(errno)}});
            return false;
        }
        const auto removed = remove_folder(path);
        if (!removed) return unexpected{removed.error()};
        return true;
    }

    /// Ends the thread. Waits for the entry of a folder that is being removed at the moment; the
    /// rest stays for the next start. From any thread.
    void close() {
        std::thread ending;
        {
            const std::lock_guard lock{mutex_};
            closed_ = true;
            ending = std::move(thread_);
        }
        changed_.notify_all();
        if (ending.joinable()) ending.join();
    }

private:
    using clock = std::chrono::steady_clock;

    /// How long the thread works before it rests for as long as that took.
    static constexpr std::chrono::milliseconds work_span{10};
    /// How many entries of one folder are removed before another gets its turn.
    static constexpr std::size_t turn_entries = 10'000;

    /// On failure the cause is in errno.
    [[nodiscard]] static bool move(int from, const std::string& name, const std::string& folder) {
        if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return false;
        const descriptor to{::open(folder.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        if (!to) return false;
        // A number is taken if the engine's id was destroyed before, as after a restored backup.
        for (std::uint64_t number = 0;; ++number) {
            const auto target = name + '.' + std::to_string(number);
            if (::renameat2(from, name.c_str(), to.get(), target.c_str(), RENAME_NOREPLACE) == 0)
                return true;
            if (errno != EEXIST) return false;
        }
    }

    /// Has the thread look at the folders again, and starts it at the first time.
    void wake() {
        try {
            const std::lock_guard lock{mutex_};
            wanted_ = true;
            if (!thread_.joinable() && !closed_) thread_ = std::thread{[this] { run(); }};
        } catch (const std::system_error& problem) {
            tell(log_level::warning,
                 "the trash waits for the next DELETE, because no thread can be started",
                 {{"reason", problem.what()}});
        }
        changed_.notify_all();
    }

    void run() {
        // The program's signals are for its own threads.
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
        // Without these the removal competes with other work, which is no fault.
        ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
        ::syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7));
        for (std::unique_lock lock{mutex_}; !closed_;) {
            changed_.wait(lock, [this] { return wanted_ || closed_; });
            wanted_ = false;
            lock.unlock();
            began_ = clock::now();
            while (remove_some()) {
            }
            lock.lock();
        }
    }

    /// Gives each folder that waits a turn. Returns whether any has more to be removed.
    [[nodiscard]] bool remove_some() {
        bool more = false;
        for (const auto& folder : folders_) {
            const auto waiting = waiting_in(folder);
            if (!waiting)
                tell(log_level::warning, "the trash cannot be read",
                     {{"reason", waiting.error().message}});
            for (const auto& path : waiting ? *waiting : std::vector<std::string>{}) {
                if (closed_) return false;
                if (!kept_.contains(path) && !remove(path)) more = true;
            }
        }
        return more;
    }

    /// Returns whether the folder needs no further turn: it is gone, or cannot be removed.
    [[nodiscard]] bool remove(const std::string& path) {
        tell(log_level::debug, "removing a destroyed engine's data", {{"path", path}});
        entries_ = 0;
        const auto removed = remover_.remove(path);
        if (removed) {
            tell(log_level::debug, "removed a destroyed engine's data", {{"path", path}});
            return true;
        }
        if (removed.error().code == errc::cancelled) return false;
        // The reason has names that the engine chose.
        tell(log_level::warning,
             "a destroyed engine's data cannot be removed; mend that, and the next start tries "
             "again",
             {{"path", path}, {"reason", removed.error().message}});
        kept_.insert(path);
        return true;
    }

    /// Rests if it is time to, and returns whether the folder's turn goes on.
    [[nodiscard]] bool goes_on() {
        const auto worked = clock::now() - began_;
        if (worked >= work_span) {
            std::unique_lock lock{mutex_};
            changed_.wait_for(lock, worked, [this] { return closed_.load(); });
            began_ = clock::now();
        }
        return !closed_ && entries_++ < turn_entries;
    }

    void tell(log_level level, std::string_view message,
              std::initializer_list<log_field> fields) const {
        if (log_) log_({.level = level, .message = message, .fields = fields});
    }

    const std::array<std::string, 2> folders_;
    const log_sink log_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::atomic<bool> closed_{false}; ///< Written with the mutex held.
    bool wanted_ = false;             ///< With the mutex held.
    std::thread thread_;              ///< With the mutex held.

    // Used by the thread only.
    folder_remover remover_{[this] { return goes_on(); }};
    std::unordered_set<std::string> kept_; ///< What cannot be removed.
    clock::time_point began_{};            ///< When the thread last began to work.
    std::size_t entries_ = 0;              ///< Of this turn.
};

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
