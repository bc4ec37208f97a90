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

/// What a store promises of a product's numbers: its quota and its counters.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::quota_cases {

using namespace samples;

template <store Store> void quota_is_taken_and_given_back(Store& kept) {
    must(kept.commit(insert(engine(1, "ada"), 2)));
    must(kept.commit(insert(engine(2, "bob"), 2)));
    require_refused(kept.commit(insert(engine(3, "eve"), 2)), errc::quota_exceeded);
    require(must(kept.find_engine(demo, "eve")) == nullptr, "the refused one is not there");
    must(kept.commit(erase(must_have(kept.find_engine(demo, "ada")))));
    must(kept.commit(insert(engine(3, "eve"), 2)));
}

template <store Store> void quota_counts_every_status(Store& kept) {
    std::uint32_t n = 0;
    for (const auto status : all_engine_statuses) {
        auto record = nth_engine(++n);
        record.status = status;
        must(kept.commit(insert(record, n)));
        require_refused(kept.commit(insert(engine(99, "eve"), n)), errc::quota_exceeded);
    }
}

template <store Store> void quota_of_zero_allows_none(Store& kept) {
    require_refused(kept.commit(insert(engine(1, "ada"), 0)), errc::quota_exceeded);
    must(kept.commit(insert(engine(1, "ada"), 1)));
}

template <store Store> void quotas_are_each_products_own(Store& kept) {
    must(kept.commit(insert(engine(1, "ada", other))));
    must(kept.commit(insert(engine(2, "bob", other))));
    must(kept.commit(insert(engine(3, "ada"), 1)));
    require_refused(kept.commit(insert(engine(4, "bob"), 1)), errc::quota_exceeded);
    must(kept.commit(insert(engine(4, "bob"))));
}

template <store Store> void quota_holds_inside_a_batch(Store& kept) {
    change_set set = insert(engine(1, "ada"), 2);
    set.changes.emplace_back(insert_engine{engine(2, "bob"), 2, {}});
    auto three = set;
    three.changes.emplace_back(insert_engine{engine(3, "eve"), 2, {}});
    require_refused(kept.commit(three), errc::quota_exceeded);
    require_same(must(kept.counts(demo)), fleet_counts{}, "none of the three is there");
    must(kept.commit(set));
    auto swap = erase(must_have(kept.find_engine(demo, "ada")));
    swap.changes.emplace_back(insert_engine{engine(3, "eve"), 2, {}});
    must(kept.commit(swap));
    require(must(kept.counts(demo)).total() == 2, "a place that the batch frees can be taken");
}

/// The counters must be what the rows say.
template <store Store>
void require_counted(const Store& kept, std::uint64_t provisions, std::uint64_t destroys,
                     const std::source_location& where = std::source_location::current()) {
    fleet_counts wanted;
    wanted.total_provisions = provisions;
    wanted.total_destroys = destroys;
    for (const auto& one : must(kept.list_engines(every_engine(demo)), where).engines)
        ++wanted.by_status[static_cast<std::size_t>(one->status)];
    require_same(must(kept.counts(demo), where), wanted, "the counters tell the rows", where);
    require(wanted.total() == provisions - destroys,
            "the rows are the provisions without the destroys", where);
}

template <store Store> void counts_follow_the_rows(Store& kept) {
    std::uint32_t n = 0;
    for (const auto status : all_engine_statuses) {
        auto record = nth_engine(++n);
        record.status = status;
        must(kept.commit(insert(record)));
        require_counted(kept, n, 0);
    }
    for (const auto& one : must(kept.list_engines(every_engine(demo))).engines) {
        auto record = *one;
        record.status = engine_status::running;
        must(kept.commit(update(record)));
        require_counted(kept, n, 0);
    }
    require(must(kept.counts(demo)).of(engine_status::running) == n, "all of them run");
    require_same(must(kept.counts(other)), fleet_counts{}, "another product has none");
}

template <store Store> void undone_erases_were_never_provisions(Store& kept) {
    for (std::uint32_t n = 1; n <= 3; ++n) must(kept.commit(insert(nth_engine(n))));
    must(kept.commit(erase(must_have(kept.find_engine(demo, "user1")))));
    require_counted(kept, 3, 1);
    must(kept.commit(erase(must_have(kept.find_engine(demo, "user2")), true)));
    require_counted(kept, 2, 1);
    must(kept.commit(insert(engine(4, "user1"))));
    require_counted(kept, 3, 1);
}

template <store Store> void counts_follow_a_batch(Store& kept) {
    auto running = engine(1, "ada");
    running.status = engine_status::running;
    change_set set = insert(engine(1, "ada"));
    running.revision = 1;
    set.changes.emplace_back(update_engine{running, {}});
    set.changes.emplace_back(insert_engine{engine(2, "bob"), {}, {}});
    set.changes.emplace_back(erase_engine{demo, "bob", 1, false});
    set.changes.emplace_back(insert_engine{engine(3, "bob"), {}, {}});
    set.changes.emplace_back(erase_engine{demo, "bob", 1, true});
    must(kept.commit(set));
    require_counted(kept, 2, 1);
    require(must(kept.counts(demo)).of(engine_status::running) == 1, "the last status counts");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"the quota is taken by an insert and given back by an erase",
         quota_is_taken_and_given_back<Store>},
        {"an engine takes a place in the quota whatever its status",
         quota_counts_every_status<Store>},
        {"a quota of zero allows none", quota_of_zero_allows_none<Store>},
        {"one product's engines are not in another's quota, and no quota sets no limit",
         quotas_are_each_products_own<Store>},
        {"a batch takes and frees places in the quota one change after the other",
         quota_holds_inside_a_batch<Store>},
        {"the counters follow every insert and update", counts_follow_the_rows<Store>},
        {"an undone creation counts as never provisioned, and any other erase as destroyed",
         undone_erases_were_never_provisions<Store>},
        {"the counters follow every change of a batch", counts_follow_a_batch<Store>},
    };
}

} // namespace testing::quota_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
