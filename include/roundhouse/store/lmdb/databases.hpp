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

/// The named databases, and what can be done in them within a transaction.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// Keys and values are told as `key -> value`; `+` joins, numbers are big-endian.
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
    audit_by_time,       ///< i64 latest timestamp so far + u64 row id -> nothing; one a second
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

[[nodiscard]] constexpr std::string_view name_of(database which) noexcept {
    return database_names[static_cast<std::size_t>(which)];
}

[[nodiscard]] inline MDB_val to_val(std::string_view bytes) noexcept {
    return {bytes.size(), const_cast<char*>(bytes.data())}; // LMDB's type is for both directions
}

[[nodiscard]] inline std::string_view to_view(const MDB_val& bytes) noexcept {
    return {static_cast<const char*>(bytes.mv_data), bytes.mv_size};
}

/// What can be done in a transaction, which is another's. What it returns points into the map:
/// valid until the transaction ends, and in one that writes until the next write.
class transaction {
public:
    transaction(MDB_txn* txn, const database_handles& handles) noexcept
        : txn_(txn), handles_(&handles) {}

    [[nodiscard]] std::optional<std::string_view> find(database in, std::string_view key) const {
        auto key_val = to_val(key);
        MDB_val value{};
        const int code = mdb_get(txn_, handle(in), &key_val, &value);
        if (code == MDB_NOTFOUND) return std::nullopt;
        check(code, name_of(in));
        return to_view(value);
    }

    [[nodiscard]] bool has(database in, std::string_view key) const {
        return find(in, key).has_value();
    }

    /// Adds it, or replaces what is there.
    void put(database in, std::string_view key, std::string_view value) const {
        auto key_val = to_val(key);
        auto value_val = to_val(value);
        check(mdb_put(txn_, handle(in), &key_val, &value_val, 0), name_of(in));
    }

    /// What is not there is removed already.
    void remove(database in, std::string_view key) const {
        auto key_val = to_val(key);
        const int code = mdb_del(txn_, handle(in), &key_val, nullptr);
        if (code != MDB_NOTFOUND) check(code, name_of(in));
    }

    [[nodiscard]] std::uint64_t size(database which) const {
        MDB_stat stat{};
        check(mdb_stat(txn_, handle(which), &stat), name_of(which));
        return stat.ms_entries;
    }

private:
    friend class cursor;

    [[nodiscard]] MDB_dbi handle(database which) const noexcept {
        return (*handles_)[static_cast<std::size_t>(which)];
    }

    MDB_txn* txn_;
    const database_handles* handles_;
};

/// A place in a database, in the order of its keys. It must not outlive its transaction, nor be
/// used after a write to its database.
class cursor {
public:
    cursor(const transaction& in, database over) : over_(over) {
        check(mdb_cursor_open(in.txn_, in.handle(over), &cursor_), name_of(over));
    }
    ~cursor() { mdb_cursor_close(cursor_); }
    cursor(const cursor&) = delete;
    cursor& operator=(const cursor&) = delete;

    // Each moves, and tells whether there is an entry where it is now.

    bool first() { return move(MDB_FIRST); }
    bool next() { return move(MDB_NEXT); }

    /// To the first entry whose key is not before `key`.
    bool seek(std::string_view key) {
        key_ = to_val(key);
        return move(MDB_SET_RANGE);
    }

    /// To the last entry whose key is before `key`.
    bool seek_before(std::string_view key) { return seek(key) ? previous() : move(MDB_LAST); }
    bool previous() { return move(MDB_PREV); }

    [[nodiscard]] std::string_view key() const noexcept { return to_view(key_); }
    [[nodiscard]] std::string_view value() const noexcept { return to_view(value_); }

private:
    bool move(MDB_cursor_op how) {
        const int code = mdb_cursor_get(cursor_, &key_, &value_, how);
        if (code == MDB_NOTFOUND) return false;
        check(code, name_of(over_));
        return true;
    }

    database over_;
    MDB_cursor* cursor_ = nullptr;
    MDB_val key_{};
    MDB_val value_{};
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
