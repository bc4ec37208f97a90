#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/testing/record_text.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// Every row of the audit log, oldest first. An unreadable row is shown as its error code.
template <store Store> [[nodiscard]] std::string text_of_audit(const Store& store, instant since) {
    std::string out = "audit log\n";
    const auto done = store.for_each_audit(
        since, [&](const result<audit_entry>& row) { out += text_of(row); });
    return out + text_of(done);
}

/// Every engine of every product, sorted, because stores visit engines in different orders.
template <store Store> [[nodiscard]] std::string text_of_engines(const Store& store) {
    std::vector<std::string> engines;
    const auto done = store.for_each_engine(
        [&](const result<engine_ptr>& engine) { engines.push_back(text_of(engine)); });
    std::sort(engines.begin(), engines.end());
    std::string out = "engines\n";
    for (const auto& engine : engines) out += engine;
    return out + text_of(done);
}

/// Every idempotency record, sorted, because stores visit them in different orders.
template <store Store> [[nodiscard]] std::string text_of_idempotency(const Store& store) {
    std::vector<std::string> records;
    const auto done = store.for_each_idempotency(
        [&](const result<idempotency_ptr>& record) { records.push_back(text_of(record)); });
    std::sort(records.begin(), records.end());
    std::string out = "idempotency records\n";
    for (const auto& record : records) out += record;
    return out + text_of(done);
}

/// The contents of a store, for comparing them with those of another store or of another time: all
/// products, engines, audit rows and idempotency records, and the records, listings and counters of `products`.
template <store Store>
[[nodiscard]] std::string contents_of(const Store& store, const std::vector<uuid>& products) {
    constexpr auto all = std::numeric_limits<std::size_t>::max();
    std::string out = text_of_engines(store) + text_of(store.list_products({all, {}}));
    for (const auto& id : products) {
        out += text_of(store.find_product_named(to_string(id)));
        out += text_of(store.counts(id));
        out += text_of(store.list_engines({id, {}, 0, all}));
        for (const auto status : all_engine_statuses)
            out += text_of(store.list_engines({id, status, 0, all}));
    }
    return out + text_of_audit(store, instant::min()) + text_of_idempotency(store);
}

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
