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

/// What a store promises of the audit log's rows: their ids, their order, and how they go.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::audit_cases {

using namespace samples;

/// Commits rows of one product with these times, each in a commit of its own; tells their ids.
template <store Store>
std::vector<std::uint64_t> tell_at(Store& kept, const std::vector<std::int64_t>& times_ms) {
    std::vector<std::uint64_t> ids;
    for (const auto ms : times_ms) {
        const auto done = must(kept.commit(tell({row(demo, ms)})));
        require(done.audit_ids.size() == 1, "each row's id is told");
        ids.push_back(done.audit_ids[0]);
    }
    return ids;
}

/// The rows of all products since a time, in the order of the visits.
template <store Store>
std::vector<audit_entry> visited(const Store& kept, instant since = instant::min()) {
    std::vector<audit_entry> rows;
    bool readable = true;
    must(kept.for_each_audit(since, [&](const result<audit_entry>& one) {
        readable = readable && one.has_value();
        if (one) rows.push_back(*one);
    }));
    require(readable, "each row can be read");
    return rows;
}

template <store Store> std::vector<std::uint64_t> visited_ids(const Store& kept) {
    std::vector<std::uint64_t> ids;
    for (const auto& one : visited(kept)) ids.push_back(one.id);
    return ids;
}

template <store Store> void ids_increase(Store& kept) {
    std::vector<std::uint64_t> ids;
    for (std::size_t size = 1; size <= 4; ++size) {
        auto first = row(demo, 5);
        first.id = 3; // not the caller's to choose
        auto set = tell(std::vector<audit_entry>(size, first));
        const auto done = must(kept.commit(set));
        require(done.audit_ids.size() == size, "each row's id is told");
        ids.insert(ids.end(), done.audit_ids.begin(), done.audit_ids.end());
    }
    for (std::size_t i = 1; i < ids.size(); ++i)
        require(ids[i - 1] < ids[i], "ids increase within a batch and from one to the next");
    require(ids.front() > 0, "no row has the id 0");
    require(visited_ids(kept) == ids, "the rows have the ids that were told");
}

template <store Store> void newest_first(Store& kept) {
    const auto ids = tell_at(kept, {10, 20, 30});
    const auto page = must(kept.audit(every_row(demo)));
    require(page.entries.size() == 3 && !page.next_before, "all three are shown");
    for (std::size_t i = 0; i < 3; ++i)
        require(page.entries[i].id == ids[2 - i], "the newest row is the first");
}

template <store Store> void pages_follow_each_other(Store& kept) {
    const auto ids = tell_at(kept, {10, 20, 30, 40, 50, 60});
    for (std::size_t limit = 1; limit <= 7; ++limit) {
        auto query = every_row(demo);
        query.limit = limit;
        std::vector<std::uint64_t> seen;
        for (std::size_t pages = 0; pages <= ids.size(); ++pages) {
            const auto page = must(kept.audit(query));
            require(page.entries.size() <= limit, "a page is no longer than its limit");
            for (const auto& one : page.entries) seen.insert(seen.begin(), one.id);
            require(page.next_before.has_value() == (seen.size() < ids.size()),
                    "a page tells the next one only if there is one");
            if (!page.next_before) break;
            require(*page.next_before == page.entries.back().id, "the next page begins after it");
            query.before = page.next_before;
        }
        require(seen == ids, "page after page shows each row once");
    }
}

template <store Store> void amend_replaces_metadata(Store& kept) {
    auto told = row(demo, 10);
    told.user_id = "ada";
    told.action = audit_action::admit_denied;
    told.metadata = {{"count", std::int64_t{1}}, {"reason", "QUOTA_EXCEEDED"}};
    const auto id = must(kept.commit(tell({row(demo, 5), told, row(demo, 20)}))).audit_ids.at(1);
    auto set = amend(id, {{"count", std::int64_t{2}}, {"more", std::string(3000, 'x')}});
    told.metadata = set.amend->metadata;
    told.id = id;
    require(must(kept.commit(set)).audit_ids.empty(), "no row is added");
    const auto rows = must(kept.audit(every_row(demo))).entries;
    require(rows.size() == 3, "nor taken away");
    require_same(rows.at(1), told, "the metadata is replaced, and nothing else");
    require(rows[0].metadata.empty() && rows[2].metadata.empty(), "the others are as they were");
    must(kept.commit(amend(id, {})));
    require(must(kept.audit(every_row(demo))).entries.at(1).metadata.empty(), "it can be emptied");
}

