#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/types.hpp>

#include <set>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Whether a store has a product, engines or counters with this id.
template <class Store> bool has_something_of(const Store& store, const uuid& product) {
    engine_query query;
    query.product_id = product;
    const auto found = store.find_product_by_id(product);
    const auto engines = store.list_engines(query);
    const auto counts = store.counts(product);
    return !found || *found || !engines || engines->total > 0 || !counts ||
           counts->total_provisions > 0 || counts->total_destroys > 0;
}

/// Checks that nothing of a product that is gone is left at rest but its audit rows, which tell its
/// end unless they may be older than the retention.
template <class Store>
void check_gone_products(const Store& store, const ledger& rows, const machine& host,
                         bool keeps_audit, violations& found) {
    std::set<uuid> with_records;
    const auto read = store.for_each_idempotency([&](const result<idempotency_ptr>& record) {
        if (record) with_records.insert((*record)->id.product_id);
    });
    for (const auto& product : rows.gone_products()) {
        found.require(!has_something_of(store, product), "something of a deleted product is stored",
                      to_string(product));
        found.require(read && !with_records.contains(product),
                      "an idempotency record of a deleted product is left", to_string(product));
        for (const auto& [id, engine] : host.engines())
            found.require(engine.owner.product_id != product,
                          "an engine of a deleted product is left", short_id(id));
        audit_query query;
        query.product_id = product;
        query.action = audit_action::product_deleted;
        const auto told = store.audit(query);
        found.require(!keeps_audit || (told && told->entries.size() == 1),
                      "the end of a product is not in the audit log", to_string(product));
    }
}

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
