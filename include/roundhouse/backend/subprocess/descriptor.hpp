#pragma once

#include <roundhouse/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

/// The text of an errno value. Thread-safe, unlike strerror.
[[nodiscard]] inline std::string cause(int number) {
    return std::system_category().message(number);
}

/// A failure whose message is a path or a step, and the text of an errno value.
[[nodiscard]] inline unexpected failed(std::string_view subject, int number) {
    return fail(errc::backend_error, std::string{subject} + ": " + cause(number));
}

/// What a file's mode says it is, in words.
[[nodiscard]] inline std::string_view kind_of(mode_t mode) noexcept {
    switch (mode & S_IFMT) {
    case S_IFLNK: return "link";
    case S_IFIFO: return "pipe";
    case S_IFCHR:
    case S_IFBLK: return "device";
    case S_IFSOCK: return "socket";
    case S_IFDIR: return "folder";
    default: return "file";
    }
}

/// The failure of `open_regular`, with its cause in `number`: it names what lies there instead of a
/// file.
[[nodiscard]] inline unexpected not_opened(const std::string& path, int number) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode)) return failed(path, number);
    return fail(errc::backend_error, path + " is a " + std::string{kind_of(status.st_mode)} +
                                         " instead of a file: remove it");
}

/// Owns a file descriptor. All descriptors of the backend are close-on-exec: engines inherit none.
class descriptor {
public:
    descriptor() noexcept = default;
    explicit descriptor(int number) noexcept : number_{number} {}
    descriptor(descriptor&& other) noexcept : number_{other.release()} {}
    descriptor& operator=(descriptor&& other) noexcept {
        if (this != &other) {
            close();
            number_ = other.release();
        }
        return *this;
    }
    ~descriptor() { close(); }

    [[nodiscard]] int get() const noexcept { return number_; }
    [[nodiscard]] explicit operator bool() const noexcept { return number_ >= 0; }
    [[nodiscard]] int release() noexcept { return std::exchange(number_, -1); }

private:
    void close() noexcept {
        if (number_ >= 0) ::close(number_); // closed also where it reports an error (close(2))
    }

    int number_ = -1;
};

/// Opens a file in whose place a link or a pipe may be. Follows no link, does not block, and refuses
/// what is no regular file (EINVAL). On failure the cause is in errno.
[[nodiscard]] inline descriptor open_regular(const std::string& path, int flags,
                                             mode_t mode = 0600) {
    descriptor file{::open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode)};
    if (!file) return file;
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return descriptor{};
    if (S_ISREG(status.st_mode)) return file;
    file = descriptor{};
    errno = EINVAL;
    return file;
}

/// Makes a file anew. What has its path is removed, not written over: it may be a link, or being
/// read. Async-signal-safe. On failure the cause is in errno.
[[nodiscard]] inline descriptor open_anew(const char* path) noexcept {
    ::unlink(path);
    return descriptor{::open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
}

/// Makes a file anew, with this text. Fails with `backend_error`.
[[nodiscard]] inline result<void> write_anew(const std::string& path, std::string_view text) {
    const auto file = open_anew(path.c_str());
    if (!file) return failed(path, errno);
    const auto size = ::write(file.get(), text.data(), text.size());
    if (size != static_cast<ssize_t>(text.size())) return failed(path, size < 0 ? errno : ENOSPC);
    return {};
}

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
