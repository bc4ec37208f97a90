#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <string>
#include <vector>

/// Cases about single engines: how they are found, and which changes are refused.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::engine_cases {

using namespace samples;

template <store Store> void empty_store_answers(Store& store) {
    require(must(store.find_engine(demo, "ada")) == nullptr,
            "an engine that does not exist is null by its user");
    require(must(store.find_engine_by_id(numbered(1))) == nullptr,
            "an engine that does not exist is null by its id");
    require(must(store.find_product(sha256_digest{})) == nullptr,
            "a product that does not exist is null by its key");
    require(must(store.find_product_named("demo")) == nullptr,
            "a product that does not exist is null by its slug");
    require(must(store.find_product_named(to_string(demo))) == nullptr,
            "a product that does not exist is null by its id");
    require_same(must(store.list_engines(every_engine(demo))), engine_page{}, "the list is empty");
    require_same(must(store.counts(demo)), fleet_counts{}, "nothing is counted");
    require_same(must(store.audit(every_row(demo))), audit_page{}, "there are no audit rows");
    int visits = 0;
    must(store.for_each_engine([&](const auto&) { ++visits; }));
    must(store.for_each_audit(instant::min(), [&](const auto&) { ++visits; }));
    require(visits == 0, "nothing is visited");
    require(!store.name().empty(), "a store has a name");
    require(!store.trouble(), "a new store has no trouble");
}

template <store Store> void inserted_is_found(Store& store) {
    must(store.commit(insert(engine(1, "ada"))));
    require(must_have(store.find_engine(demo, "ada")).id == numbered(1), "found by its user");
    require(must_have(store.find_engine_by_id(numbered(1))).user_id == "ada", "found by its id");
    require(must(store.find_engine(demo, "bob")) == nullptr, "not by another user");
    require(must(store.find_engine(other, "ada")) == nullptr, "not by another product");
    require(must(store.find_engine_by_id(numbered(2))) == nullptr, "not by another id");
}

template <store Store> void erased_is_gone(Store& store) {
    const auto done = must(store.commit(insert(engine(1, "ada"))));
    must(store.commit(insert(engine(2, "bob"))));
    must(store.commit(erase(*done.engines.front())));
    require(must(store.find_engine(demo, "ada")) == nullptr, "gone by its user");
    require(must(store.find_engine_by_id(numbered(1))) == nullptr, "gone by its id");
    require(must_have(store.find_engine(demo, "bob")).id == numbered(2), "the other engine stays");
}

template <store Store> void activity_is_noted(Store& store) {
    auto first = engine(1, "ada");
    first.last_activity_at = instant{std::chrono::seconds{100}};
    must(store.commit(insert(first)));
    must(store.commit(insert(engine(2, "bob"))));
    const auto stored = must_have(store.find_engine(demo, "ada"));
    const std::vector<engine_activity> seen{{numbered(1), instant{std::chrono::seconds{160}}},
                                            {numbered(7), instant{std::chrono::seconds{170}}}};
    must(store.note_activity(seen));
    auto noted = stored;
    noted.last_activity_at = instant{std::chrono::seconds{160}};
    require_same(must_have(store.find_engine(demo, "ada")), noted, "only last_activity_at changes");
    require_same(must_have(store.find_engine_by_id(numbered(1))), noted, "also by the engine's id");
    require_same(*must(store.list_engines(every_engine(demo))).engines.front(), noted,
                 "also in listings");
    must(store.note_activity(std::vector<engine_activity>{{numbered(1), instant{}}}));
    require_same(must_have(store.find_engine(demo, "ada")), noted, "the later time is kept");
    must(store.commit(update(stored))); // the revision has not changed
}

template <store Store> void one_engine_a_user(Store& store) {
    must(store.commit(insert(engine(1, "ada"))));
    require_refused(store.commit(insert(engine(2, "ada"))), errc::engine_already_exists);
    require(must_have(store.find_engine(demo, "ada")).id == numbered(1), "the first engine stays");
    must(store.commit(insert(engine(2, "ada", other))));
    require(must_have(store.find_engine(other, "ada")).id == numbered(2),
            "the same user of another product has an engine too");
    must(store.commit(erase(must_have(store.find_engine(demo, "ada")))));
    must(store.commit(insert(engine(3, "ada"))));
    require(must_have(store.find_engine(demo, "ada")).id == numbered(3),
            "the next engine is found");
}

template <store Store> void users_that_begin_alike(Store& store) {
    const std::vector<std::string> users{"a",
                                         "ab",
                                         "abc",
                                         "A",
                                         "b",
                                         "a b",
                                         "\xC3\xA4",
                                         std::string(255, 'a'),
                                         std::string(256, 'a'),
                                         std::string(255, 'a') + 'b'};
    for (std::uint32_t n = 0; n < users.size(); ++n)
        must(store.commit(insert(engine(n + 1, users[n]))));
    for (std::uint32_t n = 0; n < users.size(); ++n)
        require(must_have(store.find_engine(demo, users[n])).id == numbered(n + 1),
                "each user's own engine is found");
    must(store.commit(erase(must_have(store.find_engine(demo, "ab")))));
    require(must(store.find_engine(demo, "ab")) == nullptr, "the erased engine is gone");
    require(must(store.list_engines(every_engine(demo))).total == users.size() - 1,
            "the other engines stay");
}

