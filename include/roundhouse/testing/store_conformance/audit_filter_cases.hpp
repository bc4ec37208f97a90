#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <ranges>
#include <string>
#include <vector>

/// What a store promises of filters on the audit log: that they are exact, alone and together.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::audit_filter_cases {

using namespace samples;

/// Users of whom one's name begins another's, and nobody.
inline std::vector<std::optional<std::string>> users() {
    return {std::nullopt, "a", "ab", "b", std::string(256, 'a'), std::string(255, 'a')};
}

inline constexpr std::array<std::optional<uuid>, 3> engines{std::nullopt, numbered(1), numbered(2)};

/// A row like many: its values come round again at different paces, so that all of them meet.
inline audit_entry nth_row(std::uint32_t n) {
    const auto names = users();
    auto out = row(n % 7 == 3 ? other : demo, std::int64_t{n} * 10);
    if (n % 13 == 12) out.product_id.reset();
    out.user_id = names[n % names.size()];
    out.engine_id = engines[(n / 2) % engines.size()];
    out.action = n % 5 < 3 ? audit_action::start : audit_action::stop;
    return out;
}

/// The time of a clock that was set back twice, the second time to before 1970.
inline instant time_of(std::uint32_t n) {
    if (n >= 20 && n < 28) return at(std::int64_t{n} * 10 - 150);
    if (n >= 40 && n < 43) return at(-1000 + std::int64_t{n});
    return at(std::int64_t{n} * 10);
}

inline constexpr std::uint32_t row_count = 60;

/// Tells the rows in batches of different sizes; they come back with their ids.
template <store Store> std::vector<audit_entry> tell_rows(Store& kept) {
    std::vector<audit_entry> told;
    for (std::uint32_t n = 0, size = 1; n < row_count; size = size % 4 + 1) {
        std::vector<audit_entry> rows;
        for (std::uint32_t i = 0; i < size && n < row_count; ++i, ++n) {
            rows.push_back(nth_row(n));
            rows.back().timestamp = time_of(n);
        }
        const auto done = must(kept.commit(tell(rows)));
        require(done.audit_ids.size() == rows.size(), "each row's id is told");
        for (std::size_t i = 0; i < rows.size(); ++i) {
            rows[i].id = done.audit_ids[i];
            told.push_back(rows[i]);
        }
    }
    return told;
}

inline bool matches(const audit_query& query, const audit_entry& row) {
    return row.product_id == query.product_id && (!query.user_id || row.user_id == query.user_id) &&
           (!query.engine_id || row.engine_id == query.engine_id) &&
           (!query.action || row.action == *query.action) &&
           (!query.since || row.timestamp >= *query.since) &&
           (!query.until || row.timestamp < *query.until) &&
           (!query.before || row.id < *query.before);
}

/// The page that the rows, oldest first, make for a query.
inline audit_page page_of(const std::vector<audit_entry>& rows, const audit_query& query) {
    audit_page page;
    for (const auto& one : std::views::reverse(rows)) {
        if (!matches(query, one)) continue;
        if (page.entries.size() == query.limit) {
            page.next_before = page.entries.back().id;
            break;
        }
        page.entries.push_back(one);
    }
    return page;
}

template <store Store>
void require_page(const Store& kept, const std::vector<audit_entry>& rows, audit_query query) {
    const auto whole = page_of(rows, query);
    const auto size = whole.entries.size();
    for (const auto limit : {many, size, size / 2, std::size_t{1}}) {
        if (limit == 0) continue;
        query.limit = limit;
        require_same(must(kept.audit(query)), page_of(rows, query),
                     "a page shows the rows that match its filters");
    }
}

