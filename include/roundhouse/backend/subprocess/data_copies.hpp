#pragma once

#include <roundhouse/backend/subprocess/descriptor.hpp>
#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// Where the copies of engines' data are: `engines/.copies/<engine_id>`, on the file system of the data
/// folders, so that a copy is put in their place by a rename. A copy that is being made has the same
/// name in `.copies/.new`. No engine can reach these folders: its rules name its own folder only, and
/// they are closed to its user.
///
/// Which step a restoring has reached is to be read from what there is:
///
/// | data | copy | |
/// |---|---|---|
/// | yes | yes | not begun |
/// | no | yes | the data is in the trash |
/// | yes | no | done |
///
/// From any thread, one at a time for an engine. The members make a few system calls.
class data_copies {
public:
    /// `engines` is the folder of the data folders.
    explicit data_copies(std::string engines)
        : engines_{std::move(engines)}, whole_{engines_ + "/.copies"}, parts_{whole_ + "/.new"} {}

    /// The folder of the copies that can be put in the place of the data.
    [[nodiscard]] const std::string& whole() const noexcept { return whole_; }
    /// The folder of those that are being made, or were when they were interrupted.
    [[nodiscard]] const std::string& parts() const noexcept { return parts_; }

    [[nodiscard]] bool has(const uuid& engine) const {
        return exists(whole_ + '/' + to_string(engine));
    }

    /// Makes the empty folder in which a copy is to be made, and returns its path.
    [[nodiscard]] result<std::string> begin(const uuid& engine) const {
        auto part = parts_ + '/' + to_string(engine);
        for (const auto& path : {whole_, parts_}) {
            if (const auto made = make_folder(path); !made) return unexpected{made.error()};
            if (!is_own_folder(path))
                return fail(errc::backend_error,
                            path + " is no folder of this server's user: remove it");
        }
        if (::mkdir(part.c_str(), 0700) != 0) return failed("cannot make " + part, errno);
        return part;
    }

    /// Makes a copy that is on the disk the one that is put in the place of the data.
    [[nodiscard]] result<void> finish(const uuid& engine) const {
        return move(parts_, whole_, engine);
    }

    /// Puts the copy in the place of the data, which must be gone.
    [[nodiscard]] result<void> put_back(const uuid& engine) const {
        return move(whole_, engines_, engine);
    }

    /// Ends a restoring that was interrupted after it had taken the data away.
    [[nodiscard]] result<void> mend(const uuid& engine) const {
        if (exists(engines_ + '/' + to_string(engine)) || !has(engine)) return {};
        return put_back(engine);
    }

private:
    /// Moves an engine's folder, so that it is there also after a crash of the machine.
    [[nodiscard]] static result<void> move(const std::string& from, const std::string& to,
                                           const uuid& engine) {
        const auto name = to_string(engine);
        const descriptor here{::open(from.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        if (!here) return failed(from, errno);
        const descriptor there{::open(to.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        if (!there) return failed(to, errno);
        if (::renameat(here.get(), name.c_str(), there.get(), name.c_str()) != 0 ||
            ::fsync(there.get()) != 0 || ::fsync(here.get()) != 0)
            return failed("cannot move " + from + '/' + name + " to " + to, errno);
        return {};
    }

    const std::string engines_;
    const std::string whole_;
    const std::string parts_;
};

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