template <store Store> void short_ids_are_unique(Store& store) {
    must(store.commit(insert(engine(1, "ada"))));
    auto twin = engine(1, "bob");
    twin.id.bytes[15] = 99;
    require_refused(store.commit(insert(twin)), errc::short_id_taken);
    twin.id.bytes[6] = 99;
    twin.product_id = other;
    require_refused(store.commit(insert(twin)), errc::short_id_taken);
    require(must(store.find_engine_by_id(twin.id)) == nullptr,
            "the engine with the same short id is not stored");
    auto neighbour = twin;
    neighbour.user_id = "eve";
    neighbour.id.bytes[5] = 99;
    must(store.commit(insert(neighbour)));
    must(store.commit(erase(must_have(store.find_engine(demo, "ada")))));
    must(store.commit(insert(twin)));
    require(must_have(store.find_engine_by_id(twin.id)).user_id == "bob",
            "an erased engine's short id is free again");
}

template <store Store> void revisions_count_commits(Store& store) {
    auto record = engine(1, "ada");
    record.revision = 77;
    record.sequence = 77;
    const auto done = must(store.commit(insert(record)));
    require(done.engines.size() == 1 && done.engines[0]->revision == 1, "the first revision is 1");
    record = *done.engines[0];
    for (std::uint64_t revision = 2; revision < 5; ++revision) {
        record = *must(store.commit(update(record))).engines.at(0);
        require(record.revision == revision, "each commit makes the next revision");
        require_same(must_have(store.find_engine(demo, "ada")), record,
                     "the returned row is the stored one");
    }
    require(record.sequence == done.engines[0]->sequence,
            "the sequence does not change after the insert");
}

template <store Store> void stale_revisions_conflict(Store& store) {
    const auto first = *must(store.commit(insert(engine(1, "ada")))).engines.at(0);
    auto changed = first;
    changed.status = engine_status::running;
    const auto second = *must(store.commit(update(changed))).engines.at(0);
    auto ahead = second;
    ++ahead.revision;
    for (const auto& wrong : {first, ahead}) {
        require_refused(store.commit(update(wrong)), errc::revision_conflict);
        require_refused(store.commit(erase(wrong)), errc::revision_conflict);
    }
    require_same(must_have(store.find_engine(demo, "ada")), second, "a conflict changes nothing");
    must(store.commit(erase(second)));
}

template <store Store> void gone_engines_conflict(Store& store) {
    require_refused(store.commit(update(engine(1, "ada"))), errc::revision_conflict);
    require_refused(store.commit(erase(engine(1, "ada"))), errc::revision_conflict);
    const auto old = *must(store.commit(insert(engine(1, "ada")))).engines.at(0);
    must(store.commit(erase(old)));
    require_refused(store.commit(update(old)), errc::revision_conflict);
    require_refused(store.commit(erase(old)), errc::revision_conflict);
    const auto next = *must(store.commit(insert(engine(2, "ada")))).engines.at(0);
    require(next.revision == old.revision, "the user's next engine has the same revision");
    require_refused(store.commit(update(old)), errc::revision_conflict);
    require_same(must_have(store.find_engine(demo, "ada")), next,
                 "the user's next engine is unchanged");
}

template <store Store> void pointers_outlive_changes(Store& store) {
    must(store.commit(insert(engine(1, "ada"))));
    const auto held = must(store.find_engine(demo, "ada"));
    require(held != nullptr, "should be there");
    auto changed = *held;
    changed.version = "2";
    must(store.commit(update(changed)));
    require(held->version.empty() && held->revision == 1,
            "an update does not change a record that was read");
    must(store.commit(erase(must_have(store.find_engine(demo, "ada")))));
    require(held->id == numbered(1), "a record that was read outlives its engine");
}

template <store Store> void every_engine_is_visited_once(Store& store) {
    must(store.commit(insert(engine(1, "ada"))));
    must(store.commit(insert(engine(2, "bob"))));
    must(store.commit(insert(engine(3, "ada", other))));
    auto changed = must_have(store.find_engine(demo, "bob"));
    changed.status = engine_status::failed;
    must(store.commit(update(changed)));
    must(store.commit(erase(must_have(store.find_engine(demo, "ada")))));
    std::vector<result<engine_ptr>> visited;
    must(store.for_each_engine(
        [&](const result<engine_ptr>& engine) { visited.push_back(engine); }));
    require(visited.size() == 2, "the stored engines are visited, and no others");
    require(must_have(visited[0]).id != must_have(visited[1]).id, "each engine is visited once");
    for (const auto& engine : visited) {
        const auto record = must_have(engine);
        require_same(record, must_have(store.find_engine_by_id(record.id)),
                     "an engine is visited as it is found");
    }
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"an empty store finds and lists nothing", empty_store_answers<Store>},
        {"an inserted engine is found by its user and by its id", inserted_is_found<Store>},
        {"an erased engine is gone", erased_is_gone<Store>},
        {"a user of a product has at most one engine", one_engine_a_user<Store>},
        {"users whose ids begin alike have different engines", users_that_begin_alike<Store>},
        {"two engines never share a short id", short_ids_are_unique<Store>},
        {"revisions begin at 1 and grow with each commit", revisions_count_commits<Store>},
        {"an update or erase that does not carry the stored revision is a conflict",
         stale_revisions_conflict<Store>},
        {"an update or erase of an engine that is gone is a conflict, also if its user has another",
         gone_engines_conflict<Store>},
        {"a record that was read never changes", pointers_outlive_changes<Store>},
        {"the last use of an engine is noted without a new revision", activity_is_noted<Store>},
        {"every engine of every product is visited once", every_engine_is_visited_once<Store>},
    };
}

} // namespace testing::engine_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
