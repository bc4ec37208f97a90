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

/// Whether a later try may succeed, because there was no room or the disk failed.
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

/// Ends a transaction early. Thrown inside the store only, where any step may fail; the store's
/// public functions return the error that it holds.
class failure : public std::exception {
public:
    /// A failure that the store itself decides on: a conflict, a limit, a damaged record.
    explicit failure(error cause) : cause_(std::move(cause)) {}

    /// LMDB or the system failed with `code` at an operation on `where`, which names a database or
    /// the environment.
    failure(int code, std::string_view where) : code_(code), cause_(describe(code, where)) {}

    /// LMDB's or the system's code; 0 for a failure that the store decided on.
    [[nodiscard]] int code() const noexcept { return code_; }
    [[nodiscard]] const error& cause() const noexcept { return cause_; }
    [[nodiscard]] const char* what() const noexcept override { return cause_.message.c_str(); }

private:
    static error describe(int code, std::string_view where) {
        auto text = "store: " + std::string(where) + ": " + mdb_strerror(code);
        if (may_pass(code)) return {errc::store_unavailable, std::move(text), 1};
        return {errc::internal_error, std::move(text) + "; check it with --verify-store"};
    }

    int code_ = 0;
    error cause_;
};

/// Throws `failure` unless `code` is LMDB's success.
inline void check(int code, std::string_view where) {
    if (code != MDB_SUCCESS) throw failure(code, where);
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
