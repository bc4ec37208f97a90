#pragma once

#include <roundhouse/backend/subprocess/rights.hpp>
#include <roundhouse/version.hpp>

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

/// Copies of single files, and of what describes them. Descriptors are the caller's; a failure's cause
/// is in errno unless said otherwise.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// What a file holds on the disk: of a sparse one less than its size.
[[nodiscard]] inline std::uint64_t bytes_on_disk(const struct stat& status) noexcept {
    constexpr std::uint64_t block = 512; // of st_blocks, whatever the file system's is
    return std::min(static_cast<std::uint64_t>(status.st_size),
                    static_cast<std::uint64_t>(status.st_blocks) * block);
}

/// Whether so many more bytes leave space on a file system for what else is kept there, such as the
/// fleet's records: a twentieth of it, or 256 MiB if that is less.
[[nodiscard]] inline bool leaves_space(int file, std::uint64_t bytes) noexcept {
    constexpr std::uint64_t most_kept = std::uint64_t{256} * 1024 * 1024;
    struct statvfs system {};
    if (::fstatvfs(file, &system) != 0) return true; // the writes will tell
    const std::uint64_t unit = system.f_frsize;
    const auto kept = std::min(most_kept, unit * system.f_blocks / 20);
    return unit * system.f_bavail >= bytes + kept;
}

/// Gives a copy the extended attributes of users and the access control lists. Those that the file
/// system does not take are left out.
[[nodiscard]] inline bool copy_attributes(int from, int to) {
    std::string names(XATTR_LIST_MAX, '\0');
    const auto listed = ::flistxattr(from, names.data(), names.size());
    if (listed < 0) return errno == ENOTSUP;
    names.resize(static_cast<std::size_t>(listed));
    std::string value;
    for (std::size_t at = 0; at < names.size();) {
        const std::string name{names.c_str() + at};
        at += name.size() + 1;
        if (!name.starts_with("user.") && !name.starts_with("system.posix_acl_")) continue;
        value.resize(XATTR_SIZE_MAX);
        const auto size = ::fgetxattr(from, name.c_str(), value.data(), value.size());
        if (size < 0) return false;
        if (::fsetxattr(to, name.c_str(), value.data(), static_cast<std::size_t>(size), 0) != 0 &&
            errno != ENOTSUP)
            return false;
    }
    return true;
}

/// Gives a copy of a file or folder the owner, the mode, the times and the attributes of the original,
/// which are in `status`. A program that may not give files away is the owner of the copy, which then
/// runs as nobody else.
[[nodiscard]] inline bool describe(int from, int to, const struct stat& status) {
    constexpr mode_t permissions = 0777;
    constexpr mode_t all = 07777;
    const bool given = ::fchown(to, status.st_uid, status.st_gid) == 0;
    if (!given && may_use_other_users()) return false;
    if (!copy_attributes(from, to)) return false;
    if (::fchmod(to, status.st_mode & (given ? all : permissions)) != 0) return false;
    const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
    return ::futimens(to, times.data()) == 0;
}

/// Copies a link as it is.
[[nodiscard]] inline bool copy_link(int from, int to, const std::string& name,
                                    const struct stat& status) {
    std::string target(PATH_MAX, '\0');
    const auto size = ::readlinkat(from, name.c_str(), target.data(), target.size());
    if (size < 0) return false;
    target.resize(static_cast<std::size_t>(size));
    if (::symlinkat(target.c_str(), to, name.c_str()) != 0) return false;
    const bool given = ::fchownat(to, name.c_str(), status.st_uid, status.st_gid,
                                  AT_SYMLINK_NOFOLLOW) == 0;
    if (!given && may_use_other_users()) return false;
    const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
    return ::utimensat(to, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) == 0;
}

/// Copies the bytes of a file into an empty one, piece by piece. What is a hole stays one.
class file_copy {
public:
    file_copy(int from, int to, off_t size) noexcept : from_{from}, to_{to}, size_{size} {}

    /// Whether the file system lets both files have the same blocks: then all is copied, and no space
    /// is taken.
    [[nodiscard]] bool shares_blocks() noexcept { return ::ioctl(to_, FICLONE, from_) == 0; }

    /// Copies some more. False at the end, and after a failure, whose cause is in `problem`.
    [[nodiscard]] bool copy_piece() {
        if (at_ >= end_of_data_ && !find_data()) return false;
        const auto wanted = static_cast<std::size_t>(std::min(most, end_of_data_ - at_));
        auto size = copy_in_kernel(wanted);
        if (size <= 0) size = copy_through_buffer(wanted);
        if (size < 0) problem_ = errno;
        if (size <= 0) return false; // 0: somebody has cut the file
        // The disk begins to write, so that the wait at the end is short.
        static_cast<void>(::sync_file_range(to_, at_, size, SYNC_FILE_RANGE_WRITE));
        at_ += size;
        return true;
    }

    /// An errno value; 0 if nothing is wrong.
    [[nodiscard]] int problem() const noexcept { return problem_; }

private:
    static constexpr off_t most = off_t{1024} * 1024;

    /// Finds the data behind `end_of_data_`. False if there is none, or the copy cannot get its size.
    [[nodiscard]] bool find_data() noexcept {
        if (!std::exchange(begun_, true) && ::ftruncate(to_, size_) != 0) {
            problem_ = errno;
            return false;
        }
        if (end_of_data_ >= size_) return false;
        const auto data = ::lseek(from_, end_of_data_, SEEK_DATA);
        if (data < 0 && errno == ENXIO) return false; // what is left is a hole
        at_ = data < 0 ? end_of_data_ : data;
        const auto hole = ::lseek(from_, at_, SEEK_HOLE);
        end_of_data_ = hole > at_ ? std::min(hole, size_) : size_;
        return at_ < end_of_data_;
    }

    [[nodiscard]] ssize_t copy_in_kernel(std::size_t size) noexcept {
        off_t in = at_;
        off_t out = at_;
        return ::copy_file_range(from_, &in, to_, &out, size, 0);
    }

    /// For file systems that cannot do it themselves.
    [[nodiscard]] ssize_t copy_through_buffer(std::size_t size) {
        buffer_.resize(static_cast<std::size_t>(most));
        const auto got = ::pread(from_, buffer_.data(), size, at_);
        if (got <= 0) return got;
        const auto put = ::pwrite(to_, buffer_.data(), static_cast<std::size_t>(got), at_);
        if (put == 0) errno = ENOSPC;
        return put == 0 ? -1 : put;
    }

    const int from_;
    const int to_;
    const off_t size_;
    off_t at_ = 0;
    off_t end_of_data_ = 0; ///< Of the run of data that `at_` is in.
    bool begun_ = false;
    int problem_ = 0;
    std::string buffer_;
};

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