template <store Store> void amend_of_nothing_is_ignored(Store& kept) {
    const auto ids = tell_at(kept, {10, 20});
    must(kept.prune_audit(at(15), many));
    const auto before = contents_of(kept, {demo});
    for (const auto id : {std::uint64_t{0}, ids[0], ids[1] + 1}) {
        must(kept.commit(amend(id, {{"late", true}})));
        require(contents_of(kept, {demo}) == before, "a row that is not there stays so");
    }
    auto set = amend(ids[0], {{"late", true}});
    set.audit = {row(demo, 30)};
    must(kept.commit(set));
    require(must(kept.audit(every_row(demo))).entries.size() == 2,
            "what else is in the batch is applied");
}

template <store Store> void visited_oldest_first(Store& kept) {
    auto nobodys = row(demo, 30);
    nobodys.product_id.reset();
    must(kept.commit(tell({row(demo, 10), row(other, 20), nobodys})));
    must(kept.commit(tell({row(demo, 15), row(demo, 40), row(demo, -7)})));
    std::vector<std::int64_t> times;
    for (const auto& one : visited(kept)) times.push_back(one.timestamp.time_since_epoch().count());
    require(times == std::vector<std::int64_t>{10, 20, 30, 15, 40, -7},
            "every product's rows, in the order in which they were told");
    for (const std::int64_t since : {-8, -7, 0, 10, 11, 15, 16, 40, 41}) {
        std::vector<std::int64_t> wanted;
        for (const auto ms : times)
            if (ms >= since) wanted.push_back(ms);
        times.swap(wanted);
        std::vector<std::int64_t> got;
        for (const auto& one : visited(kept, at(since)))
            got.push_back(one.timestamp.time_since_epoch().count());
        require(got == times, "just the rows since then");
        times.swap(wanted);
    }
}

template <store Store> void pruned_oldest_first(Store& kept) {
    auto ids = tell_at(kept, {10, 20, 30, 40, 50});
    require(must(kept.prune_audit(at(10), many)) == 0, "a row of that very time stays");
    require(must(kept.prune_audit(at(45), 0)) == 0, "none are asked for");
    require(must(kept.prune_audit(at(45), 3)) == 3, "no more than are asked for");
    ids.erase(ids.begin(), ids.begin() + 3);
    require(visited_ids(kept) == ids, "the oldest have gone");
    require(must(kept.prune_audit(at(45), 3)) == 1, "no more than are old enough");
    ids.erase(ids.begin());
    require(visited_ids(kept) == ids, "the young one stays");
    require(must(kept.audit(every_row(demo))).entries.size() == 1, "also for its product");
    require(must(kept.prune_audit(at(45), 3)) == 0, "nothing is left to prune");
}

template <store Store> void pruned_up_to_a_young_row(Store& kept) {
    auto nobodys = row(demo, 20);
    nobodys.product_id.reset();
    must(kept.commit(tell({row(other, 10), nobodys, row(demo, 90), row(demo, 30)})));
    require(must(kept.prune_audit(at(50), many)) == 2,
            "rows go in the order of their ids, up to the first that is young");
    require(visited(kept).front().timestamp == at(90), "which shields those after it");
    require(must(kept.prune_audit(at(91), many)) == 2, "until it is old itself");
}

template <store Store> void ids_go_on_after_a_prune(Store& kept) {
    const auto old = tell_at(kept, {10, 20});
    require(must(kept.prune_audit(instant::max(), many)) == 2, "all rows are pruned");
    require(visited(kept).empty(), "none are left");
    const auto next = tell_at(kept, {30});
    require(next[0] > old[1], "an id is never used again");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"audit rows get increasing ids", ids_increase<Store>},
        {"audit rows are shown newest first", newest_first<Store>},
        {"pages of audit rows follow each other without a gap", pages_follow_each_other<Store>},
        {"an amendment replaces a row's metadata and nothing else", amend_replaces_metadata<Store>},
        {"an amendment of a row that is not there is ignored", amend_of_nothing_is_ignored<Store>},
        {"the audit log is visited oldest first, with every product's rows since a time",
         visited_oldest_first<Store>},
        {"a prune removes the oldest rows, as many as are asked for", pruned_oldest_first<Store>},
        {"a prune ends at the first row that is young enough", pruned_up_to_a_young_row<Store>},
        {"ids of audit rows go on after all rows are pruned", ids_go_on_after_a_prune<Store>},
    };
}

} // namespace testing::audit_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
