#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <vector>

/// Cases about a product's quota and counters.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::quota_cases {

using namespace samples;

template <store Store> void quota_is_taken_and_given_back(Store& store) {
    must(store.commit(insert(engine(1, "ada"), 2)));
    must(store.commit(insert(engine(2, "bob"), 2)));
    require_refused(store.commit(insert(engine(3, "eve"), 2)), errc::quota_exceeded);
    require(must(store.find_engine(demo, "eve")) == nullptr, "the refused engine is not stored");
    must(store.commit(erase(must_have(store.find_engine(demo, "ada")))));
    must(store.commit(insert(engine(3, "eve"), 2)));
}

template <store Store> void quota_counts_every_status(Store& store) {
    std::uint32_t n = 0;
    for (const auto status : all_engine_statuses) {
        auto record = nth_engine(++n);
        record.status = status;
        must(store.commit(insert(record, n)));
        require_refused(store.commit(insert(engine(99, "eve"), n)), errc::quota_exceeded);
    }
}

template <store Store> void quota_of_zero_allows_none(Store& store) {
    require_refused(store.commit(insert(engine(1, "ada"), 0)), errc::quota_exceeded);
    must(store.commit(insert(engine(1, "ada"), 1)));
}

template <store Store> void quotas_are_each_products_own(Store& store) {
    must(store.commit(insert(engine(1, "ada", other))));
    must(store.commit(insert(engine(2, "bob", other))));
    must(store.commit(insert(engine(3, "ada"), 1)));
    require_refused(store.commit(insert(engine(4, "bob"), 1)), errc::quota_exceeded);
    must(store.commit(insert(engine(4, "bob"))));
}

template <store Store> void quota_holds_inside_a_batch(Store& store) {
    change_set set = insert(engine(1, "ada"), 2);
    set.changes.emplace_back(insert_engine{engine(2, "bob"), 2, {}});
    auto three = set;
    three.changes.emplace_back(insert_engine{engine(3, "eve"), 2, {}});
    require_refused(store.commit(three), errc::quota_exceeded);
    require_same(must(store.counts(demo)), fleet_counts{}, "none of the three engines is counted");
    must(store.commit(set));
    auto swap = erase(must_have(store.find_engine(demo, "ada")));
    swap.changes.emplace_back(insert_engine{engine(3, "eve"), 2, {}});
    must(store.commit(swap));
    require(must(store.counts(demo)).total() == 2, "the batch can use the quota that it frees");
}

/// Requires that the engines of the product reserve so much, by the counters and by the rows.
template <store Store>
void require_reserved(const Store& store, std::uint64_t memory_mb,
                      const std::source_location& where = std::source_location::current()) {
    std::uint64_t sum = 0;
    for (const auto& row : must(store.list_engines(every_engine(demo)), where).engines)
        sum += row->reserved_memory_mb;
    require(sum == memory_mb, "the rows reserve as much as was asked for", where);
    require(must(store.counts(demo), where).reserved_memory_mb == sum,
            "the counters agree with what the rows reserve", where);
}

template <store Store> void memory_is_taken_and_given_back(Store& store) {
    must(store.commit(batch(reserving(engine(1, "ada"), 60, 100))));
    must(store.commit(batch(reserving(engine(2, "bob"), 40, 100))));
    require_reserved(store, 100);
    require_refused(store.commit(batch(reserving(engine(3, "eve"), 1, 100))), errc::quota_exceeded);
    require(must(store.find_engine(demo, "eve")) == nullptr, "the refused engine is not stored");
    require_reserved(store, 100);
    must(store.commit(erase(must_have(store.find_engine(demo, "bob")))));
    must(store.commit(batch(reserving(engine(3, "eve"), 40, 100))));
    must(store.commit(erase(must_have(store.find_engine(demo, "eve")), true)));
    require_reserved(store, 60);
}

template <store Store> void memory_is_reserved_in_every_status(Store& store) {
    auto record = engine(1, "ada");
    must(store.commit(batch(reserving(record, 60, 100))));
    for (const auto status : all_engine_statuses) {
        record = must_have(store.find_engine(demo, "ada"));
        record.status = status;
        must(store.commit(update(record)));
        require_refused(store.commit(batch(reserving(engine(2, "bob"), 41, 100))),
                        errc::quota_exceeded);
    }
    require_reserved(store, 60);
}

template <store Store> void memory_quotas_are_each_products_own(Store& store) {
    must(store.commit(batch(reserving(engine(1, "ada", other), 100, 100))));
    must(store.commit(batch(reserving(engine(2, "ada"), 100, 100))));
    require_refused(store.commit(batch(reserving(engine(3, "bob"), 1, 100))), errc::quota_exceeded);
    must(store.commit(batch(reserving(engine(3, "bob"), 500, {}))));
    require_reserved(store, 600);
}

template <store Store> void a_change_takes_what_it_adds(Store& store) {
    must(store.commit(batch(reserving(engine(1, "ada"), 60, 100))));
    must(store.commit(batch(reserving(engine(2, "bob"), 20, 100))));
    const auto ada = [&] { return must_have(store.find_engine(demo, "ada")); };
    require_refused(store.commit(batch(reserving_anew(ada(), 81, 100))), errc::quota_exceeded);
    require_reserved(store, 80);
    must(store.commit(batch(reserving_anew(ada(), 80, 100))));
    require_reserved(store, 100);
    // What does not grow needs no room, also under a quota that has been lowered.
    must(store.commit(batch(reserving_anew(ada(), 80, 10))));
    must(store.commit(batch(reserving_anew(ada(), 70, 10))));
    require_reserved(store, 90);
    require_refused(store.commit(batch(reserving_anew(ada(), 71, 10))), errc::quota_exceeded);
    must(store.commit(batch(reserving_anew(ada(), 500, {}))));
    require_reserved(store, 520);
}

