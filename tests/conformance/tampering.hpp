#pragma once

#include "catch.hpp"

#include <roundhouse/store/lmdb.hpp>

#include <lmdb.h>

#include <cstddef>
#include <functional>
#include <string>
#include <utility>

namespace roundhouse_tests {

/// A database of a store that is not open, to change its entries without the store.
class raw_database {
public:
    struct entry {
        std::string key;
        std::string value;
    };

    raw_database(const roundhouse::lmdb_options& options, const char* name) {
        REQUIRE(mdb_env_create(&env_) == 0);
        REQUIRE(mdb_env_set_maxdbs(env_, 32) == 0);
        REQUIRE(mdb_env_open(env_, options.folder.c_str(), 0, 0600) == 0);
        REQUIRE(mdb_txn_begin(env_, nullptr, 0, &txn_) == 0);
        REQUIRE(mdb_dbi_open(txn_, name, 0, &handle_) == 0);
    }
    /// Commits the changes.
    ~raw_database() {
        CHECK(mdb_txn_commit(txn_) == 0);
        mdb_env_close(env_);
    }
    raw_database(const raw_database&) = delete;
    raw_database& operator=(const raw_database&) = delete;

    /// The entry with this key; the first one if it is empty.
    entry find(std::string key = {}) {
        MDB_cursor* cursor = nullptr;
        REQUIRE(mdb_cursor_open(txn_, handle_, &cursor) == 0);
        auto found = to_val(key);
        MDB_val value{};
        REQUIRE(mdb_cursor_get(cursor, &found, &value, key.empty() ? MDB_FIRST : MDB_SET_KEY) == 0);
        mdb_cursor_close(cursor);
        return {to_text(found), to_text(value)};
    }
    void put(entry next) {
        auto key = to_val(next.key);
        auto value = to_val(next.value);
        REQUIRE(mdb_put(txn_, handle_, &key, &value, 0) == 0);
    }
    void remove(std::string key_text) {
        auto key = to_val(key_text);
        REQUIRE(mdb_del(txn_, handle_, &key, nullptr) == 0);
    }
    /// Removes the database itself, which must not be used afterwards.
    void drop() { REQUIRE(mdb_drop(txn_, handle_, 1) == 0); }

    /// The number of entries.
    [[nodiscard]] std::size_t size() const {
        MDB_stat stat{};
        REQUIRE(mdb_stat(txn_, handle_, &stat) == 0);
        return stat.ms_entries;
    }

private:
    static MDB_val to_val(std::string& bytes) { return {bytes.size(), bytes.data()}; }
    static std::string to_text(const MDB_val& bytes) {
        return {static_cast<const char*>(bytes.mv_data), bytes.mv_size};
    }

    MDB_env* env_ = nullptr;
    MDB_txn* txn_ = nullptr;
    MDB_dbi handle_ = 0;
};

/// Changes the value of an entry: of the first one if no key is given.
inline void tamper(const roundhouse::lmdb_options& options, const char* database,
                   const std::function<void(std::string&)>& change, std::string key = {}) {
    raw_database opened(options, database);
    auto entry = opened.find(std::move(key));
    change(entry.value);
    opened.put(std::move(entry));
}

} // namespace roundhouse_tests
