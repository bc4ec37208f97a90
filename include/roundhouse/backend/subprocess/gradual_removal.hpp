#pragma once

#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/version.hpp>

#include <asio/awaitable.hpp>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// Removes what takes as long as an engine has files, and cannot go to the trash: a little at a time,
/// between which other work of its executor runs. On a strand, all removals together occupy one
/// thread at most, and each gets its turn, so a long one holds back no short one.
///
/// The coroutines belong to one removal, which must outlive them. They can be cancelled between two
/// steps; the next removal goes on where they ended.
class gradual_removal {
public:
    using clock = std::chrono::steady_clock;

    /// `span` is how long it works before it lets others run.
    explicit gradual_removal(clock::duration span = std::chrono::milliseconds{2})
        : span_{span}, end_{clock::now() + span} {}
    gradual_removal(const gradual_removal&) = delete;
    gradual_removal& operator=(const gradual_removal&) = delete;

    /// Removes a folder, or anything else of that path. Succeeds if there is nothing. A failure
    /// names the path and the cause.
    asio::awaitable<result<void>> remove(std::string path) {
        for (;;) {
            auto removed = remover_.remove(path);
            if (removed || removed.error().code != errc::cancelled) co_return removed;
            auto resting = rest();
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
            if (goes_on()) continue;
            auto resting = rest();
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

    /// So many steps it makes at least, so that it gets on also where they take long.
    static constexpr std::uint64_t least_steps = 16;

    [[nodiscard]] bool goes_on() { return steps_++ < least_steps || clock::now() < end_; }

    /// Lets what is ready on this executor run first.
    asio::awaitable<void> rest() {
        const auto executor = co_await asio::this_coro::executor;
        co_await asio::post(executor, asio::use_awaitable);
        steps_ = 0;
        end_ = clock::now() + span_;
    }

    const clock::duration span_;
    clock::time_point end_;
    std::uint64_t steps_ = 0; ///< Since the last rest.
    folder_remover remover_{[this] { return goes_on(); }};
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
