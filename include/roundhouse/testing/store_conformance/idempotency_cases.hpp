#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstdint>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

/// Cases about the records of calls with an idempotency key.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::idempotency_cases {

using namespace samples;

/// A record of the nth key of a product, for the nth engine, made at that time.
[[nodiscard]] inline idempotency_record nth_record(std::uint32_t n, std::int64_t ms = 0,
                                                   const uuid& owner = demo) {
    idempotency_record out;
    out.id.product_id = owner;
    for (std::uint32_t i = 0; i < 4; ++i)
        out.id.key_hash[i] = static_cast<std::uint8_t>(n >> (8 * i));
    out.request.fill(static_cast<std::uint8_t>(n + 1));
    out.engine_id = numbered(n);
    out.created_at = at(ms);
    return out;
}

[[nodiscard]] inline change_set put(idempotency_record record) {
    return batch(put_idempotency{std::move(record)});
}

/// A stored record, without its sequence, which is the store's.
template <store Store>
idempotency_record kept(const Store& store, const idempotency_id& id,
                        const std::source_location& where = std::source_location::current()) {
    auto found = must_have(store.find_idempotency(id), where);
    found.sequence = 0;
    return found;
}

template <store Store> void record_is_found_as_it_was_put(Store& store) {
    auto record = nth_record(1, 1'700'000'000'123);
    require(must(store.find_idempotency(record.id)) == nullptr, "a new store has no record");
    must(store.commit(put(record)));
    require_same(kept(store, record.id), record, "the record is found");
    record.sealed_answer = std::string("sealed\0answer", 13);
    must(store.commit(put(record)));
    require_same(kept(store, record.id), record, "the record with its answer is found");
    require(must(store.find_idempotency(nth_record(2).id)) == nullptr, "another key has none");
    require(must(store.find_idempotency(nth_record(1, 0, other).id)) == nullptr,
            "nor has another product with the same key");
}

template <store Store> void record_is_committed_with_its_engine_or_not_at_all(Store& store) {
    auto both = insert(engine(1, "ada"), 1);
    both.changes.emplace_back(put_idempotency{nth_record(1)});
    must(store.commit(both));
    require_same(kept(store, nth_record(1).id), nth_record(1), "the record came with the engine");
    auto registration = batch(put_product{tenant(7, "registered")});
    const auto by_admin = nth_record(3, 0, uuid{});
    registration.changes.emplace_back(put_idempotency{by_admin});
    must(store.commit(registration));
    require_same(kept(store, by_admin.id), by_admin, "the record came with the product");
    auto refused = insert(engine(2, "bob"), 1);
    refused.changes.emplace_back(put_idempotency{nth_record(2)});
    require_refused(store.commit(refused), errc::quota_exceeded);
    require(must(store.find_idempotency(nth_record(2).id)) == nullptr,
            "a refused commit leaves no record");
}

template <store Store> void record_stays_when_its_engine_goes(Store& store) {
    auto both = insert(engine(1, "ada"));
    both.changes.emplace_back(put_idempotency{nth_record(1)});
    must(store.commit(both));
    must(store.commit(erase(must_have(store.find_engine(demo, "ada")))));
    require_same(kept(store, nth_record(1).id), nth_record(1), "the record is still there");
}

template <store Store> void old_records_are_pruned_in_batches(Store& store) {
    for (std::uint32_t n = 1; n <= 4; ++n) {
        must(store.commit(put(nth_record(n, n * 10))));
        must(store.commit(put(nth_record(n, n * 10, other))));
    }
    require(must(store.prune_idempotency(at(10), many)) == 0, "none was made before the first");
    require(must(store.prune_idempotency(at(31), 4)) == 4, "a batch has as many as it may");
    require(must(store.prune_idempotency(at(31), 4)) == 2, "the rest of the old ones follows");
    require(must(store.prune_idempotency(at(31), 4)) == 0, "then there are none");
    for (const auto& owner : {demo, other}) {
        require(must(store.find_idempotency(nth_record(3, 0, owner).id)) == nullptr,
                "an old record is gone");
        require_same(kept(store, nth_record(4, 0, owner).id), nth_record(4, 40, owner),
                     "a younger one stays");
    }
}

/// A key whose record is too old stands for the next call that is made with it.
template <store Store> void record_of_another_engine_takes_the_place(Store& store) {
    must(store.commit(put(nth_record(1, 10))));
    must(store.commit(put(nth_record(2, 20))));
    auto next = nth_record(1, 30);
    next.engine_id = numbered(9);
    must(store.commit(put(next)));
    require_same(kept(store, next.id), next, "the later record is found");
    require(must(store.prune_idempotency(at(25), many)) == 1, "it is as young as it says");
    require_same(kept(store, next.id), next, "the later record stays");
    require(must(store.prune_idempotency(at(31), many)) == 1, "and goes in its turn");
}

template <store Store> void oldest_records_make_room(Store& store) {
    must(store.commit(put(nth_record(0, 0, other))));
    change_set set;
    const auto most = static_cast<std::uint32_t>(max_idempotency_records);
    for (std::uint32_t n = 1; n <= most; ++n)
        set.changes.emplace_back(put_idempotency{nth_record(n, n)});
    must(store.commit(set));
    require_same(kept(store, nth_record(1).id), nth_record(1, 1), "as many as may be kept are");
    must(store.commit(put(nth_record(most + 1, most + 1))));
    require(must(store.find_idempotency(nth_record(1).id)) == nullptr, "the oldest makes room");
    require_same(kept(store, nth_record(2).id), nth_record(2, 2), "the second oldest stays");
    require_same(kept(store, nth_record(0, 0, other).id), nth_record(0, 0, other),
                 "another product's record stays");
}

template <store Store> void every_record_is_visited(Store& store) {
    for (std::uint32_t n = 1; n <= 3; ++n) must(store.commit(put(nth_record(n, n))));
    must(store.commit(put(nth_record(1, 1, other))));
    std::vector<uuid> engines;
    must(store.for_each_idempotency([&](const result<idempotency_ptr>& record) {
        engines.push_back(must(record)->engine_id);
    }));
    std::sort(engines.begin(), engines.end());
    std::vector<uuid> wanted{numbered(1), numbered(1), numbered(2), numbered(3)};
    std::sort(wanted.begin(), wanted.end());
    require(engines == wanted, "each record is visited once");
}

template <store Store> [[nodiscard]] std::vector<store_case<Store>> all() {
    return {
        {"an idempotency record is found as it was put", record_is_found_as_it_was_put},
        {"an idempotency record is committed with its engine or not at all",
         record_is_committed_with_its_engine_or_not_at_all},
        {"an idempotency record stays when its engine goes", record_stays_when_its_engine_goes},
        {"old idempotency records are pruned in batches", old_records_are_pruned_in_batches},
        {"the idempotency record of another engine takes the place of an old one",
         record_of_another_engine_takes_the_place},
        {"the oldest idempotency records of a product make room", oldest_records_make_room},
        {"every idempotency record is visited", every_record_is_visited},
    };
}

} // namespace testing::idempotency_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
