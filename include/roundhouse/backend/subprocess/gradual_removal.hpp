#pragma once

#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/paced_work.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/version.hpp>

#include <asio/awaitable.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <chrono>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// Removes what takes as long as an engine has files, and cannot go to the trash: a little at a time,
/// between which other work of its executor runs (`work_pace`).
///
/// The coroutines belong to one removal, which must outlive them. They can be cancelled between two
/// steps; the next removal goes on where they ended.
class gradual_removal {
public:
    gradual_removal() = default;
    /// `span` is that of its pace.
    explicit gradual_removal(work_pace::clock::duration span) : pace_{span} {}
    gradual_removal(const gradual_removal&) = delete;
    gradual_removal& operator=(const gradual_removal&) = delete;

    /// Removes a folder, or anything else of that path. Succeeds if there is nothing. A failure
    /// names the path and the cause.
    asio::awaitable<result<void>> remove(std::string path) {
        for (;;) {
            auto removed = remover_.remove(path);
            if (removed || removed.error().code != errc::cancelled) co_return removed;
            auto resting = pace_.rest();
            co_await std::move(resting);
        }
    }

    /// Removes the entries of a folder that belong to a user. What cannot be removed stays.
    asio::awaitable<result<void>> remove_all_of(uid_t owner, std::string folder) {
        const open_folder entries = open_to_read(AT_FDCWD, folder.c_str());
        if (!entries) co_return result<void>{};
        while (const dirent* const entry = next_entry(entries)) {
            // No rest while nothing is found, so that those who look end one after the other.
            if (!belongs_to(owner, entries, entry->d_name)) continue;
            auto removing = remove(folder + '/' + entry->d_name);
            static_cast<void>(co_await std::move(removing));
            if (pace_.goes_on()) continue;
            auto resting = pace_.rest();
            co_await std::move(resting);
        }
        co_return result<void>{};
    }

private:
    [[nodiscard]] static bool belongs_to(uid_t owner, const open_folder& in, const char* name) {
        struct stat status {};
        return ::fstatat(::dirfd(in.get()), name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
               status.st_uid == owner;
    }

    work_pace pace_;
    folder_remover remover_{[this] { return pace_.goes_on(); }};
};

/// Removes a folder with a `gradual_removal`.
inline asio::awaitable<result<void>> remove_gradually(std::string path) {
    gradual_removal removal;
    auto removing = removal.remove(std::move(path));
    co_return co_await std::move(removing);
}

/// Removes what a user has in a folder with a `gradual_removal`.
inline asio::awaitable<result<void>> remove_gradually(uid_t owner, std::string folder) {
    gradual_removal removal;
    auto removing = removal.remove_all_of(owner, std::move(folder));
    co_return co_await std::move(removing);
}

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
