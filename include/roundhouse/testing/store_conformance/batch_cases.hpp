#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/contents.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

/// Cases about batches: they are applied whole or not at all, one change after the other.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::batch_cases {

using namespace samples;

/// Commits a product, engines of two products with ports, and audit rows.
template <store Store> void furnish(Store& store) {
    auto set = put(tenant(1, "acme"));
    set.changes.emplace_back(insert_engine{engine(1, "ada"), {}, ports(9001, 9009)});
    set.changes.emplace_back(insert_engine{engine(2, "bob"), {}, ports(9001, 9009)});
    set.changes.emplace_back(insert_engine{engine(3, "ada", other), {}, ports(9001, 9009)});
    set.audit = {row(demo, 10), row(other, 20)};
    must(store.commit(set));
}

template <store Store> std::string contents(const Store& store) {
    return contents_of(store, {demo, other, numbered(1), numbered(2)});
}

/// One change of each kind, all of which are valid after `furnish`.
template <store Store> std::vector<change> good_changes(const Store& store) {
    auto ada = must_have(store.find_engine(demo, "ada"));
    ada.status = engine_status::running;
    auto acme = must_have(store.find_product_named("acme"));
    acme.slug = "bolt";
    acme.keys.front().hash.fill(77);
    return {insert_engine{engine(4, "eve"), {}, ports(9001, 9009)},
            update_engine{ada, ports(9005, 9009)}, erase_engine{demo, "bob", 1, false},
            put_product{acme}, put_product{tenant(2, "cove")}};
}

/// Changes that must be refused after `good_changes`, each with its error.
inline std::vector<std::pair<change, errc>> bad_changes() {
    auto twin = engine(3, "joe");
    twin.id.bytes[15] = 99;
    return {{insert_engine{engine(9, "ada", other), {}, {}}, errc::engine_already_exists},
            {insert_engine{twin, {}, {}}, errc::short_id_taken},
            {insert_engine{engine(9, "joe"), 1, {}}, errc::quota_exceeded},
            {insert_engine{engine(9, "joe"), {}, ports(9001, 9009, [](auto) { return false; })},
             errc::port_exhaustion},
            {update_engine{engine(3, "ada", other), {}}, errc::revision_conflict},
            {erase_engine{other, "ada", 2, false}, errc::revision_conflict},
            {put_product{tenant(1, "acme")}, errc::revision_conflict},
            {put_product{tenant(9, "cove")}, errc::product_slug_exists}};
}

template <store Store> void failed_batches_change_nothing(Store& store) {
    furnish(store);
    const auto before = contents(store);
    for (const auto& [bad, code] : bad_changes()) {
        change_set set;
        set.changes = good_changes(store);
        set.changes.push_back(bad);
        set.audit = {row(demo, 30)};
        set.amend = must(store.audit(every_row(demo))).entries.at(0);
        set.amend->metadata = {{"amended", true}};
        require_refused(store.commit(set), code);
        require(difference(contents(store), before).empty(),
                "a batch that is refused changes nothing: " + difference(contents(store), before));
    }
}

template <store Store> void failed_batches_leave_no_trace(Store& store) {
    furnish(store);
    change_set set;
    set.changes = good_changes(store);
    set.changes.push_back(bad_changes().front().first);
    set.audit = {row(demo, 30)};
    require_refused(store.commit(set), errc::engine_already_exists);
    set.changes.pop_back();
    const auto done = must(store.commit(set));
    require(done.engines.size() == 2 && done.engines[0]->revision == 1 &&
                done.engines[1]->revision == 2,
            "without its fault the batch succeeds, and makes the next revisions");
    require(done.audit_ids.size() == 1 && must(store.audit(every_row(demo))).entries.size() == 2,
            "its audit row is added once");
}

template <store Store> void whole_batches_are_applied(Store& store) {
    furnish(store);
    change_set set;
    set.changes = good_changes(store);
    set.audit = {row(demo, 30), row(other, 40)};
    const auto done = must(store.commit(set));
    require(done.engines.size() == 2, "each insert and update returns its row");
    require_same(*done.engines[0], must_have(store.find_engine(demo, "eve")),
                 "the insert's row comes first");
    require_same(*done.engines[1], must_have(store.find_engine(demo, "ada")), "then the update's");
    require(done.engines[1]->status == engine_status::running && done.engines[1]->port >= 9005,
            "the update is applied");
    require(must(store.find_engine(demo, "bob")) == nullptr, "the erase is applied");
    require(must_have(store.find_product_named("bolt")).id == numbered(1) &&
                must_have(store.find_product_named("cove")).id == numbered(2),
            "the products are applied");
    require(done.audit_ids.size() == 2 &&
                must(store.audit(every_row(other))).entries.at(0).id == done.audit_ids[1],
            "the audit rows are appended, in order");
}

template <store Store> void changes_see_those_before(Store& store) {
    must(store.commit(insert(engine(1, "ada"))));
    change_set set = erase(must_have(store.find_engine(demo, "ada")));
    set.changes.emplace_back(insert_engine{engine(1, "ada"), {}, {}}); // the same short id
    auto record = engine(1, "ada");
    record.revision = 1;
    record.version = "2";
    set.changes.emplace_back(update_engine{record, {}});
    const auto done = must(store.commit(set));
    require(done.engines.size() == 2 && done.engines[1]->revision == 2,
            "the update follows the insert");
    require_same(must_have(store.find_engine(demo, "ada")), *done.engines[1],
                 "the row of the last change is stored");
    require(must(store.list_engines(every_engine(demo))).total == 1, "the engine is listed once");

    set = insert(engine(2, "bob"));
    set.changes.emplace_back(insert_engine{engine(3, "bob"), {}, {}});
    require_refused(store.commit(set), errc::engine_already_exists);
    set = insert(engine(2, "bob"));
    set.changes.emplace_back(insert_engine{engine(2, "eve"), {}, {}});
    require_refused(store.commit(set), errc::short_id_taken);
    set = erase(must_have(store.find_engine(demo, "ada")));
    set.changes.emplace_back(set.changes.front());
    require_refused(store.commit(set), errc::revision_conflict);
}

template <store Store> void inserted_and_erased_in_one_batch(Store& store) {
    change_set set = insert(engine(1, "ada"), {}, ports(9001, 9001));
    set.changes.emplace_back(erase_engine{demo, "ada", 1, true});
    const auto done = must(store.commit(set));
    require(done.engines.size() == 1, "the insert returns its row");
    require(must(store.find_engine(demo, "ada")) == nullptr, "the engine is gone");
    require_same(must(store.counts(demo)), fleet_counts{}, "the counters are as before");
    must(store.commit(insert(engine(1, "bob"), {}, ports(9001, 9001))));
}

template <store Store> void empty_batches_succeed(Store& store) {
    furnish(store);
    const auto before = contents(store);
    const auto done = must(store.commit(change_set{}));
    require_same(done, committed{}, "an empty batch returns nothing");
    require(contents(store) == before, "an empty batch changes nothing");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"a batch that is refused changes nothing, whatever the reason",
         failed_batches_change_nothing<Store>},
        {"a refused batch can be committed once its fault is removed",
         failed_batches_leave_no_trace<Store>},
        {"a batch is applied whole", whole_batches_are_applied<Store>},
        {"each change of a batch sees those before it", changes_see_those_before<Store>},
        {"an engine that a batch inserts and erases leaves nothing",
         inserted_and_erased_in_one_batch<Store>},
        {"an empty batch changes nothing", empty_batches_succeed<Store>},
    };
}

} // namespace testing::batch_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
