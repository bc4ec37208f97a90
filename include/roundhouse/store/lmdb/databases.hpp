#pragma once

#include <roundhouse/store/lmdb/bytes.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/owner_hash.hpp>
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

/// Each comment has the form `key -> value`. `+` concatenates; numbers in keys are big-endian, unless
/// a key is a number alone. An engine's number is the hash of its owner, or, if another engine has that
/// number when it is added, the next free one.
enum class database : std::uint8_t {
    meta,                ///< See schema.hpp; "state" -> store_state
    products,            ///< product id -> product
    products_by_slug,    ///< slug -> product id
    products_by_key,     ///< SHA-256 of a platform key -> product id
    engines,             ///< engine number -> engine_record
    engines_displaced,   ///< hash of an owner -> the engine numbers that are not the hash itself
    engines_by_id,       ///< engine id -> engine number
    engines_by_sequence, ///< product id + u64 sequence -> engine number
    engines_by_status,   ///< product id + u8 status + u64 sequence -> engine number
    engines_by_user,     ///< product id + user id -> sequence
    /// SHA-256 of (product id + u64 size of the name + name + value) -> the sequences of the
    /// engines whose metadata have this member
    engines_by_metadata,
    ports,            ///< u16 port -> engine id
    counters,         ///< product id -> fleet_counts
    audit,            ///< u64 row id -> audit_entry
    audit_by_product, ///< product id + u64 row id -> nothing
    audit_by_user,    ///< product id + user id + u8 zero + u64 row id -> nothing
    audit_by_engine,  ///< engine id + u64 row id -> nothing
    audit_by_action,  ///< product id + u8 action + u64 row id -> nothing
    audit_by_time,    ///< i64 latest timestamp so far + u64 row id -> nothing; one per second
    idempotency,      ///< product id + SHA-256 of an idempotency key -> idempotency_record
    idempotency_by_sequence, ///< product id + u64 sequence -> key in `idempotency`
};

inline constexpr std::array database_names{"meta",
                                           "products",
                                           "products_by_slug",
                                           "products_by_key",
                                           "engines",
                                           "engines_displaced",
                                           "engines_by_id",
                                           "engines_by_sequence",
                                           "engines_by_status",
                                           "engines_by_user",
                                           "engines_by_metadata",
                                           "ports",
                                           "counters",
                                           "audit",
                                           "audit_by_product",
                                           "audit_by_user",
                                           "audit_by_engine",
                                           "audit_by_action",
                                           "audit_by_time",
                                           "idempotency",
                                           "idempotency_by_sequence"};

/// LMDB's flags of a database, beside MDB_CREATE.
[[nodiscard]] constexpr unsigned flags_of(database database) noexcept {
    switch (database) {
    case database::engines: return MDB_INTEGERKEY;
    case database::engines_displaced:
        return MDB_INTEGERKEY | MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP;
    case database::engines_by_metadata: return MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP;
    default: return 0;
    }
}

/// Whether a key of a database may have several values.
[[nodiscard]] constexpr bool has_values(database database) noexcept {
    return (flags_of(database) & MDB_DUPSORT) != 0;
}

/// What a transaction needs of its environment.
struct database_handles {
    std::array<MDB_dbi, database_names.size()> of{};
    owner_hash_key owner_hash;
};

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

    /// Adds an entry, or replaces the one with this key unless that may have several values.
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

    /// Removes one of the values of a key, if it is there; the entry with this key, if that has one
    /// value only.
    void remove(database from, std::string_view key, std::string_view value) const {
        auto key_val = to_val(key);
        auto value_val = to_val(value);
        const int code = mdb_del(txn_, handle(from), &key_val, &value_val);
        if (code != MDB_NOTFOUND) check(code, name_of(from));
    }

    [[nodiscard]] std::uint64_t owner_hash(const uuid& product, std::string_view user) const {
        return handles_->owner_hash.hash(product, user);
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
        return handles_->of[static_cast<std::size_t>(of)];
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
    /// To the next value of the same key.
    bool next_value() { return move(MDB_NEXT_DUP); }

    /// Moves to the first entry whose key is not before `key`.
    bool seek(std::string_view key) {
        key_ = to_val(key);
        return move(MDB_SET_RANGE);
    }

    /// Moves to the first entry with this key.
    bool find(std::string_view key) {
        key_ = to_val(key);
        return move(MDB_SET_KEY);
    }

    /// Moves to this value of a key, which may have several.
    bool find(std::string_view key, std::string_view value) {
        key_ = to_val(key);
        value_ = to_val(value);
        return move(MDB_GET_BOTH);
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
