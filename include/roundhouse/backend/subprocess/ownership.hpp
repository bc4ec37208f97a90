#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/environment.hpp>
#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Changes the owner of a data folder and of all that is in it.
namespace detail::subprocess {

/// Gives what has a descriptor to a user, and to the group of that number. False with the cause in
/// errno.
[[nodiscard]] inline bool give(int file, uid_t uid) noexcept {
    return ::fchownat(file, "", uid, uid, AT_EMPTY_PATH) == 0;
}

/// Lets an engine's user write to the log, which stays the server's: as its owner, the engine could
/// keep the server from it (fcntl(2), F_SETLEASE).
[[nodiscard]] inline bool let_write(int log, uid_t uid) noexcept {
    constexpr mode_t by_group = 0620;
    return ::fchown(log, ::geteuid(), uid) == 0 && ::fchmod(log, by_group) == 0;
}

/// Opens an engine's data folder by O_PATH, and sees that it has a folder for temporary files. With a
/// `uid` other than 0, gives it what is made here. `is_new`: the data folder was made by the caller.
[[nodiscard]] inline result<descriptor> open_for_engine(const std::string& path, bool is_new,
                                                        uid_t uid) {
    auto folder = open_data_folder(path);
    if (!folder) return folder;
    if (is_new && uid != 0 && !give(folder->get(), uid)) return failed(path, errno);
    const auto temporary = path + '/' + temporary_name;
    if (::mkdirat(folder->get(), temporary_name, 0700) != 0) {
        if (errno != EEXIST) return failed("cannot make " + temporary, errno);
    } else if (uid != 0 &&
               ::fchownat(folder->get(), temporary_name, uid, uid, AT_SYMLINK_NOFOLLOW) != 0) {
        return failed(temporary, errno);
    }
    return folder;
}

/// Gives the data folder of an engine that ran as this program's user to a user of its own: folders,
/// and files that have one name, of this user, or of an engine's (of a change that was interrupted).
/// Links, devices, what is mounted there, and what belongs to somebody else are left. No process may
/// use the folder meanwhile. Blocks for some system calls for each file.
class ownership_change {
public:
    ownership_change(std::string path, const uid_range& of_engines, uid_t to)
        : path_{std::move(path)}, of_engines_{of_engines}, to_{to} {}

    /// The top folder last: while it belongs to this user, the change is to be made again. A failure
    /// names the path and the cause.
    [[nodiscard]] result<void> make() {
        auto top = open_data_folder(path_);
        if (!top) return unexpected{top.error()};
        top_ = std::move(*top);
        folders_ = {"."};
        while (!folders_.empty()) {
            const auto folder = std::move(folders_.back());
            folders_.pop_back();
            if (auto given = give_entries_of(folder); !given) return given;
        }
        if (!give(top_.get(), to_)) return failed(path_, errno);
        return {};
    }

    /// What was left, by kind: "link: 2, pipe: 1". Empty if that is nothing.
    [[nodiscard]] std::string left() const {
        std::string out;
        for (const auto& [kind, count] : left_)
            out.append(out.empty() ? "" : ", ").append(kind).append(": " + std::to_string(count));
        return out;
    }

private:
    [[nodiscard]] bool is_given(uid_t owner) const noexcept {
        return owner == ::geteuid() || of_engines_.contains(owner);
    }

    [[nodiscard]] std::string_view why_left(const struct stat& status) const noexcept {
        if (!is_given(status.st_uid)) return "of another user";
        return S_ISREG(status.st_mode) ? "file with several names" : kind_of(status.st_mode);
    }

    [[nodiscard]] result<void> give_entries_of(const std::string& folder) {
        const auto opened = open_to_read_beneath(top_.get(), folder.c_str());
        if (!opened && (errno == ENOENT || errno == EXDEV)) return {}; // removed, or mounted there
        if (!opened) return failed(path_ + '/' + folder, errno);
        while (const dirent* const entry = next_entry(opened)) {
            const auto name = folder + '/' + entry->d_name;
            const auto file = open_beneath(::dirfd(opened.get()), entry->d_name, O_PATH);
            if (!file && errno == EXDEV) {
                ++left_["mount"];
                continue;
            }
            if (!file && errno == ENOENT) continue;
            struct stat status {};
            if (!file || ::fstat(file.get(), &status) != 0)
                return failed(path_ + '/' + name, errno);
            const bool is_folder = S_ISDIR(status.st_mode);
            const bool is_file = S_ISREG(status.st_mode) && status.st_nlink == 1;
            if (!is_given(status.st_uid) || (!is_folder && !is_file)) {
                ++left_[why_left(status)];
                continue;
            }
            if (!give(file.get(), to_)) return failed(path_ + '/' + name, errno);
            if (is_folder) folders_.push_back(name);
        }
        if (errno != 0) return failed(path_ + '/' + folder, errno);
        return {};
    }

    std::string path_;
    uid_range of_engines_;
    uid_t to_;
    descriptor top_;
    std::vector<std::string> folders_;
    std::map<std::string_view, std::uint64_t> left_; ///< By what it is.
};

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
