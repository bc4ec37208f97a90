#pragma once

#include <roundhouse/error.hpp>

#include <lmdb.h>

#include <cerrno>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// Whether a later try may succeed: there was no room, or the disk failed.
[[nodiscard]] inline bool may_pass(int code) noexcept {
    switch (code) {
    case MDB_MAP_FULL:
    case MDB_READERS_FULL:
    case MDB_PANIC:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EIO:
    case ENOMEM:
    case EROFS: return true;
    default: return false;
    }
}

[[nodiscard]] inline error disk_full() {
    return {errc::store_unavailable,
            "The store's disk is full. Free some space on it; what runs goes on meanwhile.", 1};
}

/// What ends a transaction early. Thrown inside the store only, where every step may fail and none
/// can go on; its public functions turn it into the `error` that it holds.
class failure : public std::exception {
public:
    /// A decision of the store's own: a conflict, a limit, a damaged record.
    explicit failure(error what) : what_(std::move(what)) {}

    /// What LMDB or the system answered to an operation on `where`: a database or the environment.
    failure(int code, std::string_view where) : code_(code), what_(told(code, where)) {}

    [[nodiscard]] int code() const noexcept { return code_; }
    [[nodiscard]] const error& told() const noexcept { return what_; }
    [[nodiscard]] const char* what() const noexcept override { return what_.message.c_str(); }

private:
    static error told(int code, std::string_view where) {
        auto text = "store: " + std::string(where) + ": " + mdb_strerror(code);
        if (may_pass(code)) return {errc::store_unavailable, std::move(text), 1};
        return {errc::internal_error, std::move(text) + "; check it with --verify-store"};
    }

    int code_ = 0;
    error what_;
};

inline void check(int code, std::string_view where) {
    if (code != MDB_SUCCESS) throw failure(code, where);
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