template <store Store> void memory_quota_holds_inside_a_batch(Store& store) {
    auto set = batch(reserving(engine(1, "ada"), 50, 100));
    set.changes.emplace_back(reserving(engine(2, "bob"), 50, 100));
    auto three = set;
    three.changes.emplace_back(reserving(engine(3, "eve"), 1, 100));
    require_refused(store.commit(three), errc::quota_exceeded);
    require_reserved(store, 0);
    must(store.commit(set));
    const auto ada = must_have(store.find_engine(demo, "ada"));
    const auto bob = must_have(store.find_engine(demo, "bob"));
    auto swap = batch(reserving_anew(bob, 90, 100));
    swap.changes.emplace_back(reserving_anew(ada, 10, 100));
    require_refused(store.commit(swap), errc::quota_exceeded); // in this order
    swap = batch(reserving_anew(ada, 10, 100));
    swap.changes.emplace_back(reserving_anew(bob, 80, 100));
    swap.changes.emplace_back(reserving(engine(3, "eve"), 10, 100));
    must(store.commit(swap));
    require_reserved(store, 100);
}

/// Requires that the counters agree with the rows.
template <store Store>
void require_counted(const Store& store, std::uint64_t provisions, std::uint64_t destroys,
                     const std::source_location& where = std::source_location::current()) {
    fleet_counts wanted;
    wanted.total_provisions = provisions;
    wanted.total_destroys = destroys;
    for (const auto& row : must(store.list_engines(every_engine(demo)), where).engines)
        ++wanted.by_status[static_cast<std::size_t>(row->status)];
    require_same(must(store.counts(demo), where), wanted, "the counters agree with the rows",
                 where);
    require(wanted.total() == provisions - destroys,
            "there are as many rows as provisions less destroys", where);
}

template <store Store> void counts_follow_the_rows(Store& store) {
    std::uint32_t n = 0;
    for (const auto status : all_engine_statuses) {
        auto record = nth_engine(++n);
        record.status = status;
        must(store.commit(insert(record)));
        require_counted(store, n, 0);
    }
    for (const auto& row : must(store.list_engines(every_engine(demo))).engines) {
        auto record = *row;
        record.status = engine_status::running;
        must(store.commit(update(record)));
        require_counted(store, n, 0);
    }
    require(must(store.counts(demo)).of(engine_status::running) == n, "all engines are running");
    require_same(must(store.counts(other)), fleet_counts{}, "another product has no engines");
}

template <store Store> void undone_erases_were_never_provisions(Store& store) {
    for (std::uint32_t n = 1; n <= 3; ++n) must(store.commit(insert(nth_engine(n))));
    must(store.commit(erase(must_have(store.find_engine(demo, "user1")))));
    require_counted(store, 3, 1);
    must(store.commit(erase(must_have(store.find_engine(demo, "user2")), true)));
    require_counted(store, 2, 1);
    must(store.commit(insert(engine(4, "user1"))));
    require_counted(store, 3, 1);
}

template <store Store> void counts_follow_a_batch(Store& store) {
    auto running = engine(1, "ada");
    running.status = engine_status::running;
    change_set set = insert(engine(1, "ada"));
    running.revision = 1;
    set.changes.emplace_back(update_engine{running, {}});
    set.changes.emplace_back(insert_engine{engine(2, "bob"), {}, {}});
    set.changes.emplace_back(erase_engine{demo, "bob", 1, false});
    set.changes.emplace_back(insert_engine{engine(3, "bob"), {}, {}});
    set.changes.emplace_back(erase_engine{demo, "bob", 1, true});
    must(store.commit(set));
    require_counted(store, 2, 1);
    require(must(store.counts(demo)).of(engine_status::running) == 1, "the last status is counted");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"an insert uses the quota, and an erase frees it", quota_is_taken_and_given_back<Store>},
        {"an engine counts against the quota in every status", quota_counts_every_status<Store>},
        {"a quota of 0 allows no engine", quota_of_zero_allows_none<Store>},
        {"an engine counts only against its own product's quota, and without a quota there is no "
         "limit",
         quotas_are_each_products_own<Store>},
        {"a batch uses and frees the quota one change after the other",
         quota_holds_inside_a_batch<Store>},
        {"an insert reserves memory, and an erase frees it", memory_is_taken_and_given_back<Store>},
        {"an engine reserves its memory in every status",
         memory_is_reserved_in_every_status<Store>},
        {"an engine reserves memory of its own product, and without a quota there is no limit",
         memory_quotas_are_each_products_own<Store>},
        {"a change of what an engine reserves needs room for what it adds, and else none",
         a_change_takes_what_it_adds<Store>},
        {"a batch reserves and frees memory one change after the other",
         memory_quota_holds_inside_a_batch<Store>},
        {"the counters follow every insert and update", counts_follow_the_rows<Store>},
        {"an undone creation counts as never provisioned, and any other erase as destroyed",
         undone_erases_were_never_provisions<Store>},
        {"the counters follow every change of a batch", counts_follow_a_batch<Store>},
    };
}

} // namespace testing::quota_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
