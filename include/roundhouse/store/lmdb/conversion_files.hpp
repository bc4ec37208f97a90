#pragma once

#include <roundhouse/store/lmdb/environment_lock.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/folder.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// The new file while it is made. What an interrupted conversion leaves is made anew.
inline constexpr auto converting_file = "data.mdb.converting";
/// The old file, which is kept.
inline constexpr auto kept_file = "data.mdb.schema-1";

/// The files of a conversion: the old one, which is kept under another name, and the new one, which
/// takes its place once it is whole. At each instant one of them has the name `data.mdb`.
class conversion_files {
public:
    /// `folder` is locked for the caller.
    conversion_files(const std::string& path, const store_folder& folder)
        : path_(path), folder_(folder) {}

    [[nodiscard]] std::string converting() const { return path_of(converting_file); }

    /// Checks, before the work, that the new file will be able to take the old one's place. Throws
    /// `failure`.
    void require_exchangeable() const {
        const auto old = status_of(path_of(data_file));
        if (!old) throw folder_failure(path_, "holds no store that can be read", errno);
        if (S_ISLNK(old->st_mode))
            throw refusal("data.mdb is a symbolic link, which the new file would replace. Move the "
                          "file that it leads to here");
        // The new file would be ours, and the user who serves the store could not read it.
        if (old->st_uid != ::geteuid())
            throw refusal("data.mdb belongs to user " + std::to_string(old->st_uid) +
                          ", and this process is user " + std::to_string(::geteuid()) +
                          ". Run it as that user, or change the owner of the folder and its files");
        if (!is_kept() && status_of(path_of(kept_file)))
            throw refusal(std::string(kept_file) +
                          " exists, and the old data is to be kept under that name. Move it away");
    }

    /// Throws `failure`. Only the last step changes what `data.mdb` is.
    void exchange(const environment_lock& alone) const {
        const auto old = path_of(data_file);
        if (!is_kept() && ::link(old.c_str(), path_of(kept_file).c_str()) != 0)
            throw folder_failure(path_, "cannot keep its old data as " + std::string(kept_file),
                                 errno);
        folder_.sync(); // the old file has its new name before it loses the other
        alone.forget_readers();
        if (::rename(converting().c_str(), old.c_str()) != 0)
            throw folder_failure(path_, "cannot be written", errno);
    }

    /// Removes the new file, if it was not exchanged.
    void discard() const noexcept {
        ::unlink(converting().c_str()); // if it cannot be, the next conversion says so
    }

private:
    [[nodiscard]] std::string path_of(const char* file) const { return path_ + "/" + file; }

    [[nodiscard]] static std::optional<struct stat> status_of(const std::string& file) {
        struct stat found {};
        if (::lstat(file.c_str(), &found) != 0) return std::nullopt;
        return found;
    }

    /// Whether the old file has its other name already, from an interrupted conversion.
    [[nodiscard]] bool is_kept() const {
        const auto old = status_of(path_of(data_file));
        const auto kept = status_of(path_of(kept_file));
        return old && kept && old->st_ino == kept->st_ino && old->st_dev == kept->st_dev;
    }

    [[nodiscard]] failure refusal(const std::string& cause) const {
        return failure({errc::invalid_request, "store: in " + path_ + ", " + cause});
    }

    const std::string path_;
    const store_folder& folder_;
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
