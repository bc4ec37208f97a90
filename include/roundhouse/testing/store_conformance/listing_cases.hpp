#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Cases about listings of engines.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::listing_cases {

using namespace samples;

/// Inserts engines in an order that is neither that of their users nor that of their ids.
template <store Store> void insert_five(Store& store) {
    std::uint32_t n = 50;
    for (const auto* user : {"eve", "ada", "joe", "bob", "cem"})
        must(store.commit(insert(engine(n -= 7, user))));
}

template <store Store> std::string users_of(const Store& store, const engine_query& query) {
    std::string users;
    for (const auto& engine : must(store.list_engines(query)).engines)
        users += engine->user_id + ' ';
    return users;
}

template <store Store> void set_status(Store& store, std::string_view user, engine_status status) {
    auto record = must_have(store.find_engine(demo, user));
    record.status = status;
    must(store.commit(update(record)));
}

template <store Store> void oldest_first_and_stable(Store& store) {
    insert_five(store);
    const auto* const order = "eve ada joe bob cem ";
    require(users_of(store, every_engine(demo)) == order, "oldest first");
    for (const auto* user : {"joe", "eve", "cem"}) set_status(store, user, engine_status::running);
    require(users_of(store, every_engine(demo)) == order, "an update keeps an engine's place");
    require(users_of(store, every_engine(demo, engine_status::running)) == "eve joe cem ",
            "also among the engines of its status");
    std::uint64_t last = 0;
    for (const auto& row : must(store.list_engines(every_engine(demo))).engines) {
        require(row->sequence > last, "engines are ordered by sequence");
        last = row->sequence;
        require_same(*row, must_have(store.find_engine_by_id(row->id)),
                     "an engine is listed as it is found");
    }
}

template <store Store> void successors_are_listed_last(Store& store) {
    insert_five(store);
    for (const auto* user : {"cem", "ada"}) {
        const auto old = must_have(store.find_engine(demo, user));
        must(store.commit(erase(old)));
        must(store.commit(insert(old)));
    }
    require(users_of(store, every_engine(demo)) == "eve joe bob cem ada ",
            "a user's next engine is the youngest");
}

template <store Store> void filtered_by_status(Store& store) {
    insert_five(store);
    for (const auto status : all_engine_statuses) {
        set_status(store, "joe", status);
        for (const auto asked : all_engine_statuses) {
            const auto page = must(store.list_engines(every_engine(demo, asked)));
            const std::size_t wanted = (asked == status ? 1U : 0U) +
                                       (asked == engine_status::provisioning ? 4U : 0U);
            require(page.total == wanted && page.engines.size() == wanted,
                    "an engine is listed under its status, and under no other");
        }
    }
}

template <store Store>
void require_pages(const Store& store, std::optional<engine_status> status, std::size_t limit) {
    const auto whole = must(store.list_engines(every_engine(demo, status)));
    for (std::size_t offset = 0; offset <= whole.engines.size() + 1; ++offset) {
        engine_page wanted;
        wanted.total = whole.engines.size();
        for (auto at = offset; at < whole.engines.size() && at < offset + limit; ++at)
            wanted.engines.push_back(whole.engines[at]);
        require_same(must(store.list_engines({demo, status, offset, limit})), wanted,
                     "a page is a part of the whole listing, and has its total");
    }
}

template <store Store> void paged(Store& store) {
    insert_five(store);
    for (const auto* user : {"ada", "joe", "cem"}) set_status(store, user, engine_status::stopped);
    for (const std::size_t limit : {0U, 1U, 2U, 3U, 5U, 6U}) {
        require_pages(store, std::nullopt, limit);
        require_pages(store, engine_status::stopped, limit);
        require_pages(store, engine_status::failed, limit);
    }
}

/// Users on the pages of a listing, with a bar after each page; `between` is called there.
template <store Store, class Between>
std::string users_on_pages(const Store& store, engine_query query, Between between) {
    std::string users;
    for (;;) {
        const auto page = must(store.list_engines(query));
        for (const auto& engine : page.engines) users += engine->user_id + ' ';
        users += "| ";
        if (!page.next) return users;
        query.after = page.next;
        between();
    }
}

template <store Store> void paged_by_cursor(Store& store) {
    insert_five(store);
    const auto nothing = [] {};
    auto query = every_engine(demo);
    for (const auto& [limit, pages] : {std::pair{1U, "eve | ada | joe | bob | cem | "},
                                       {2U, "eve ada | joe bob | cem | "},
                                       {5U, "eve ada joe bob cem | "},
                                       {6U, "eve ada joe bob cem | "},
                                       {0U, "| "}}) {
        query.limit = limit;
        require(users_on_pages(store, query, nothing) == pages,
                "the pages have every engine once, and the last one has no next");
    }
    for (const auto* user : {"ada", "joe", "cem"}) set_status(store, user, engine_status::stopped);
    query = every_engine(demo, engine_status::stopped);
    query.limit = 2;
    require(users_on_pages(store, query, nothing) == "ada joe | cem | ", "also of one status");
    query.after = std::numeric_limits<std::uint64_t>::max();
    require(users_on_pages(store, query, nothing) == "| ", "nothing follows the last cursor");
    query = every_engine(demo);
    query.limit = 2;
    query.offset = 1;
    require(users_on_pages(store, query, nothing) == "ada joe | cem | ",
            "an offset counts from the cursor");
}

