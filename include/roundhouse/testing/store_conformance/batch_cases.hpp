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

/// What a store promises of batches: whole or not at all, one change after the other.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::batch_cases {

using namespace samples;

/// Two products with engines, ports and audit rows, for a batch to change.
template <store Store> void furnish(Store& kept) {
    auto set = put(tenant(1, "acme"));
    set.changes.emplace_back(insert_engine{engine(1, "ada"), {}, ports(9001, 9009)});
    set.changes.emplace_back(insert_engine{engine(2, "bob"), {}, ports(9001, 9009)});
    set.changes.emplace_back(insert_engine{engine(3, "ada", other), {}, ports(9001, 9009)});
    set.audit = {row(demo, 10), row(other, 20)};
    must(kept.commit(set));
}

template <store Store> std::string contents(const Store& kept) {
    return contents_of(kept, {demo, other, numbered(1), numbered(2)});
}

/// One change of each kind, all of which can be made after `furnish`.
template <store Store> std::vector<change> good_changes(const Store& kept) {
    auto ada = must_have(kept.find_engine(demo, "ada"));
    ada.status = engine_status::running;
    auto acme = must_have(kept.find_product_named("acme"));
    acme.slug = "bolt";
    acme.key_hash.fill(77);
    return {insert_engine{engine(4, "eve"), {}, ports(9001, 9009)},
            update_engine{ada, ports(9005, 9009)}, erase_engine{demo, "bob", 1, false},
            put_product{acme}, put_product{tenant(2, "cove")}};
}

/// Changes that cannot be made, each with the reason.
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

template <store Store> void failed_batches_change_nothing(Store& kept) {
    furnish(kept);
    const auto before = contents(kept);
    for (const auto& [bad, code] : bad_changes()) {
        change_set set;
        set.changes = good_changes(kept);
        set.changes.push_back(bad);
        set.audit = {row(demo, 30)};
        set.amend = must(kept.audit(every_row(demo))).entries.at(0);
        set.amend->metadata = {{"amended", true}};
        require_refused(kept.commit(set), code);
        require(difference(contents(kept), before).empty(),
                "a batch that fails changes nothing: " + difference(contents(kept), before));
    }
}

template <store Store> void failed_batches_leave_no_trace(Store& kept) {
    furnish(kept);
    change_set set;
    set.changes = good_changes(kept);
    set.changes.push_back(bad_changes().front().first);
    set.audit = {row(demo, 30)};
    require_refused(kept.commit(set), errc::engine_already_exists);
    set.changes.pop_back();
    const auto done = must(kept.commit(set));
    require(done.engines.size() == 2 && done.engines[0]->revision == 1 &&
                done.engines[1]->revision == 2,
            "the same batch without its fault succeeds, with the revisions that were next");
    require(done.audit_ids.size() == 1 && must(kept.audit(every_row(demo))).entries.size() == 2,
            "and its audit row is there once");
}

template <store Store> void whole_batches_are_applied(Store& kept) {
    furnish(kept);
    change_set set;
    set.changes = good_changes(kept);
    set.audit = {row(demo, 30), row(other, 40)};
    const auto done = must(kept.commit(set));
    require(done.engines.size() == 2, "each insert and update is told");
    require_same(*done.engines[0], must_have(kept.find_engine(demo, "eve")), "the insert first");
    require_same(*done.engines[1], must_have(kept.find_engine(demo, "ada")), "then the update");
    require(done.engines[1]->status == engine_status::running && done.engines[1]->port >= 9005,
            "the update is applied");
    require(must(kept.find_engine(demo, "bob")) == nullptr, "the erase is applied");
    require(must_have(kept.find_product_named("bolt")).id == numbered(1) &&
                must_have(kept.find_product_named("cove")).id == numbered(2),
            "the products are applied");
    require(done.audit_ids.size() == 2 &&
                must(kept.audit(every_row(other))).entries.at(0).id == done.audit_ids[1],
            "the audit rows are appended, in order");
}

template <store Store> void changes_see_those_before(Store& kept) {
    must(kept.commit(insert(engine(1, "ada"))));
    change_set set = erase(must_have(kept.find_engine(demo, "ada")));
    set.changes.emplace_back(insert_engine{engine(1, "ada"), {}, {}}); // the same short id
    auto record = engine(1, "ada");
    record.revision = 1;
    record.version = "2";
    set.changes.emplace_back(update_engine{record, {}});
    const auto done = must(kept.commit(set));
    require(done.engines.size() == 2 && done.engines[1]->revision == 2, "one after the other");
    require_same(must_have(kept.find_engine(demo, "ada")), *done.engines[1], "the last one stays");
    require(must(kept.list_engines(every_engine(demo))).total == 1, "it is listed once");

    set = insert(engine(2, "bob"));
    set.changes.emplace_back(insert_engine{engine(3, "bob"), {}, {}});
    require_refused(kept.commit(set), errc::engine_already_exists);
    set = insert(engine(2, "bob"));
    set.changes.emplace_back(insert_engine{engine(2, "eve"), {}, {}});
    require_refused(kept.commit(set), errc::short_id_taken);
    set = erase(must_have(kept.find_engine(demo, "ada")));
    set.changes.emplace_back(set.changes.front());
    require_refused(kept.commit(set), errc::revision_conflict);
}

template <store Store> void inserted_and_erased_in_one_batch(Store& kept) {
    change_set set = insert(engine(1, "ada"), {}, ports(9001, 9001));
    set.changes.emplace_back(erase_engine{demo, "ada", 1, true});
    const auto done = must(kept.commit(set));
    require(done.engines.size() == 1, "the insert is told");
    require(must(kept.find_engine(demo, "ada")) == nullptr, "the engine is gone");
    require_same(must(kept.counts(demo)), fleet_counts{}, "and counted nowhere");
    must(kept.commit(insert(engine(1, "bob"), {}, ports(9001, 9001))));
}

template <store Store> void empty_batches_succeed(Store& kept) {
    furnish(kept);
    const auto before = contents(kept);
    const auto done = must(kept.commit(change_set{}));
    require_same(done, committed{}, "an empty batch makes nothing");
    require(contents(kept) == before, "and changes nothing");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"a batch that fails changes nothing, whatever it fails for",
         failed_batches_change_nothing<Store>},
        {"a batch that failed can be committed when its fault is gone",
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
