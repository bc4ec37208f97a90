#pragma once

#include <roundhouse/store/lmdb/bytes.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/types.hpp>

#include <lmdb.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

/// The named databases, and the operations on them within a transaction.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// Each comment has the form `key -> value`. `+` concatenates; numbers are big-endian.
enum class database : std::uint8_t {
    meta,                ///< "schema" -> u32, "instance" -> uuid, "state" -> store_state
    products,            ///< product id -> product
    products_by_slug,    ///< slug -> product id
    products_by_key,     ///< SHA-256 of the platform key -> product id
    engines,             ///< product id + user id -> engine_record
    engines_by_id,       ///< engine id -> product id + user id
    engines_by_sequence, ///< product id + u64 sequence -> user id
    engines_by_status,   ///< product id + u8 status + u64 sequence -> user id
    ports,               ///< u16 port -> engine id
    counters,            ///< product id -> fleet_counts
    audit,               ///< u64 row id -> audit_entry
    audit_by_product,    ///< product id + u64 row id -> nothing
    audit_by_user,       ///< product id + user id + u8 zero + u64 row id -> nothing
    audit_by_engine,     ///< engine id + u64 row id -> nothing
    audit_by_action,     ///< product id + u8 action + u64 row id -> nothing
    audit_by_time,       ///< i64 latest timestamp so far + u64 row id -> nothing; one per second
};

inline constexpr std::array database_names{"meta",
                                           "products",
                                           "products_by_slug",
                                           "products_by_key",
                                           "engines",
                                           "engines_by_id",
                                           "engines_by_sequence",
                                           "engines_by_status",
                                           "ports",
                                           "counters",
                                           "audit",
                                           "audit_by_product",
                                           "audit_by_user",
                                           "audit_by_engine",
                                           "audit_by_action",
                                           "audit_by_time"};

using database_handles = std::array<MDB_dbi, database_names.size()>;

[[nodiscard]] constexpr std::string_view name_of(database database) noexcept {
    return database_names[static_cast<std::size_t>(database)];
}

[[nodiscard]] inline MDB_val to_val(std::string_view bytes) noexcept {
    return {bytes.size(), const_cast<char*>(bytes.data())}; // LMDB's type is for both directions
}

[[nodiscard]] inline std::string_view to_view(const MDB_val& bytes) noexcept {
    return {static_cast<const char*>(bytes.mv_data), bytes.mv_size};
}

/// The operations of a transaction, which its caller begins and ends. Returned views point into the
/// map: they are valid until the transaction ends, and in a write transaction until the next write.
class transaction {
public:
    transaction(MDB_txn* txn, const database_handles& handles) noexcept
        : txn_(txn), handles_(&handles) {}

    [[nodiscard]] std::optional<std::string_view> find(database from, std::string_view key) const {
        auto key_val = to_val(key);
        MDB_val value{};
        const int code = mdb_get(txn_, handle(from), &key_val, &value);
        if (code == MDB_NOTFOUND) return std::nullopt;
        check(code, name_of(from));
        return to_view(value);
    }

    [[nodiscard]] bool has(database from, std::string_view key) const {
        return find(from, key).has_value();
    }

    /// Adds an entry, or replaces the one with this key.
    void put(database into, std::string_view key, std::string_view value) const {
        auto key_val = to_val(key);
        auto value_val = to_val(value);
        check(mdb_put(txn_, handle(into), &key_val, &value_val, 0), name_of(into));
    }

    /// Removes the entry with this key, if there is one.
    void remove(database from, std::string_view key) const {
        auto key_val = to_val(key);
        const int code = mdb_del(txn_, handle(from), &key_val, nullptr);
        if (code != MDB_NOTFOUND) check(code, name_of(from));
    }

    /// The number of entries.
    [[nodiscard]] std::uint64_t size(database of) const {
        MDB_stat stat{};
        check(mdb_stat(txn_, handle(of), &stat), name_of(of));
        return stat.ms_entries;
    }

private:
    friend class cursor;

    [[nodiscard]] MDB_dbi handle(database of) const noexcept {
        return (*handles_)[static_cast<std::size_t>(of)];
    }

    MDB_txn* txn_;
    const database_handles* handles_;
};

/// A position in a database, in the order of its keys. Must not outlive its transaction, and must
/// not be used after a write to its database.
class cursor {
public:
    cursor(const transaction& txn, database database) : database_(database) {
        check(mdb_cursor_open(txn.txn_, txn.handle(database), &cursor_), name_of(database));
    }
    ~cursor() { mdb_cursor_close(cursor_); }
    cursor(const cursor&) = delete;
    cursor& operator=(const cursor&) = delete;

    // Each moves the cursor, and returns whether it is at an entry then.

    bool first() { return move(MDB_FIRST); }
    bool next() { return move(MDB_NEXT); }

    /// Moves to the first entry whose key is not before `key`.
    bool seek(std::string_view key) {
        key_ = to_val(key);
        return move(MDB_SET_RANGE);
    }

    /// Moves to the last entry whose key is before `key`.
    bool seek_before(std::string_view key) { return seek(key) ? previous() : move(MDB_LAST); }
    bool previous() { return move(MDB_PREV); }

    [[nodiscard]] std::string_view key() const noexcept { return to_view(key_); }
    [[nodiscard]] std::string_view value() const noexcept { return to_view(value_); }

private:
    bool move(MDB_cursor_op operation) {
        const int code = mdb_cursor_get(cursor_, &key_, &value_, operation);
        if (code == MDB_NOTFOUND) return false;
        check(code, name_of(database_));
        return true;
    }

    database database_;
    MDB_cursor* cursor_ = nullptr;
    MDB_val key_{};
    MDB_val value_{};
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
