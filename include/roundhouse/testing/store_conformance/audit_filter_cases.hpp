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

/// Cases about filters on the audit log: they are exact, alone and combined.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::audit_filter_cases {

using namespace samples;

/// No user, and users whose ids begin with each other.
inline std::vector<std::optional<std::string>> users() {
    return {std::nullopt, "a", "ab", "b", std::string(256, 'a'), std::string(255, 'a')};
}

inline constexpr std::array<std::optional<uuid>, 3> engines{std::nullopt, numbered(1), numbered(2)};

/// The n-th row. Its values repeat with different periods, so that all combinations occur.
inline audit_entry nth_row(std::uint32_t n) {
    const auto names = users();
    auto out = row(n % 7 == 3 ? other : demo, std::int64_t{n} * 10);
    if (n % 13 == 12) out.product_id.reset();
    out.user_id = names[n % names.size()];
    out.engine_id = engines[(n / 2) % engines.size()];
    out.action = n % 5 < 3 ? audit_action::start : audit_action::stop;
    return out;
}

/// The n-th time of a clock that is set back twice, the second time to before 1970.
inline instant time_of(std::uint32_t n) {
    if (n >= 20 && n < 28) return at(std::int64_t{n} * 10 - 150);
    if (n >= 40 && n < 43) return at(-1000 + std::int64_t{n});
    return at(std::int64_t{n} * 10);
}

inline constexpr std::uint32_t row_count = 60;

/// Commits the rows in batches of different sizes. Returns them with their ids.
template <store Store> std::vector<audit_entry> add_rows(Store& store) {
    std::vector<audit_entry> added;
    for (std::uint32_t n = 0, size = 1; n < row_count; size = size % 4 + 1) {
        std::vector<audit_entry> rows;
        for (std::uint32_t i = 0; i < size && n < row_count; ++i, ++n) {
            rows.push_back(nth_row(n));
            rows.back().timestamp = time_of(n);
        }
        const auto done = must(store.commit(audit(rows)));
        require(done.audit_ids.size() == rows.size(), "each row's id is returned");
        for (std::size_t i = 0; i < rows.size(); ++i) {
            rows[i].id = done.audit_ids[i];
            added.push_back(rows[i]);
        }
    }
    return added;
}

inline bool matches(const audit_query& query, const audit_entry& row) {
    return (query.all_products || row.product_id == query.product_id) &&
           (!query.user_id || row.user_id == query.user_id) &&
           (!query.engine_id || row.engine_id == query.engine_id) &&
           (!query.action || row.action == *query.action) &&
           (!query.since || row.timestamp >= *query.since) &&
           (!query.until || row.timestamp < *query.until) &&
           (!query.before || row.id < *query.before);
}

/// The page that a query should get of these rows, which are oldest first.
inline audit_page page_of(const std::vector<audit_entry>& rows, const audit_query& query) {
    audit_page page;
    for (const auto& entry : std::views::reverse(rows)) {
        if (!matches(query, entry)) continue;
        if (page.entries.size() == query.limit) {
            page.next_before = page.entries.back().id;
            break;
        }
        page.entries.push_back(entry);
    }
    return page;
}

template <store Store>
void require_page(const Store& store, const std::vector<audit_entry>& rows, audit_query query) {
    const auto whole = page_of(rows, query);
    const auto size = whole.entries.size();
    for (const auto limit : {many, size, size / 2, std::size_t{1}}) {
        if (limit == 0) continue;
        query.limit = limit;
        require_same(must(store.audit(query)), page_of(rows, query),
                     "a page has the rows that match the filters");
    }
}

