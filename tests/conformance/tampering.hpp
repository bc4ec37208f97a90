#pragma once

#include "catch.hpp"

#include <roundhouse/store/lmdb.hpp>

#include <lmdb.h>

#include <functional>
#include <string>

namespace roundhouse_tests {

/// Changes an entry of a database without the store: the first one if no key is given.
inline void tamper(const roundhouse::lmdb_options& options, const char* database,
                   const std::function<void(std::string&)>& change, std::string key_text = {}) {
    MDB_env* env = nullptr;
    REQUIRE(mdb_env_create(&env) == 0);
    REQUIRE(mdb_env_set_maxdbs(env, 32) == 0);
    REQUIRE(mdb_env_open(env, options.folder.c_str(), 0, 0600) == 0);
    MDB_txn* txn = nullptr;
    REQUIRE(mdb_txn_begin(env, nullptr, 0, &txn) == 0);
    MDB_dbi handle = 0;
    REQUIRE(mdb_dbi_open(txn, database, 0, &handle) == 0);
    MDB_cursor* cursor = nullptr;
    REQUIRE(mdb_cursor_open(txn, handle, &cursor) == 0);
    MDB_val key{key_text.size(), key_text.data()};
    MDB_val value{};
    REQUIRE(mdb_cursor_get(cursor, &key, &value, key_text.empty() ? MDB_FIRST : MDB_SET_KEY) == 0);
    key_text.assign(static_cast<const char*>(key.mv_data), key.mv_size);
    std::string text(static_cast<const char*>(value.mv_data), value.mv_size);
    mdb_cursor_close(cursor);
    change(text);
    key = {key_text.size(), key_text.data()};
    value = {text.size(), text.data()};
    REQUIRE(mdb_put(txn, handle, &key, &value, 0) == 0);
    REQUIRE(mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
}

} // namespace roundhouse_tests
