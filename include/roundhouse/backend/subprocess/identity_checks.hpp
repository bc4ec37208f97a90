#pragma once

#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/refused_files.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// Reads the identity file of an engine, and tells what lies in its place if that counts as damage.
/// From any thread.
[[nodiscard]] inline result<std::optional<process_identity>>
read_identity(const std::string& path, const uuid& engine, refused_files& refused) {
    auto identity = read_identity(path, engine);
    if (!identity) return identity;
    struct stat status {};
    std::string_view kind; // of a good file, and of nothing, which every new engine has
    if (!*identity && ::lstat(path.c_str(), &status) == 0)
        kind = S_ISREG(status.st_mode) ? "damaged file" : kind_of(status.st_mode);
    refused.found_identity(engine, path, kind);
    return identity;
}

/// Sees whether the identity files of engines that run are replaced. One strand at a time.
class identity_checks {
public:
    explicit identity_checks(refused_files& refused) : refused_{refused} {}

    /// Reads the file if it has changed since the last call.
    void look(const uuid& engine, const std::string& path) {
        struct stat status {};
        if (::lstat(path.c_str(), &status) != 0) return; // it is being destroyed
        const change now{status.st_ino, status.st_ctim.tv_sec, status.st_ctim.tv_nsec};
        if (std::exchange(seen_[engine], now) == now) return;
        // A failure is one of calls that need the file.
        static_cast<void>(read_identity(path, engine, refused_));
    }

    void forget(const uuid& engine) { seen_.erase(engine); }

private:
    struct change {
        ino_t inode = 0;
        std::int64_t seconds = 0;
        std::int64_t nanoseconds = 0;

        friend bool operator==(const change&, const change&) = default;
    };

    refused_files& refused_;
    std::unordered_map<uuid, change> seen_;
};

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
