#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/file_copy.hpp>
#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/paced_work.hpp>
#include <roundhouse/error.hpp>

#include <asio/awaitable.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// Copies a data folder, a little at a time (`work_pace`). No process may use the folder meanwhile;
/// but whatever lies in it was put there by an engine, so no link is followed and nothing but files
/// and folders is opened.
///
/// Files, folders and links are copied with their owners, modes, times and extended attributes; a
/// file with several names becomes several. Sockets, pipes and devices are left out. What is mounted
/// there is a failure, because it would not come back. So is a tree that is deeper than a path can
/// say.
class tree_copy {
public:
    /// `to` must be an empty folder of this user's that nobody else can reach. Without `max_bytes`
    /// there is no bound.
    tree_copy(std::string from, std::string to, std::optional<std::uint64_t> max_bytes,
              work_pace::clock::duration span = std::chrono::milliseconds{2})
        : from_path_{std::move(from)},
          to_path_{std::move(to)},
          max_bytes_{max_bytes},
          pace_{span} {}
    tree_copy(const tree_copy&) = delete;
    tree_copy& operator=(const tree_copy&) = delete;

    /// The copy is on the disk when this returns true. False, with a part of it made, if the files
    /// hold more than `max_bytes`, of sparse ones what they hold on the disk. A failure, which names
    /// the path and the cause, leaves a part of it too. Must outlive the awaitable.
    asio::awaitable<result<bool>> make() {
        if (auto opened = open_tops(); !opened) co_return unexpected{opened.error()};
        folders_ = {"."};
        while (!folders_.empty()) {
            auto folder = std::move(folders_.back());
            folders_.pop_back();
            auto copying = copy_folder(std::move(folder));
            const auto copied = co_await std::move(copying);
            if (!copied || !*copied) co_return copied;
        }
        if (::syncfs(to_.get()) != 0) co_return failed("cannot write " + to_path_, errno);
        co_return true;
    }

private:
    [[nodiscard]] result<void> open_tops() {
        auto from = open_data_folder(from_path_);
        if (!from) return unexpected{from.error()};
        from_ = std::move(*from);
        to_ = descriptor{::open(to_path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        struct stat above {};
        struct stat below {};
        if (!to_ || ::fstat(to_.get(), &above) != 0) return failed(to_path_, errno);
        if (::fstat(from_.get(), &below) != 0) return failed(from_path_, errno);
        if (above.st_dev != below.st_dev) return mounted(from_path_);
        return {};
    }

    [[nodiscard]] static unexpected mounted(const std::string& path) {
        return fail(errc::backend_error,
                    path + " is on a file system of its own, and cannot be copied: unmount it");
    }

    [[nodiscard]] unexpected not_copied(const std::string& name, int number) const {
        return failed("cannot copy " + from_path_ + '/' + name, number);
    }

    /// Copies a folder's entries, but not those of the folders in it, and then what describes it.
    asio::awaitable<result<bool>> copy_folder(std::string path) {
        const auto from = open_to_read_beneath(from_.get(), path.c_str());
        if (!from && errno == EXDEV) co_return mounted(from_path_ + '/' + path);
        if (!from) co_return not_copied(path, errno);
        const auto to = open_beneath(to_.get(), path.c_str(), O_RDONLY | O_DIRECTORY);
        if (!to) co_return not_copied(path, errno);
        while (const dirent* const entry = next_entry(from)) {
            std::string name{entry->d_name};
            auto copying = copy_entry(::dirfd(from.get()), to.get(), path, std::move(name));
            const auto copied = co_await std::move(copying);
            if (!copied || !*copied) co_return copied;
            if (pace_.goes_on()) continue;
            auto resting = pace_.rest();
            co_await std::move(resting);
        }
        if (errno != 0) co_return not_copied(path, errno);
        struct stat status {};
        if (::fstat(::dirfd(from.get()), &status) != 0) co_return not_copied(path, errno);
        // Moving a folder takes write permission for itself, so the top keeps its owner's rights.
        if (path == ".") status.st_mode |= S_IRWXU;
        if (!describe(::dirfd(from.get()), to.get(), status)) co_return not_copied(path, errno);
        co_return true;
    }

    asio::awaitable<result<bool>> copy_entry(int from, int to, std::string folder,
                                             std::string name) {
        struct stat status {};
        if (::fstatat(from, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
            co_return not_copied(folder + '/' + name, errno);
        if (S_ISREG(status.st_mode)) {
            auto copying = copy_file(from, to, folder + '/' + name, name);
            co_return co_await std::move(copying);
        }
        if (S_ISLNK(status.st_mode) && !copy_link(from, to, name, status))
            co_return not_copied(folder + '/' + name, errno);
        if (S_ISDIR(status.st_mode)) {
            if (::mkdirat(to, name.c_str(), 0700) != 0)
                co_return not_copied(folder + '/' + name, errno);
            folders_.push_back(folder + '/' + name);
        }
        co_return true;
    }

    asio::awaitable<result<bool>> copy_file(int from_folder, int to_folder, std::string path,
                                            std::string name) {
        const descriptor from{
            ::openat(from_folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
        struct stat status {};
        if (!from || ::fstat(from.get(), &status) != 0) co_return not_copied(path, errno);
        if (!S_ISREG(status.st_mode)) co_return true;
        const auto bytes = bytes_on_disk(status);
        if (max_bytes_ && bytes > *max_bytes_ - copied_bytes_) co_return false;
        copied_bytes_ += bytes;
        const descriptor to{::openat(to_folder, name.c_str(),
                                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
        if (!to) co_return not_copied(path, errno);
        file_copy copy{from.get(), to.get(), status.st_size};
        if (!copy.shares_blocks()) {
            if (!leaves_space(to.get(), bytes)) co_return not_copied(path, ENOSPC);
            while (copy.copy_piece()) {
                if (pace_.goes_on()) continue;
                auto resting = pace_.rest();
                co_await std::move(resting);
            }
        }
        if (copy.problem() != 0) co_return not_copied(path, copy.problem());
        if (!describe(from.get(), to.get(), status)) co_return not_copied(path, errno);
        co_return true;
    }

    const std::string from_path_;
    const std::string to_path_;
    const std::optional<std::uint64_t> max_bytes_;
    work_pace pace_;
    descriptor from_;
    descriptor to_;
    std::vector<std::string> folders_; ///< That are still to be copied, as paths below the top.
    std::uint64_t copied_bytes_ = 0;   ///< Never above `max_bytes_`.
};

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
