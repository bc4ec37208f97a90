#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/listing_cases.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Cases about listings of engines by their metadata and by the beginning of their user ids.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::listing_filter_cases {

using namespace samples;
using listing_cases::set_status;
using listing_cases::users_of;
using listing_cases::users_on_pages;

[[nodiscard]] inline engine_record with_metadata(engine_record record, named_texts metadata) {
    engine_settings settings;
    settings.metadata = std::move(metadata);
    record.settings = std::make_shared<const engine_settings>(std::move(settings));
    return record;
}

[[nodiscard]] inline engine_query with_members(named_texts metadata, const uuid& owner = demo) {
    auto query = every_engine(owner);
    query.metadata = std::move(metadata);
    return query;
}

[[nodiscard]] inline engine_query with_prefix(std::string prefix) {
    auto query = every_engine(demo);
    query.user_prefix = std::move(prefix);
    return query;
}

/// Requires that a listing has these users, and counts them all.
template <store Store>
void require_users(const Store& store, const engine_query& query, std::string_view users,
                   std::string_view sentence) {
    require(users_of(store, query) == users, sentence);
    const auto page = must(store.list_engines(query));
    require(page.total == page.engines.size() && !page.next, "a whole listing is counted");
}

/// Inserts engines in an order that is neither that of their users nor that of their ids.
template <store Store> void insert_plans(Store& store) {
    struct inserted {
        const char* user;
        named_texts metadata;
    };
    const std::array engines{inserted{"eve", {{"plan", "pro"}, {"region", "eu"}}},
                             inserted{"ada", {{"plan", "pro"}, {"region", "us"}}},
                             inserted{"joe", {}},
                             inserted{"bob", {{"plan", "free"}, {"region", "eu"}}},
                             inserted{"adam", {{"plan", "pro"}, {"region", "eu"}}}};
    std::uint32_t n = 50;
    for (const auto& [user, metadata] : engines)
        must(store.commit(insert(with_metadata(engine(n -= 7, user), metadata))));
}

template <store Store> void found_by_metadata(Store& store) {
    insert_plans(store);
    must(store.commit(insert(with_metadata(engine(1, "eve", other), {{"plan", "pro"}}))));
    require_users(store, with_members({{"plan", "pro"}}), "eve ada adam ", "oldest first");
    require_users(store, with_members({{"plan", "free"}}), "bob ", "by the value");
    require_users(store, with_members({{"plan", "pro"}}, other), "eve ", "of the product");
    for (const auto& [name, value] : named_texts{{"plan", "pr"},
                                                 {"pla", "npro"},
                                                 {"planp", "ro"},
                                                 {"plan ", "pro"},
                                                 {"", "pro"},
                                                 {"region", ""}})
        require_users(store, with_members({{name, value}}), "",
                      "neither by parts of a member nor across name and value");
}

template <store Store> void all_members_must_match(Store& store) {
    insert_plans(store);
    require_users(store, with_members({{"plan", "pro"}, {"region", "eu"}}), "eve adam ",
                  "those that have both");
    require_users(store, with_members({{"plan", "free"}, {"region", "us"}}), "",
                  "none has both, and each is there");
    require_users(store, with_members({{"plan", "pro"}, {"tier", "1"}}), "",
                  "none has the second, and some have the first");
}