/// Queries each span between some times, including all time and none.
template <store Store>
void require_spans(const Store& store, const std::vector<audit_entry>& rows, audit_query query) {
    const std::array<std::optional<instant>, 5> times{std::nullopt, at(-995), at(100), at(350),
                                                      at(100'000)};
    for (const auto& since : times)
        for (const auto& until : times) {
            query.since = since;
            query.until = until;
            require_page(store, rows, query);
        }
}

template <store Store>
void require_user_and_engine(const Store& store, const std::vector<audit_entry>& rows,
                             audit_query query) {
    for (const auto& user : users())
        for (const auto& engine : engines) {
            query.user_id = user;
            query.engine_id = engine;
            require_page(store, rows, query);
        }
}

template <store Store> void user_engine_and_action(Store& store) {
    const auto rows = add_rows(store);
    auto query = every_row(demo);
    for (const auto action : {audit_action::start, audit_action::stop, audit_action::wake}) {
        query.action = action;
        require_user_and_engine(store, rows, query);
    }
    query.action.reset();
    require_user_and_engine(store, rows, query);
    query.user_id = "nobody";
    require_page(store, rows, query);
    query.user_id = "";
    require_page(store, rows, query);
    query.user_id.reset();
    query.engine_id = numbered(99);
    require_page(store, rows, query);
}

template <store Store> void times(Store& store) {
    const auto rows = add_rows(store);
    auto query = every_row(demo);
    require_spans(store, rows, query);
    for (const auto& entry : rows) {
        query.since = entry.timestamp;
        query.until.reset();
        require_page(store, rows, query);
        query.until = entry.timestamp;
        query.since.reset();
        require_page(store, rows, query);
    }
    query.since = instant::min();
    query.until = instant::max();
    require_page(store, rows, query);
}

template <store Store> void times_with_others(Store& store) {
    const auto rows = add_rows(store);
    auto query = every_row(demo);
    query.user_id = "a";
    require_spans(store, rows, query);
    query.action = audit_action::stop;
    require_spans(store, rows, query);
    query.user_id.reset();
    require_spans(store, rows, query);
    query.engine_id = numbered(1);
    require_spans(store, rows, query);
    query.action.reset();
    require_spans(store, rows, query);
}

template <store Store> void before(Store& store) {
    const auto rows = add_rows(store);
    auto query = every_row(demo);
    for (std::size_t i = 0; i < rows.size(); i += 7) {
        query.before = rows[i].id;
        require_page(store, rows, query);
        require_user_and_engine(store, rows, query);
        require_spans(store, rows, query);
    }
    for (const std::uint64_t edge : {std::uint64_t{0}, std::uint64_t{1}, rows.back().id + 1,
                                     std::numeric_limits<std::uint64_t>::max()}) {
        query.before = edge;
        require_page(store, rows, query);
    }
}

template <store Store> void no_rows_asked_for(Store& store) {
    add_rows(store);
    auto query = every_row(demo);
    query.limit = 0;
    require_same(must(store.audit(query)), audit_page{},
                 "the page is empty, and there is no next page");
}

template <store Store> void products(Store& store) {
    const auto rows = add_rows(store);
    for (const auto& owner : {other, numbered(99)}) {
        const auto query = every_row(owner);
        require_page(store, rows, query);
        require_user_and_engine(store, rows, query);
        require_spans(store, rows, query);
    }
}

template <store Store> void all_products(Store& store) {
    const auto rows = add_rows(store);
    auto query = every_row(demo);
    query.all_products = true;
    require_page(store, rows, query);
    require_user_and_engine(store, rows, query);
    require_spans(store, rows, query);
    query.action = audit_action::stop;
    require_user_and_engine(store, rows, query);
    for (std::size_t i = 0; i < rows.size(); i += 7) {
        query.before = rows[i].id;
        require_page(store, rows, query);
    }
}

/// A page ends though nothing was found, and the next one goes on.
template <store Store> void bounded_work(Store& store) {
    constexpr auto most = audit_query::most_examined;
    auto first = row(demo, 0);
    first.action = audit_action::destroy;
    must(store.commit(audit({first})));
    must(store.commit(audit(std::vector<audit_entry>(most + 1, row(other, 1)))));
    auto query = every_row(demo);
    query.action = audit_action::destroy;
    query.all_products = true;
    const auto page = must(store.audit(query));
    require(page.entries.empty() && page.next_before == 3,
            "a page ends after the rows that it may look at");
    query.before = page.next_before;
    const auto next = must(store.audit(query));
    require(next.entries.size() == 1 && next.entries.front().id == 1 && !next.next_before,
            "the next page goes on where it ended");
}

template <store Store> void pruned(Store& store) {
    auto rows = add_rows(store);
    for (const std::size_t most : {std::size_t{7}, std::size_t{20}, many}) {
        const auto removed = must(store.prune_audit(at(450), most));
        require(removed <= most && removed < rows.size(),
                "no more rows than the limit are removed");
        rows.erase(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(removed));
        const auto query = every_row(demo);
        require_user_and_engine(store, rows, query);
        require_spans(store, rows, query);
    }
    require(rows.front().timestamp == at(450), "all older rows are gone");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"audit rows are filtered by user, engine and action", user_engine_and_action<Store>},
        {"audit rows are filtered by time, also where the clock was set back", times<Store>},
        {"audit rows are filtered by time combined with other filters", times_with_others<Store>},
        {"audit rows are filtered by id", before<Store>},
        {"an audit query with a limit of 0 gets an empty page", no_rows_asked_for<Store>},
        {"a product sees only its own audit rows", products<Store>},
        {"audit rows of all products are filtered too", all_products<Store>},
        {"a page of audit rows of all products takes bounded work", bounded_work<Store>},
        {"pruned audit rows are gone for every filter", pruned<Store>},
    };
}

} // namespace testing::audit_filter_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
