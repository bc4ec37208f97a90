#pragma once

#include <roundhouse/version.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The result of checking a store.
struct lmdb_report {
    std::uint64_t products = 0;
    std::uint64_t engines = 0;
    std::uint64_t audit_rows = 0;
    /// One line per problem, which names database and key; at most a thousand.
    std::vector<std::string> problems;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
