#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/contents.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// Cases about audit rows: their ids, their order, amendments and prunes.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::audit_cases {

using namespace samples;

/// Commits a row of one product for each of these times, each in its own commit. Returns the ids.
template <store Store>
std::vector<std::uint64_t> audit_at(Store& store, const std::vector<std::int64_t>& times_ms) {
    std::vector<std::uint64_t> ids;
    for (const auto ms : times_ms) {
        const auto done = must(store.commit(audit({row(demo, ms)})));
        require(done.audit_ids.size() == 1, "each row's id is returned");
        ids.push_back(done.audit_ids[0]);
    }
    return ids;
}

/// The rows of all products since a time, in the order in which they are visited.
template <store Store>
std::vector<audit_entry> visited(const Store& store, instant since = instant::min()) {
    std::vector<audit_entry> rows;
    bool readable = true;
    must(store.for_each_audit(since, [&](const result<audit_entry>& entry) {
        readable = readable && entry.has_value();
        if (entry) rows.push_back(*entry);
    }));
    require(readable, "each row can be read");
    return rows;
}

template <store Store> std::vector<std::uint64_t> visited_ids(const Store& store) {
    std::vector<std::uint64_t> ids;
    for (const auto& entry : visited(store)) ids.push_back(entry.id);
    return ids;
}

template <store Store> void ids_increase(Store& store) {
    std::vector<std::uint64_t> ids;
    for (std::size_t size = 1; size <= 4; ++size) {
        auto first = row(demo, 5);
        first.id = 3; // ignored: the store chooses the ids
        auto set = audit(std::vector<audit_entry>(size, first));
        const auto done = must(store.commit(set));
        require(done.audit_ids.size() == size, "each row's id is returned");
        ids.insert(ids.end(), done.audit_ids.begin(), done.audit_ids.end());
    }
    for (std::size_t i = 1; i < ids.size(); ++i)
        require(ids[i - 1] < ids[i], "ids increase within a batch and from batch to batch");
    require(ids.front() > 0, "no row has the id 0");
    require(visited_ids(store) == ids, "the rows have the returned ids");
}

template <store Store> void newest_first(Store& store) {
    const auto ids = audit_at(store, {10, 20, 30});
    const auto page = must(store.audit(every_row(demo)));
    require(page.entries.size() == 3 && !page.next_before, "all three rows are on the page");
    for (std::size_t i = 0; i < 3; ++i)
        require(page.entries[i].id == ids[2 - i], "the newest row comes first");
}

template <store Store> void pages_follow_each_other(Store& store) {
    const auto ids = audit_at(store, {10, 20, 30, 40, 50, 60});
    for (std::size_t limit = 1; limit <= 7; ++limit) {
        auto query = every_row(demo);
        query.limit = limit;
        std::vector<std::uint64_t> seen;
        for (std::size_t pages = 0; pages <= ids.size(); ++pages) {
            const auto page = must(store.audit(query));
            require(page.entries.size() <= limit, "a page is no longer than its limit");
            for (const auto& entry : page.entries) seen.insert(seen.begin(), entry.id);
            require(page.next_before.has_value() == (seen.size() < ids.size()),
                    "next_before is set only if there is another page");
            if (!page.next_before) break;
            require(*page.next_before == page.entries.back().id,
                    "next_before is the id of the last row on the page");
            query.before = page.next_before;
        }
        require(seen == ids, "the pages show each row once");
    }
}

template <store Store> void amend_replaces_metadata(Store& store) {
    auto added = row(demo, 10);
    added.user_id = "ada";
    added.action = audit_action::admit_denied;
    added.metadata = {{"count", std::int64_t{1}}, {"reason", "QUOTA_EXCEEDED"}};
    const auto id = must(store.commit(audit({row(demo, 5), added, row(demo, 20)}))).audit_ids.at(1);
    auto set = amend(id, {{"count", std::int64_t{2}}, {"more", std::string(3000, 'x')}});
    added.metadata = set.amend->metadata;
    added.id = id;
    require(must(store.commit(set)).audit_ids.empty(), "no row is added");
    const auto rows = must(store.audit(every_row(demo))).entries;
    require(rows.size() == 3, "no row is removed");
    require_same(rows.at(1), added, "the metadata is replaced, and nothing else");
    require(rows[0].metadata.empty() && rows[2].metadata.empty(), "the other rows are unchanged");
    must(store.commit(amend(id, {})));
    require(must(store.audit(every_row(demo))).entries.at(1).metadata.empty(),
            "the metadata can be emptied");
}

