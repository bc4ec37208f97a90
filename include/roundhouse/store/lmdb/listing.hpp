#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/tables.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// An engine; nothing if it is damaged.
[[nodiscard]] inline engine_ptr readable_engine(const transaction& in, std::string_view key) {
    try {
        return find_engine(in, key);
    } catch (const failure& cause) {
        if (cause.code() != MDB_SUCCESS) throw;
        return nullptr;
    }
}

/// A page of a product's engines, through the index in which they stand by age.
[[nodiscard]] inline engine_page list_engines(const transaction& in, const engine_query& query) {
    engine_page page;
    const auto counts = read_counts(in, query.product_id);
    page.total = query.status ? counts.of(*query.status) : counts.total();
    if (query.offset >= page.total) return page;
    const auto index = query.status ? database::engines_by_status : database::engines_by_sequence;
    const auto prefix = query.status ? status_prefix_of(query.product_id, *query.status)
                                     : key_of(query.product_id);
    cursor engines(in, index);
    std::size_t place = 0;
    for (bool more = engines.seek(prefix.view());
         more && engines.key().starts_with(prefix.view()) && page.engines.size() < query.limit;
         more = engines.next(), ++place) {
        if (place < query.offset) continue;
        const auto key = engine_key_of(query.product_id, engines.value());
        if (auto engine = readable_engine(in, key.view()))
            page.engines.push_back(std::move(engine));
    }
    return page;
}

/// Visits every engine; one that is damaged as the error that names it.
inline void visit_engines(const transaction& in,
                          const std::function<void(const result<engine_ptr>&)>& visit) {
    cursor engines(in, database::engines);
    for (bool more = engines.first(); more; more = engines.next()) {
        auto engine = std::make_shared<engine_record>();
        try {
            read_record(database::engines, engines.key(), engines.value(), *engine);
        } catch (const failure& cause) {
            visit(unexpected(cause.told()));
            continue;
        }
        visit(engine_ptr(std::move(engine)));
    }
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
