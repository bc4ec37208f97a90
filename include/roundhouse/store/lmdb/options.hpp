#pragma once

#include <roundhouse/log.hpp>
#include <roundhouse/version.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The folder of an `lmdb_store`, and its limits.
struct lmdb_options {
    /// Created with mode 0700 if it does not exist. Holds `data.mdb` and `lock.mdb`. Must be on a
    /// local disk, because LMDB maps the data into memory.
    std::string folder;
    /// Initial address space for the data, in bytes. Takes neither memory nor disk, and grows by
    /// itself.
    std::size_t map_size = std::size_t{1} << 30U;
    /// The most that the address space may grow to, in bytes. Commits that need more fail with
    /// `store_unavailable`.
    std::size_t max_map_size = std::size_t{1} << 40U;
    /// With fewer free bytes on the disk, commits that add engines or products fail, so that there
    /// is room to stop and destroy the existing engines.
    std::uint64_t reserve_bytes = std::uint64_t{256} * 1024;
    /// For reading a store that another process may be serving: nothing is written, the folder is
    /// not locked, and every commit fails.
    bool read_only = false;
    /// Gets a line before a store of an older schema or layout is converted, which may take minutes, and one
    /// after it. Called only while the store is opened, on that thread.
    log_sink log = {};
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