template <store Store> void amend_of_nothing_is_ignored(Store& store) {
    const auto ids = audit_at(store, {10, 20});
    must(store.prune_audit(at(15), many));
    const auto before = contents_of(store, {demo});
    for (const auto id : {std::uint64_t{0}, ids[0], ids[1] + 1}) {
        must(store.commit(amend(id, {{"late", true}})));
        require(contents_of(store, {demo}) == before, "no row is added");
    }
    auto set = amend(ids[0], {{"late", true}});
    set.audit = {row(demo, 30)};
    must(store.commit(set));
    require(must(store.audit(every_row(demo))).entries.size() == 2,
            "the rest of the batch is applied");
}

template <store Store> void visited_oldest_first(Store& store) {
    auto no_product = row(demo, 30);
    no_product.product_id.reset();
    must(store.commit(audit({row(demo, 10), row(other, 20), no_product})));
    must(store.commit(audit({row(demo, 15), row(demo, 40), row(demo, -7)})));
    std::vector<std::int64_t> times;
    for (const auto& entry : visited(store))
        times.push_back(entry.timestamp.time_since_epoch().count());
    require(times == std::vector<std::int64_t>{10, 20, 30, 15, 40, -7},
            "every product's rows, in the order in which they were added");
    for (const std::int64_t since : {-8, -7, 0, 10, 11, 15, 16, 40, 41}) {
        std::vector<std::int64_t> wanted;
        for (const auto ms : times)
            if (ms >= since) wanted.push_back(ms);
        times.swap(wanted);
        std::vector<std::int64_t> got;
        for (const auto& entry : visited(store, at(since)))
            got.push_back(entry.timestamp.time_since_epoch().count());
        require(got == times, "the rows since that time, and no others");
        times.swap(wanted);
    }
}

template <store Store> void pruned_oldest_first(Store& store) {
    auto ids = audit_at(store, {10, 20, 30, 40, 50});
    require(must(store.prune_audit(at(10), many)) == 0, "a row with exactly that timestamp stays");
    require(must(store.prune_audit(at(45), 0)) == 0, "a limit of 0 removes nothing");
    require(must(store.prune_audit(at(45), 3)) == 3, "no more rows than the limit are removed");
    ids.erase(ids.begin(), ids.begin() + 3);
    require(visited_ids(store) == ids, "the oldest rows are gone");
    require(must(store.prune_audit(at(45), 3)) == 1, "no younger row is removed");
    ids.erase(ids.begin());
    require(visited_ids(store) == ids, "the younger row stays");
    require(must(store.audit(every_row(demo))).entries.size() == 1, "also in the product's rows");
    require(must(store.prune_audit(at(45), 3)) == 0, "no row is left to prune");
}

template <store Store> void pruned_up_to_a_young_row(Store& store) {
    auto no_product = row(demo, 20);
    no_product.product_id.reset();
    must(store.commit(audit({row(other, 10), no_product, row(demo, 90), row(demo, 30)})));
    require(must(store.prune_audit(at(50), many)) == 2,
            "rows are removed in the order of their ids, up to the first young row");
    require(visited(store).front().timestamp == at(90), "the young row keeps the rows after it");
    require(must(store.prune_audit(at(91), many)) == 2, "until it is old enough itself");
}

template <store Store> void ids_go_on_after_a_prune(Store& store) {
    const auto old = audit_at(store, {10, 20});
    require(must(store.prune_audit(instant::max(), many)) == 2, "all rows are pruned");
    require(visited(store).empty(), "no rows are left");
    const auto next = audit_at(store, {30});
    require(next[0] > old[1], "an id is never used again");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"audit rows get increasing ids", ids_increase<Store>},
        {"audit rows are listed newest first", newest_first<Store>},
        {"pages of audit rows follow each other without gaps", pages_follow_each_other<Store>},
        {"an amendment replaces a row's metadata and nothing else", amend_replaces_metadata<Store>},
        {"an amendment of a row that does not exist is ignored",
         amend_of_nothing_is_ignored<Store>},
        {"a visit of the audit log shows every product's rows since a time, oldest first",
         visited_oldest_first<Store>},
        {"a prune removes the oldest rows, up to its limit", pruned_oldest_first<Store>},
        {"a prune ends at the first row that is young enough", pruned_up_to_a_young_row<Store>},
        {"ids of audit rows are not reused after a prune", ids_go_on_after_a_prune<Store>},
    };
}

} // namespace testing::audit_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