/// Asks for each span of time, from all of it to none.
template <store Store>
void require_spans(const Store& kept, const std::vector<audit_entry>& rows, audit_query query) {
    const std::array<std::optional<instant>, 5> times{std::nullopt, at(-995), at(100), at(350),
                                                      at(100'000)};
    for (const auto& since : times)
        for (const auto& until : times) {
            query.since = since;
            query.until = until;
            require_page(kept, rows, query);
        }
}

template <store Store>
void require_user_and_engine(const Store& kept, const std::vector<audit_entry>& rows,
                             audit_query query) {
    for (const auto& user : users())
        for (const auto& engine : engines) {
            query.user_id = user;
            query.engine_id = engine;
            require_page(kept, rows, query);
        }
}

template <store Store> void user_engine_and_action(Store& kept) {
    const auto rows = tell_rows(kept);
    auto query = every_row(demo);
    for (const auto action : {audit_action::start, audit_action::stop, audit_action::wake}) {
        query.action = action;
        require_user_and_engine(kept, rows, query);
    }
    query.action.reset();
    require_user_and_engine(kept, rows, query);
    query.user_id = "nobody";
    require_page(kept, rows, query);
    query.user_id = "";
    require_page(kept, rows, query);
    query.user_id.reset();
    query.engine_id = numbered(99);
    require_page(kept, rows, query);
}

template <store Store> void times(Store& kept) {
    const auto rows = tell_rows(kept);
    auto query = every_row(demo);
    require_spans(kept, rows, query);
    for (const auto& one : rows) {
        query.since = one.timestamp;
        query.until.reset();
        require_page(kept, rows, query);
        query.until = one.timestamp;
        query.since.reset();
        require_page(kept, rows, query);
    }
    query.since = instant::min();
    query.until = instant::max();
    require_page(kept, rows, query);
}

template <store Store> void times_with_others(Store& kept) {
    const auto rows = tell_rows(kept);
    auto query = every_row(demo);
    query.user_id = "a";
    require_spans(kept, rows, query);
    query.action = audit_action::stop;
    require_spans(kept, rows, query);
    query.user_id.reset();
    require_spans(kept, rows, query);
    query.engine_id = numbered(1);
    require_spans(kept, rows, query);
    query.action.reset();
    require_spans(kept, rows, query);
}

template <store Store> void before(Store& kept) {
    const auto rows = tell_rows(kept);
    auto query = every_row(demo);
    for (std::size_t i = 0; i < rows.size(); i += 7) {
        query.before = rows[i].id;
        require_page(kept, rows, query);
        require_user_and_engine(kept, rows, query);
        require_spans(kept, rows, query);
    }
    for (const std::uint64_t edge : {std::uint64_t{0}, std::uint64_t{1}, rows.back().id + 1,
                                     std::numeric_limits<std::uint64_t>::max()}) {
        query.before = edge;
        require_page(kept, rows, query);
    }
}

template <store Store> void no_rows_asked_for(Store& kept) {
    tell_rows(kept);
    auto query = every_row(demo);
    query.limit = 0;
    require_same(must(kept.audit(query)), audit_page{}, "nothing is shown, and no page follows");
}

template <store Store> void products(Store& kept) {
    const auto rows = tell_rows(kept);
    for (const auto& owner : {other, numbered(99)}) {
        const auto query = every_row(owner);
        require_page(kept, rows, query);
        require_user_and_engine(kept, rows, query);
        require_spans(kept, rows, query);
    }
}

template <store Store> void pruned(Store& kept) {
    auto rows = tell_rows(kept);
    for (const std::size_t most : {std::size_t{7}, std::size_t{20}, many}) {
        const auto removed = must(kept.prune_audit(at(450), most));
        require(removed <= most && removed < rows.size(), "no more than were asked for");
        rows.erase(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(removed));
        const auto query = every_row(demo);
        require_user_and_engine(kept, rows, query);
        require_spans(kept, rows, query);
    }
    require(rows.front().timestamp == at(450), "all older rows are gone");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"audit rows are filtered by user, engine and action", user_engine_and_action<Store>},
        {"audit rows are filtered by time, also where the clock was set back", times<Store>},
        {"audit rows are filtered by time together with the rest", times_with_others<Store>},
        {"audit rows are filtered by the id before which they were told", before<Store>},
        {"a query that asks for no audit rows shows none", no_rows_asked_for<Store>},
        {"one product's audit rows are never another's", products<Store>},
        {"pruned audit rows are gone whatever the filter", pruned<Store>},
    };
}

} // namespace testing::audit_filter_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
