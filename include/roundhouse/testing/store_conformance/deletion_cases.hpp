#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// Cases about products that are deleted.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::deletion_cases {

using namespace samples;

/// The product whose id is `demo`.
inline product demo_product() { return tenant(0xD0, "demo"); }

inline change_set erase_demo(std::uint64_t revision) {
    return batch(erase_product{demo, revision});
}

inline insert_engine insert_of_product(engine_record record) {
    return {std::move(record), {}, {}, {}, true};
}

inline put_idempotency record_of(const uuid& product, std::uint8_t n, bool needs_product = false) {
    idempotency_record record;
    record.id.product_id = product;
    record.id.key_hash.fill(n);
    return {std::move(record), needs_product};
}

inline change_set together(std::vector<change> changes) {
    change_set set;
    set.changes = std::move(changes);
    return set;
}

template <store Store> void an_erased_product_is_found_by_nothing(Store& store) {
    const auto record = demo_product();
    must(store.commit(put(record)));
    must(store.commit(put(tenant(2, "bolt"))));
    must(store.commit(erase_demo(1)));
    require(must(store.find_product_by_id(demo)) == nullptr, "not found by its id");
    require(must(store.find_product_named("demo")) == nullptr, "not found by its slug");
    require(must(store.find_product(record.keys.front().hash)) == nullptr, "nor by its key");
    const auto page = must(store.list_products({}));
    require(page.total == 1 && page.products.front()->slug == "bolt", "others are listed");
    auto next = tenant(3, "demo");
    next.keys = record.keys;
    must(store.commit(put(next)));
    require(must_have(store.find_product_named("demo")).id == next.id,
            "its slug and key can be another product's");
}

template <store Store> void a_product_with_engines_is_not_erased(Store& store) {
    must(store.commit(put(demo_product())));
    must(store.commit(insert(engine(1, "ada"))));
    must(store.commit(insert(engine(2, "bob", other))));
    require_refused(store.commit(erase_demo(1)), errc::product_not_empty);
    require(must_have(store.find_product_by_id(demo)).revision == 1, "it is as it was");
    const auto ada = must_have(store.find_engine(demo, "ada"));
    must(store.commit(together({erase_engine{demo, "ada", ada.revision}, erase_product{demo, 1}})));
    require(must(store.find_product_by_id(demo)) == nullptr,
            "a batch that erases the last engine can erase the product");
}

template <store Store> void a_batch_counts_its_own_engines(Store& store) {
    must(store.commit(put(demo_product())));
    require_refused(
        store.commit(together({insert_engine{engine(1, "ada"), {}, {}}, erase_product{demo, 1}})),
        errc::product_not_empty);
    require(must(store.find_engine(demo, "ada")) == nullptr, "nothing of it was done");
}

template <store Store> void erased_with_its_revision(Store& store) {
    require_refused(store.commit(erase_demo(0)), errc::revision_conflict);
    must(store.commit(put(demo_product())));
    for (const std::uint64_t revision : {0U, 2U})
        require_refused(store.commit(erase_demo(revision)), errc::revision_conflict);
    must(store.commit(erase_demo(1)));
    require_refused(store.commit(erase_demo(1)), errc::revision_conflict);
}

template <store Store> void only_the_audit_rows_are_left(Store& store) {
    must(store.commit(put(demo_product())));
    auto set = together({insert_of_product(engine(1, "ada")), record_of(demo, 1),
                         record_of(demo, 2), record_of(other, 1)});
    set.audit = {row(demo, 10)};
    must(store.commit(set));
    must(store.commit(erase(must_have(store.find_engine(demo, "ada")))));
    require(must(store.counts(demo)).total_destroys == 1, "its engine was destroyed");
    auto end = erase_demo(1);
    end.audit = {row(demo, 20)};
    must(store.commit(end));
    require_same(must(store.counts(demo)), fleet_counts{}, "its counters are gone");
    for (const auto n : {std::uint8_t{1}, std::uint8_t{2}})
        require(must(store.find_idempotency(record_of(demo, n).record.id)) == nullptr,
                "its idempotency records are gone");
    require(must(store.find_idempotency(record_of(other, 1).record.id)) != nullptr,
            "those of others are not");
    require(must(store.audit(every_row(demo))).entries.size() == 2, "its audit rows stay");
}

template <store Store> void engines_can_need_their_product(Store& store) {
    const auto ada = insert_of_product(engine(1, "ada"));
    require_refused(store.commit(batch(ada)), errc::product_not_found);
    require_refused(store.commit(batch(record_of(demo, 1, true))), errc::product_not_found);
    must(store.commit(together({put_product{demo_product()}, ada, record_of(demo, 1, true)})));
    auto going = must_have(store.find_product_by_id(demo));
    going.keys.clear();
    going.deleting_since = at(5);
    must(store.commit(put(going)));
    const auto bob = insert_of_product(engine(2, "bob"));
    require_refused(store.commit(batch(bob)), errc::product_deleting);
    require_refused(store.commit(batch(record_of(demo, 2, true))), errc::product_deleting);
    must(store.commit(update(must_have(store.find_engine(demo, "ada")))));
    going.revision = 2;
    require_refused(store.commit(together({put_product{going}, bob})), errc::product_deleting);
}

template <store Store> void nothing_is_added_to_what_a_batch_erases(Store& store) {
    must(store.commit(put(demo_product())));
    for (const change& later : {change{insert_engine{engine(1, "ada"), {}, {}}},
                                change{record_of(demo, 1)}, change{put_product{demo_product()}}})
        require_refused(store.commit(together({erase_product{demo, 1}, later})),
                        errc::product_not_found);
    require(must_have(store.find_product_by_id(demo)).revision == 1, "it is as it was");
}

template <store Store> void the_time_of_a_deletion_is_kept(Store& store) {
    auto going = demo_product();
    going.keys.clear();
    going.deleting_since = at(1'700'000'000'123);
    must(store.commit(put(going)));
    going.revision = 1;
    require_same(must_have(store.find_product_by_id(demo)), going, "whole");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"an erased product is found by nothing, and leaves its slug and key to others",
         an_erased_product_is_found_by_nothing<Store>},
        {"a product that has engines is not erased", a_product_with_engines_is_not_erased<Store>},
        {"a batch that erases a product counts the engines that it adds",
         a_batch_counts_its_own_engines<Store>},
        {"a product is erased only with its revision", erased_with_its_revision<Store>},
        {"of a product that was erased only the audit rows are left",
         only_the_audit_rows_are_left<Store>},
        {"engines and idempotency records can need a product that is not being deleted",
         engines_can_need_their_product<Store>},
        {"nothing is added to a product that the same batch erases",
         nothing_is_added_to_what_a_batch_erases<Store>},
        {"the time since which a product is being deleted is kept",
         the_time_of_a_deletion_is_kept<Store>},
    };
}

} // namespace testing::deletion_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
