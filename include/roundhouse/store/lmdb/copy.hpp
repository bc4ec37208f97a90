#pragma once

#include <roundhouse/store/lmdb/environment.hpp>
#include <roundhouse/store/lmdb/folder.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// Copies a store into a folder, whole or not at all: the remains of an interrupted copy are not a
/// store, and the next copy replaces them. Throws `failure`.
inline void write_copy(const environment& from, const std::string& folder) {
    const store_folder target(folder, store_folder::use::alone);
    const auto file = folder + "/" + data_file;
    if (::access(file.c_str(), F_OK) == 0)
        throw folder_failure(folder, "holds a store already: name another folder", 0);
    const auto partial = file + ".partial";
    ::unlink(partial.c_str()); // not written over: it may be a link
    const descriptor out(::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (out.get() < 0) throw folder_failure(folder, "cannot be written", errno);
    from.copy_to(out.get());
    if (::fsync(out.get()) != 0 || ::rename(partial.c_str(), file.c_str()) != 0)
        throw folder_failure(folder, "cannot be written", errno);
    target.sync();
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
