#pragma once

#include <roundhouse/version.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Where an `lmdb_store` keeps the fleet, and the bounds it keeps.
struct lmdb_options {
    /// Made with mode 0700 if it is not there. Holds `data.mdb` and `lock.mdb`; on a local disk,
    /// since LMDB maps it into memory.
    std::string folder;
    /// Bytes of address space for the data at first. It takes neither memory nor disk, and grows by
    /// itself.
    std::size_t map_size = std::size_t{1} << 30U;
    /// It grows no further than that: then commits are `store_unavailable`.
    std::size_t max_map_size = std::size_t{1} << 40U;
    /// With fewer bytes than that free on the disk, engines and products are no longer added, so
    /// that what there is can still be stopped and destroyed.
    std::uint64_t reserve_bytes = std::uint64_t{256} * 1024;
    /// To look at a store beside the process that serves it: nothing is written, no lock is taken,
    /// and every commit fails.
    bool read_only = false;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
