#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/store/lmdb/failure.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// LMDB's own names for the files of an environment.
inline constexpr auto data_file = "data.mdb";
inline constexpr auto lock_file = "lock.mdb";

/// An open descriptor, which is closed with the object.
class descriptor {
public:
    explicit descriptor(int number) noexcept : number_(number) {}
    ~descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    descriptor(descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;

    [[nodiscard]] int get() const noexcept { return number_; }

private:
    int number_;
};

[[nodiscard]] inline failure folder_failure(const std::string& folder, const std::string& what,
                                            int code) {
    return failure({errc::store_unavailable,
                    "store: " + folder + " " + what +
                        (code != 0 ? " (" + std::generic_category().message(code) + ")" : "")});
}

/// The folder of a store.
class store_folder {
public:
    enum class use : std::uint8_t {
        alone,  ///< Locked for this object; created with mode 0700 if it does not exist.
        beside, ///< Must hold a store, which another process may be serving.
    };

    /// Throws `failure` if the folder cannot be used so.
    store_folder(const std::string& path, use mode) : path_(path), folder_(open(path, mode)) {
        if (mode == use::alone) lock();
        else if (::faccessat(folder_.get(), data_file, R_OK, 0) != 0)
            throw folder_failure(path, "holds no store that can be read", errno);
    }

    /// Makes the folder's entries durable. Throws `failure`.
    void sync() const {
        if (::fsync(folder_.get()) != 0) throw folder_failure(path_, "cannot be written", errno);
    }

    /// Free bytes on the folder's disk; nothing if they are not known.
    [[nodiscard]] std::optional<std::uint64_t> free_bytes() const noexcept {
        struct statvfs disk {};
        if (::fstatvfs(folder_.get(), &disk) != 0 || disk.f_blocks == 0) return std::nullopt;
        return std::uint64_t{disk.f_bavail} * disk.f_frsize;
    }

private:
    void lock() const {
        if (::flock(folder_.get(), LOCK_EX | LOCK_NB) == 0) return;
        if (errno != EWOULDBLOCK) throw folder_failure(path_, "cannot be locked", errno);
        throw folder_failure(path_, "is in use by another process or another store object", 0);
    }

    static int open(const std::string& path, use mode) {
        if (mode == use::alone) {
            std::error_code ignored; // opening the folder below fails for the same reason
            std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
            ::mkdir(path.c_str(), 0700);
        }
        const int found = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (found < 0) throw folder_failure(path, "cannot be opened", errno);
        return found;
    }

    std::string path_;
    descriptor folder_;
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
