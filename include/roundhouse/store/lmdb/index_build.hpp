#pragma once

#include <roundhouse/core/store_plan/index_entries.hpp>
#include <roundhouse/store/lmdb/conversion_log.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/engine_entries.hpp>
#include <roundhouse/store/lmdb/environment.hpp>
#include <roundhouse/store/lmdb/listing.hpp>
#include <roundhouse/store/lmdb/options.hpp>
#include <roundhouse/store/lmdb/schema.hpp>

#include <optional>
#include <string>

/// Builds the indexes that a store of an older layout lacks.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// Puts every engine into the indexes of users and of metadata, and raises the layout. Engines whose
/// records are damaged are left out, as they are of listings.
inline void index_engines(const transaction& txn) {
    cursor engines(txn, database::engines);
    for (bool more = engines.first(); more; more = engines.next()) {
        const number_bytes number(number_bytes::read(engines.key()));
        const auto engine = readable_engine(txn, number.view());
        if (!engine) continue;
        for (const auto& entry : core::entries_of(*engine))
            if (entry.index == core::engine_index::user ||
                entry.index == core::engine_index::metadata)
                put_entry(txn, stored_entry(entry, *engine, number));
    }
    write_version(txn, layout_key, layout);
}

/// Makes an open store one whose engines are indexed by user and metadata, in one transaction: if it
/// is interrupted, the store is as it was. Throws `failure`.
inline void build_missing_indexes(environment& store, const lmdb_options& options) {
    const auto engines = store.read([](const transaction& txn) {
        return layout_of(txn) < indexed_layout ? std::optional(txn.size(database::engines))
                                               : std::nullopt;
    });
    if (!engines) return;
    const conversion_log log(options);
    log.began("layout " + std::to_string(layout) + ": " + std::to_string(*engines) +
              " engines are indexed by user and metadata");
    store.write([](const transaction& txn) {
        index_engines(txn);
        return true;
    });
    log.ended();
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