template <store Store> void long_members(Store& store) {
    const std::string name(128, 'n');
    const std::string value(8'000, 'v');
    must(store.commit(insert(with_metadata(engine(1, "ada"), {{name, value + "1"}}))));
    must(store.commit(insert(with_metadata(engine(2, "bob"), {{name, value + "2"}, {"", ""}}))));
    require_users(store, with_members({{name, value + "1"}}), "ada ", "whatever its length");
    require_users(store, with_members({{name, value + "2"}}), "bob ", "to its last byte");
    require_users(store, with_members({{"", ""}}), "bob ", "also an empty one");
}

template <store Store> void changed_metadata(Store& store) {
    insert_plans(store);
    const auto change = [&](std::string_view user, named_texts metadata) {
        must(store.commit(
            update(with_metadata(must_have(store.find_engine(demo, user)), std::move(metadata)))));
    };
    change("ada", {{"plan", "free"}, {"region", "us"}});
    change("joe", {{"plan", "pro"}});
    require_users(store, with_members({{"plan", "pro"}}), "eve joe adam ", "as they are now");
    require_users(store, with_members({{"plan", "free"}}), "ada bob ", "and by the new value");
    require_users(store, with_members({{"region", "us"}}), "ada ", "and by one that was kept");
    auto without = must_have(store.find_engine(demo, "ada"));
    without.settings = nullptr;
    must(store.commit(update(without)));
    require_users(store, with_members({{"plan", "free"}}), "bob ", "not once it has none");
    require_users(store, with_members({{"region", "us"}}), "", "not once it has none");
    set_status(store, "bob", engine_status::running);
    require_users(store, with_members({{"plan", "free"}}), "bob ", "whatever else changes");
    must(store.note_activity(std::array{engine_activity{numbered(22), at(5)}}));
    require_users(store, with_members({{"plan", "free"}}), "bob ", "also its activity");
}

template <store Store> void changed_within_a_batch(Store& store) {
    const auto first = with_metadata(engine(1, "ada"), {{"plan", "free"}});
    auto second = with_metadata(first, {{"plan", "pro"}, {"region", "eu"}});
    second.revision = 1;
    auto third = with_metadata(first, {{"region", "us"}, {"plan", "pro"}});
    third.revision = 2;
    change_set set;
    set.changes = {insert_engine{first, {}, {}}, update_engine{second, {}},
                   update_engine{third, {}}};
    must(store.commit(set));
    require_users(store, with_members({{"plan", "pro"}, {"region", "us"}}), "ada ",
                  "as the last change of a batch leaves it");
    require_users(store, with_members({{"plan", "free"}}), "", "not as an earlier one left it");
    require_users(store, with_members({{"region", "eu"}}), "", "not as an earlier one left it");
    set.changes = {erase_engine{demo, "ada", 3, false},
                   insert_engine{with_metadata(engine(2, "ada"), {{"plan", "free"}}), {}, {}}};
    must(store.commit(set));
    require_users(store, with_members({{"plan", "pro"}}), "", "not as the engine that is gone");
    require_users(store, with_members({{"plan", "free"}}), "ada ", "as its successor");
    require_users(store, with_prefix("ad"), "ada ", "once by its user");
}

template <store Store> void refused_changes_leave_no_entry(Store& store) {
    insert_plans(store);
    auto moved = with_metadata(must_have(store.find_engine(demo, "ada")), {{"plan", "free"}});
    change_set set = update(moved);
    set.changes.emplace_back(insert_engine{with_metadata(engine(1, "eve"), {{"a", "b"}}), {}, {}});
    require(!store.commit(set), "a user has one engine");
    require_users(store, with_members({{"plan", "free"}}), "bob ", "nothing is changed");
    require_users(store, with_members({{"plan", "pro"}}), "eve ada adam ", "nothing is changed");
    require_users(store, with_members({{"a", "b"}}), "", "nothing is added");
}

template <store Store> void erased_are_not_found(Store& store) {
    insert_plans(store);
    const auto gone = must_have(store.find_engine(demo, "ada"));
    must(store.commit(erase(gone)));
    require_users(store, with_members({{"plan", "pro"}}), "eve adam ", "the others stay");
    require_users(store, with_prefix("ada"), "adam ", "the others stay");
    must(store.commit(insert(engine(1, "ada"))));
    require_users(store, with_members({{"plan", "pro"}}), "eve adam ", "its successor has none");
    require_users(store, with_prefix("ada"), "adam ada ", "a successor is the youngest");
}

template <store Store> void found_by_prefix(Store& store) {
    std::uint32_t n = 90;
    const std::string longest(256, 'u');
    for (const auto& user : {std::string("J\xC3\xB6rg"), std::string("b"), std::string("abc"),
                             std::string("ab"), std::string("J\xC3\xBCrg"), longest,
                             longest.substr(1), std::string("a\xFF"), std::string("B")})
        must(store.commit(insert(engine(n -= 7, user))));
    must(store.commit(insert(engine(1, "abe", other))));
    require_users(store, with_prefix("ab"), "abc ab ", "oldest first, and the id itself");
    require_users(store, with_prefix("abc"), "abc ", "not those that are shorter");
    require_users(store, with_prefix("a"), "abc ab a\xFF ", "up to the highest byte");
    require_users(store, with_prefix("b"), "b ", "with their case");
    require_users(store, with_prefix("J\xC3"), "J\xC3\xB6rg J\xC3\xBCrg ", "byte by byte");
    require_users(store, with_prefix("J\xC3\xB6"), "J\xC3\xB6rg ", "byte by byte");
    require_users(store, with_prefix(longest), longest + " ", "up to the longest id");
    for (const std::size_t bytes : {257U, 300U, 1'000U})
        require_users(store, with_prefix(std::string(bytes, 'u')), "", "and no further");
    require(must(store.list_engines(with_prefix(""))).total == 9, "an empty prefix is no filter");
}

template <store Store> void filters_combine(Store& store) {
    insert_plans(store);
    for (const auto* user : {"eve", "adam", "bob"}) set_status(store, user, engine_status::running);
    auto query = with_members({{"plan", "pro"}});
    query.status = engine_status::running;
    require_users(store, query, "eve adam ", "those of the status");
    query.user_prefix = "ad";
    require_users(store, query, "adam ", "of these those of the prefix");
    query.status = engine_status::failed;
    require_users(store, query, "", "none is in this status");
    query = with_prefix("a");
    query.status = engine_status::provisioning;
    require_users(store, query, "ada ", "a prefix and a status");
}

template <store Store> void filtered_pages(Store& store) {
    for (std::uint32_t n = 1; n <= 9; ++n)
        must(store.commit(insert(with_metadata(nth_engine(n), {{"odd", n % 2 == 0 ? "0" : "1"}}))));
    const auto nothing = [] {};
    auto query = with_members({{"odd", "1"}});
    query.limit = 2;
    require(users_on_pages(store, query, nothing) == "user1 user3 | user5 user7 | user9 | ",
            "the pages have every engine once, and the last one has no next");
    query.offset = 1;
    require(users_on_pages(store, query, nothing) == "user3 user5 | user9 | ",
            "an offset counts from the cursor");
    const auto page = must(store.list_engines(query));
    require(page.total == 5, "the total is that of all pages");
    query.offset = 0;
    const auto users = users_on_pages(store, query, [&] {
        for (const auto* user : {"user1", "user3"})
            if (const auto engine = must(store.find_engine(demo, user)))
                must(store.commit(erase(*engine)));
    });
    require(users == "user1 user3 | user5 user7 | user9 | ",
            "a page follows the one before also if that one's engines are gone");
    query.limit = 0;
    require(users_on_pages(store, query, nothing) == "| ", "a page of none has no next");
    query.limit = 2;
    query.offset = 100;
    require(users_on_pages(store, query, nothing) == "| ", "nothing is that far");
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"engines are found by a member of their metadata", found_by_metadata<Store>},
        {"of several members of metadata all must match", all_members_must_match<Store>},
        {"a member of metadata is found whatever its length", long_members<Store>},
        {"a change of metadata changes by what an engine is found", changed_metadata<Store>},
        {"an engine is found by the metadata with which a batch leaves it",
         changed_within_a_batch<Store>},
        {"a refused batch does not change by what engines are found",
         refused_changes_leave_no_entry<Store>},
        {"an erased engine is found by no filter", erased_are_not_found<Store>},
        {"engines are found by the beginning of their user ids", found_by_prefix<Store>},
        {"filters of a listing combine", filters_combine<Store>},
        {"a filtered listing is paged as any other", filtered_pages<Store>},
    };
}

} // namespace testing::listing_filter_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