template <store Store> void pages_stay_while_engines_go(Store& store) {
    insert_five(store);
    auto query = every_engine(demo);
    query.limit = 2;
    const auto users = users_on_pages(store, query, [&] {
        for (const auto* user : {"eve", "ada"})
            if (const auto engine = must(store.find_engine(demo, user)))
                must(store.commit(erase(*engine)));
    });
    require(users == "eve ada | joe bob | cem | ",
            "a page follows the one before also if that one's engines are gone");
}

template <store Store> void products_are_apart(Store& store) {
    insert_five(store);
    must(store.commit(insert(engine(1, "ada", other))));
    require(users_of(store, every_engine(other)) == "ada ", "a product sees its own engines");
    require(must(store.list_engines(every_engine(demo))).total == 5,
            "a product sees no engine of another");
    require(must(store.list_engines(every_engine(numbered(7)))).total == 0,
            "a product without engines sees none");
    require(must(store.counts(other)).total() == 1, "each product has its own counters");
}

/// The users on the pages of a query, with a bar after each page.
template <store Store> std::string pages_of(const Store& store, engine_query query) {
    std::string users;
    for (;;) {
        const auto page = must(store.list_engines(query));
        for (const auto& engine : page.engines) users += engine->user_id + ' ';
        users += "| ";
        if (!page.next) return users;
        query.after = page.next;
    }
}

/// Engines of three products in turn, two of which have users of the same name.
template <store Store> void insert_everywhere(Store& store) {
    std::uint32_t n = 50;
    for (const auto& [user, owner] : std::vector<std::pair<const char*, uuid>>{
             {"eve", other}, {"ada", demo}, {"joe", numbered(7)}, {"eve", demo}, {"cem", other}}) {
        auto record = engine(n -= 7, user, owner);
        engine_settings settings;
        settings.metadata = {{"first", std::string(1, user[0])}};
        record.settings = std::make_shared<const engine_settings>(std::move(settings));
        must(store.commit(insert(std::move(record))));
    }
}

template <store Store> void all_products_at_once(Store& store) {
    insert_everywhere(store);
    set_status(store, "eve", engine_status::running);
    auto query = every_engine(demo);
    query.all_products = true;
    require(pages_of(store, query) == "eve ada joe eve cem | ",
            "the engines of all products are listed oldest first");
    require(must(store.list_engines(query)).total == 5, "and counted");
    query.limit = 2;
    require(pages_of(store, query) == "eve ada | joe eve | cem | ", "page by page");
    query.offset = 3;
    require(pages_of(store, query) == "eve cem | ", "from an offset on");
    query.offset = 0;
    query.status = engine_status::provisioning;
    require(pages_of(store, query) == "eve ada | joe cem | ", "in one status");
    query.status.reset();
    query.user_prefix = "e";
    require(pages_of(store, query) == "eve eve | ", "by the beginning of their user ids");
    query.metadata = {{"first", "c"}};
    require(must(store.list_engines(query)).total == 0, "filters combine");
    query.user_prefix.clear();
    require(pages_of(store, query) == "cem | ", "by their metadata");
    query = every_engine(demo);
    query.all_products = true;
    query.after = std::numeric_limits<std::uint64_t>::max();
    require(pages_of(store, query) == "| ", "nothing is after the last number");
    for (const auto& owner : {demo, other})
        must(store.commit(erase(must_have(store.find_engine(owner, "eve")))));
    query.after.reset();
    require(pages_of(store, query) == "ada joe cem | ", "what is erased is gone");
}

template <store Store> void counters_of_all(Store& store) {
    require_same(must(store.counts_of_all()), fleet_counts{}, "there are no engines");
    insert_everywhere(store);
    set_status(store, "ada", engine_status::failed);
    must(store.commit(erase(must_have(store.find_engine(other, "cem")))));
    fleet_counts sum;
    for (const auto& owner : {demo, other, numbered(7)}) sum.add(must(store.counts(owner)));
    require_same(must(store.counts_of_all()), sum, "the counters are the sums over all products");
    require(sum.total() == 4 && sum.of(engine_status::failed) == 1 && sum.total_destroys == 1,
            "each engine is counted once");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"engines are listed oldest first, also after updates", oldest_first_and_stable<Store>},
        {"a user's next engine is listed last", successors_are_listed_last<Store>},
        {"a listing by status has the engines that are in that status now",
         filtered_by_status<Store>},
        {"a listing is paged by offset and limit", paged<Store>},
        {"a listing is paged by cursor", paged_by_cursor<Store>},
        {"no engine is left out between two pages because others go",
         pages_stay_while_engines_go<Store>},
        {"a product sees only its own engines", products_are_apart<Store>},
        {"the engines of all products are listed in one order", all_products_at_once<Store>},
        {"the counters of all products are summed", counters_of_all<Store>},
    };
}

} // namespace testing::listing_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
