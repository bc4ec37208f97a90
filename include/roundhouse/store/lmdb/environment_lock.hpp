#pragma once

#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/folder.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// The lock of an environment, held alone: no other process has the environment open, and one that
/// opens it waits. It is LMDB's own, on the first byte of `lock.mdb` (`mdb_env_excl_lock` in mdb.c).
///
/// The lock is the process's (fcntl(2)). An environment that this process opens takes it over, and
/// makes the table of readers anew; but closing any descriptor of the file ends it. So the object
/// must outlive that environment.
class environment_lock {
public:
    /// Throws `failure` if another process has the environment open.
    explicit environment_lock(const std::string& folder)
        : folder_(folder),
          file_(::open((folder + "/" + lock_file).c_str(),
                       O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)) {
        if (file_.get() < 0) throw folder_failure(folder_, "cannot be locked", errno);
        struct flock alone {};
        alone.l_type = F_WRLCK;
        alone.l_whence = SEEK_SET;
        alone.l_len = 1;
        if (::fcntl(file_.get(), F_SETLK, &alone) == 0) return;
        if (errno != EACCES && errno != EAGAIN)
            throw folder_failure(folder_, "cannot be locked", errno);
        throw folder_failure(folder_,
                             "is being read by another process (a --backup or --verify-store?). "
                             "Try again once that has ended",
                             0);
    }

    /// Empties the table of readers. A process that has opened the old data already, and waits for
    /// the lock, must not make the table that the new data is written by: now it fails, unless an
    /// environment that this process opens has made the table.
    void forget_readers() const {
        if (::ftruncate(file_.get(), 0) != 0)
            throw folder_failure(folder_, "cannot be written", errno);
    }

private:
    std::string folder_;
    descriptor file_;
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
