#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_set>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The folders of engines: their names, and their removal.
namespace detail::subprocess {

/// Whether anything has this path, also a link that leads nowhere.
[[nodiscard]] inline bool exists(const std::string& path) noexcept {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0;
}

/// The owner of a folder; nothing if the path is none, or a link.
[[nodiscard]] inline std::optional<uid_t> owner_of(const std::string& path) noexcept {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) return std::nullopt;
    return status.st_uid;
}

/// Whether it is a folder of this user, and no link.
[[nodiscard]] inline bool is_own_folder(const std::string& path) noexcept {
    return owner_of(path) == ::geteuid();
}

/// Makes a folder, unless something has its path. Returns whether it was made.
[[nodiscard]] inline result<bool> make_folder(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) == 0) return true;
    if (errno != EEXIST) return failed("cannot make " + path, errno);
    return false;
}

/// Opens an engine's data folder by O_PATH. Follows no link.
[[nodiscard]] inline result<descriptor> open_data_folder(const std::string& path) {
    descriptor folder{::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (folder) return folder;
    const int number = errno;
    struct stat status {};
    if ((number == ENOTDIR || number == ELOOP) && ::lstat(path.c_str(), &status) == 0)
        return fail(errc::backend_error, path + " is a " + std::string{kind_of(status.st_mode)} +
                                             " instead of the engine's data folder: move the "
                                             "folder back, or remove that");
    return failed("cannot open " + path, number);
}

/// The folder for an engine's temporary files, in its own folder.
inline constexpr auto temporary_name = "tmp";

/// What names a store on this machine, also after it was moved, and no copy of it: `engines` is its
/// folder of that name. Empty if there is none.
[[nodiscard]] inline std::string store_mark(const std::string& engines) {
    struct stat status {};
    if (::stat(engines.c_str(), &status) != 0) return {};
    return std::to_string(status.st_dev) + '-' + std::to_string(status.st_ino);
}

/// The engines that have an entry in a folder: a folder, or a link in its place.
[[nodiscard]] inline result<std::vector<uuid>> engines_in(const std::string& path) {
    std::vector<uuid> found;
    std::error_code problem;
    for (std::filesystem::directory_iterator entry{path, problem}, end; !problem && entry != end;
         entry.increment(problem)) {
        const auto name = entry->path().filename().string();
        const auto engine = parse_uuid(name);
        if (!engine || to_string(*engine) != name) continue;
        std::error_code gone; // what is removed meanwhile does not count
        const auto kind = entry->symlink_status(gone).type();
        if (kind == std::filesystem::file_type::directory ||
            kind == std::filesystem::file_type::symlink)
            found.push_back(*engine);
    }
    if (problem) return failed(path, problem.value());
    return found;
}

/// The engines that have an entry in one of two folders, or in both.
[[nodiscard]] inline result<std::unordered_set<uuid>> engines_in_either(const std::string& one,
                                                                        const std::string& other) {
    std::unordered_set<uuid> found;
    for (const auto& path : {one, other}) {
        const auto listed = engines_in(path);
        if (!listed) return unexpected{listed.error()};
        found.insert(listed->begin(), listed->end());
    }
    return found;
}

using open_folder = std::unique_ptr<DIR, int (*)(DIR*)>;

/// Opens a folder in another to read it. Follows no link. On failure the cause is in errno.
[[nodiscard]] inline open_folder open_to_read(int parent, const char* name) {
    const int number = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (number < 0) return {nullptr, ::closedir};
    open_folder folder{::fdopendir(number), ::closedir};
    if (!folder) ::close(number);
    return folder;
}

/// Opens what lies below a folder, by no link. Fails with EXDEV for what is mounted there.
[[nodiscard]] inline descriptor open_beneath(int folder, const char* path, unsigned flags) {
    open_how how{};
    how.flags = flags | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
    return descriptor{static_cast<int>(::syscall(SYS_openat2, folder, path, &how, sizeof how))};
}

/// The same for a folder, to read it.
[[nodiscard]] inline open_folder open_to_read_beneath(int folder, const char* path) {
    auto opened = open_beneath(folder, path, O_RDONLY | O_DIRECTORY);
    open_folder out{opened ? ::fdopendir(opened.get()) : nullptr, ::closedir};
    if (out) static_cast<void>(opened.release());
    return out;
}

/// Like `open_to_read`, and leaves rights to this user only, who gets all of the owner's: nobody else adds to what
/// is being removed.
[[nodiscard]] inline open_folder open_subfolder(int parent, const char* name) {
    struct stat status {};
    const descriptor seen{::openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (seen && ::fstat(seen.get(), &status) == 0) {
        // By the descriptor: a link may be in its place now. On failure the steps that need the
        // rights fail.
        const auto path = "/proc/self/fd/" + std::to_string(seen.get());
        if (status.st_uid != ::geteuid())
            static_cast<void>(::chown(path.c_str(), ::geteuid(), static_cast<gid_t>(-1)) == 0);
        if ((status.st_mode & 0777U) != 0700U) ::chmod(path.c_str(), 0700);
    }
    return open_to_read(parent, name);
}

/// The next entry of a folder, without "." and "..". Null at the end, with 0 in errno, and on a
/// failure, with its cause there.
[[nodiscard]] inline const dirent* next_entry(const open_folder& folder) {
    for (;;) {
        errno = 0;
        const dirent* const entry = ::readdir(folder.get());
        if (entry == nullptr) return nullptr;
        const std::string_view name{entry->d_name};
        if (name != "." && name != "..") return entry;
    }
}

/// Whether a folder's entry is a folder, and no link.
[[nodiscard]] inline bool is_folder(int parent, const std::string& name) {
    struct stat status {};
    return ::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode);
}

/// Removes a tree of any depth with three descriptors and no recursion: the folders in a folder
/// below the top are moved up to the top, and removed there.
class folder_remover {
public:
    folder_remover() = default;
    /// `goes_on` is asked before each entry; where it answers false, the removal stops.
    explicit folder_remover(std::function<bool()> goes_on) : goes_on_{std::move(goes_on)} {}

    /// Succeeds if the folder does not exist. Of a link in its place, the link is removed. A failure
    /// names the path and the cause; part of the tree may have been removed then. Fails with
    /// `errc::cancelled` where it was stopped: the next call goes on.
    [[nodiscard]] result<void> remove(const std::string& path) {
        auto removed = remove_tree(path);
        top_.reset();
        return removed;
    }

private:
    [[nodiscard]] result<void> remove_tree(const std::string& path) {
        path_ = path;
        top_ = open_subfolder(AT_FDCWD, path.c_str());
        if (!top_ && errno == ENOENT) return {};
        if (!top_ && (errno == ENOTDIR || errno == ELOOP) && ::unlink(path.c_str()) == 0)
            return {}; // the link is gone, its target stays
        if (!top_) return cannot_remove("");
        for (bool found = true; found;) {
            found = false;
            ::rewinddir(top_.get());
            while (const dirent* entry = next_entry(top_)) {
                found = true;
                if (goes_on_ && !goes_on_()) return stopped();
                if (auto removed = remove_entry(entry->d_name); !removed) return removed;
            }
            if (errno != 0) return cannot_remove("");
        }
        if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return cannot_remove("");
        return {};
    }

    [[nodiscard]] result<void> remove_entry(const std::string& name) {
        const int top = ::dirfd(top_.get());
        if (::unlinkat(top, name.c_str(), 0) == 0) return {};
        // For a folder: EISDIR on Linux, EPERM by POSIX.
        if (errno != EISDIR && errno != EPERM) return cannot_remove('/' + name);
        if (errno == EPERM && !is_folder(top, name)) {
            errno = EPERM;
            return cannot_remove('/' + name);
        }
        if (auto emptied = empty_subfolder(name); !emptied) return emptied;
        if (::unlinkat(top, name.c_str(), AT_REMOVEDIR) != 0) return cannot_remove('/' + name);
        return {};
    }

    [[nodiscard]] result<void> empty_subfolder(const std::string& name) {
        const auto folder = open_subfolder(::dirfd(top_.get()), name.c_str());
        if (!folder) return cannot_remove('/' + name);
        const int number = ::dirfd(folder.get());
        // Again until nothing is found: a removal may make readdir skip entries.
        for (bool found = true; found;) {
            found = false;
            ::rewinddir(folder.get());
            while (const dirent* entry = next_entry(folder)) {
                found = true;
                if (goes_on_ && !goes_on_()) return stopped();
                if (::unlinkat(number, entry->d_name, 0) == 0) continue;
                if (!move_up(number, entry->d_name))
                    return cannot_remove('/' + name + '/' + entry->d_name);
            }
        }
        return {};
    }

    /// Moves a folder to the top. That takes write permission for the folder itself too, because
    /// its entry ".." changes.
    [[nodiscard]] bool move_up(int parent, const char* name) {
        const int number = errno;
        if (!is_folder(parent, name)) {
            errno = number;
            return false;
        }
        static_cast<void>(open_subfolder(parent, name)); // for the permissions that it adds
        for (;;) {
            const auto free_name = ".roundhouse-removed-" + std::to_string(moved_++);
            const int top = ::dirfd(top_.get());
            if (::renameat(parent, name, top, free_name.c_str()) == 0) return true;
            // The name may have been taken by an earlier attempt, or by the engine.
            if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR) return false;
        }
    }

    [[nodiscard]] unexpected cannot_remove(const std::string& below) const {
        return failed("cannot remove " + path_ + below, errno);
    }

    [[nodiscard]] unexpected stopped() const {
        return fail(errc::cancelled, "the removal of " + path_ + " was stopped");
    }

    std::function<bool()> goes_on_;
    std::string path_;
    open_folder top_{nullptr, ::closedir};
    std::uint64_t moved_ = 0;
};

[[nodiscard]] inline result<void> remove_folder(const std::string& path) {
    return folder_remover{}.remove(path);
}

/// Removes a folder at the end of its scope, unless `leave` is called: for a create that fails.
class folder_undo {
public:
    folder_undo() = default;
    folder_undo(const folder_undo&) = delete;
    folder_undo& operator=(const folder_undo&) = delete;
    ~folder_undo() {
        // On failure the folder stays, and is listed as the remains of an engine without a row.
        if (!path_.empty()) static_cast<void>(remove_folder(path_));
    }
    void remove_later(std::string path) { path_ = std::move(path); }
    void leave() noexcept { path_.clear(); }

private:
    std::string path_;
};

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
