#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What a store promises of listings.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::listing_cases {

using namespace samples;

/// Inserts engines, in an order that is neither that of their users nor that of their ids.
template <store Store> void insert_five(Store& kept) {
    std::uint32_t n = 50;
    for (const auto* user : {"eve", "ada", "joe", "bob", "cem"})
        must(kept.commit(insert(engine(n -= 7, user))));
}

template <store Store> std::string users_of(const Store& kept, const engine_query& query) {
    std::string users;
    for (const auto& one : must(kept.list_engines(query)).engines) users += one->user_id + ' ';
    return users;
}

template <store Store> void set_status(Store& kept, std::string_view user, engine_status status) {
    auto record = must_have(kept.find_engine(demo, user));
    record.status = status;
    must(kept.commit(update(record)));
}

template <store Store> void oldest_first_and_stable(Store& kept) {
    insert_five(kept);
    const auto* const order = "eve ada joe bob cem ";
    require(users_of(kept, every_engine(demo)) == order, "oldest first");
    for (const auto* user : {"joe", "eve", "cem"}) set_status(kept, user, engine_status::running);
    require(users_of(kept, every_engine(demo)) == order, "an update keeps an engine's place");
    require(users_of(kept, every_engine(demo, engine_status::running)) == "eve joe cem ",
            "also among those of its status");
    std::uint64_t last = 0;
    for (const auto& one : must(kept.list_engines(every_engine(demo))).engines) {
        require(one->sequence > last, "the sequence tells the order");
        last = one->sequence;
        require_same(*one, must_have(kept.find_engine_by_id(one->id)), "listed as it is found");
    }
}

template <store Store> void successors_are_listed_last(Store& kept) {
    insert_five(kept);
    for (const auto* user : {"cem", "ada"}) {
        const auto old = must_have(kept.find_engine(demo, user));
        must(kept.commit(erase(old)));
        must(kept.commit(insert(old)));
    }
    require(users_of(kept, every_engine(demo)) == "eve joe bob cem ada ",
            "an engine that was made anew is the youngest");
}

template <store Store> void filtered_by_status(Store& kept) {
    insert_five(kept);
    for (const auto status : all_engine_statuses) {
        set_status(kept, "joe", status);
        for (const auto asked : all_engine_statuses) {
            const auto page = must(kept.list_engines(every_engine(demo, asked)));
            const std::size_t wanted = (asked == status ? 1U : 0U) +
                                       (asked == engine_status::provisioning ? 4U : 0U);
            require(page.total == wanted && page.engines.size() == wanted,
                    "an engine is listed under its status, and under no other");
        }
    }
}

template <store Store>
void require_pages(const Store& kept, std::optional<engine_status> status, std::size_t limit) {
    const auto whole = must(kept.list_engines(every_engine(demo, status)));
    for (std::size_t offset = 0; offset <= whole.engines.size() + 1; ++offset) {
        engine_page wanted;
        wanted.total = whole.engines.size();
        for (auto at = offset; at < whole.engines.size() && at < offset + limit; ++at)
            wanted.engines.push_back(whole.engines[at]);
        require_same(must(kept.list_engines({demo, status, offset, limit})), wanted,
                     "a page is a part of the whole, and tells how many there are");
    }
}

template <store Store> void paged(Store& kept) {
    insert_five(kept);
    for (const auto* user : {"ada", "joe", "cem"}) set_status(kept, user, engine_status::stopped);
    for (const std::size_t limit : {0U, 1U, 2U, 3U, 5U, 6U}) {
        require_pages(kept, std::nullopt, limit);
        require_pages(kept, engine_status::stopped, limit);
        require_pages(kept, engine_status::failed, limit);
    }
}

template <store Store> void products_are_apart(Store& kept) {
    insert_five(kept);
    must(kept.commit(insert(engine(1, "ada", other))));
    require(users_of(kept, every_engine(other)) == "ada ", "a product sees its own engines");
    require(must(kept.list_engines(every_engine(demo))).total == 5, "and no other's");
    require(must(kept.list_engines(every_engine(numbered(7)))).total == 0, "not even a third's");
    require(must(kept.counts(other)).total() == 1, "counts are each product's own");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"engines are listed oldest first, whatever becomes of them",
         oldest_first_and_stable<Store>},
        {"a user's next engine is listed last", successors_are_listed_last<Store>},
        {"a listing by status shows the engines that have it now", filtered_by_status<Store>},
        {"a listing is paged by offset and limit", paged<Store>},
        {"one product's engines are not another's", products_are_apart<Store>},
    };
}

} // namespace testing::listing_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
