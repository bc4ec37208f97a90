#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/store_conformance/case.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>
#include <roundhouse/types.hpp>

#include <string>
#include <vector>

/// What a store promises of single engines: where they are found, and which changes it refuses.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::engine_cases {

using namespace samples;

template <store Store> void empty_store_answers(Store& kept) {
    require(must(kept.find_engine(demo, "ada")) == nullptr, "an engine that is not there is null");
    require(must(kept.find_engine_by_id(numbered(1))) == nullptr, "nor by its id");
    require(must(kept.find_product(sha256_digest{})) == nullptr, "nor is there a product by key");
    require(must(kept.find_product_named("demo")) == nullptr, "nor by slug");
    require(must(kept.find_product_named(to_string(demo))) == nullptr, "nor by id");
    require_same(must(kept.list_engines(every_engine(demo))), engine_page{}, "the list is empty");
    require_same(must(kept.counts(demo)), fleet_counts{}, "nothing is counted");
    require_same(must(kept.audit(every_row(demo))), audit_page{}, "nothing has been told");
    int visits = 0;
    must(kept.for_each_engine([&](const auto&) { ++visits; }));
    must(kept.for_each_audit(instant::min(), [&](const auto&) { ++visits; }));
    require(visits == 0, "there is nothing to visit");
    require(!kept.name().empty(), "a store has a name");
    require(!kept.trouble(), "and no trouble");
}

template <store Store> void inserted_is_found(Store& kept) {
    must(kept.commit(insert(engine(1, "ada"))));
    require(must_have(kept.find_engine(demo, "ada")).id == numbered(1), "found by its user");
    require(must_have(kept.find_engine_by_id(numbered(1))).user_id == "ada", "found by its id");
    require(must(kept.find_engine(demo, "bob")) == nullptr, "not by another user");
    require(must(kept.find_engine(other, "ada")) == nullptr, "not by another product");
    require(must(kept.find_engine_by_id(numbered(2))) == nullptr, "not by another id");
}

template <store Store> void erased_is_gone(Store& kept) {
    const auto done = must(kept.commit(insert(engine(1, "ada"))));
    must(kept.commit(insert(engine(2, "bob"))));
    must(kept.commit(erase(*done.engines.front())));
    require(must(kept.find_engine(demo, "ada")) == nullptr, "gone by its user");
    require(must(kept.find_engine_by_id(numbered(1))) == nullptr, "gone by its id");
    require(must_have(kept.find_engine(demo, "bob")).id == numbered(2), "the other stays");
}

template <store Store> void activity_is_noted(Store& kept) {
    auto first = engine(1, "ada");
    first.last_activity_at = instant{std::chrono::seconds{100}};
    must(kept.commit(insert(first)));
    must(kept.commit(insert(engine(2, "bob"))));
    const auto stored = must_have(kept.find_engine(demo, "ada"));
    const std::vector<engine_activity> seen{{numbered(1), instant{std::chrono::seconds{160}}},
                                            {numbered(7), instant{std::chrono::seconds{170}}}};
    must(kept.note_activity(seen));
    auto noted = stored;
    noted.last_activity_at = instant{std::chrono::seconds{160}};
    require_same(must_have(kept.find_engine(demo, "ada")), noted, "that is all that changes");
    require_same(must_have(kept.find_engine_by_id(numbered(1))), noted, "wherever it is found");
    require_same(*must(kept.list_engines(every_engine(demo))).engines.front(), noted,
                 "and in lists");
    must(kept.note_activity(std::vector<engine_activity>{{numbered(1), instant{}}}));
    require_same(must_have(kept.find_engine(demo, "ada")), noted, "the later use counts");
    must(kept.commit(update(stored))); // its revision is still the one that was read
}

template <store Store> void one_engine_a_user(Store& kept) {
    must(kept.commit(insert(engine(1, "ada"))));
    require_refused(kept.commit(insert(engine(2, "ada"))), errc::engine_already_exists);
    require(must_have(kept.find_engine(demo, "ada")).id == numbered(1), "the first one stays");
    must(kept.commit(insert(engine(2, "ada", other))));
    require(must_have(kept.find_engine(other, "ada")).id == numbered(2),
            "another product's user has one too");
    must(kept.commit(erase(must_have(kept.find_engine(demo, "ada")))));
    must(kept.commit(insert(engine(3, "ada"))));
    require(must_have(kept.find_engine(demo, "ada")).id == numbered(3), "the next one is found");
}

template <store Store> void users_that_begin_alike(Store& kept) {
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
        must(kept.commit(insert(engine(n + 1, users[n]))));
    for (std::uint32_t n = 0; n < users.size(); ++n)
        require(must_have(kept.find_engine(demo, users[n])).id == numbered(n + 1),
                "each user's own engine is found");
    must(kept.commit(erase(must_have(kept.find_engine(demo, "ab")))));
    require(must(kept.find_engine(demo, "ab")) == nullptr, "the one that was erased is gone");
    require(must(kept.list_engines(every_engine(demo))).total == users.size() - 1,
            "the others stay");
}

template <store Store> void short_ids_are_unique(Store& kept) {
    must(kept.commit(insert(engine(1, "ada"))));
    auto twin = engine(1, "bob");
    twin.id.bytes[15] = 99;
    require_refused(kept.commit(insert(twin)), errc::short_id_taken);
    twin.id.bytes[6] = 99;
    twin.product_id = other;
    require_refused(kept.commit(insert(twin)), errc::short_id_taken);
    require(must(kept.find_engine_by_id(twin.id)) == nullptr, "the twin is not there");
    auto neighbour = twin;
    neighbour.user_id = "eve";
    neighbour.id.bytes[5] = 99;
    must(kept.commit(insert(neighbour)));
    must(kept.commit(erase(must_have(kept.find_engine(demo, "ada")))));
    must(kept.commit(insert(twin)));
    require(must_have(kept.find_engine_by_id(twin.id)).user_id == "bob",
            "an erased engine's short id is free again");
}

template <store Store> void revisions_count_commits(Store& kept) {
    auto record = engine(1, "ada");
    record.revision = 77;
    record.sequence = 77;
    const auto done = must(kept.commit(insert(record)));
    require(done.engines.size() == 1 && done.engines[0]->revision == 1, "the first revision is 1");
    record = *done.engines[0];
    for (std::uint64_t revision = 2; revision < 5; ++revision) {
        record = *must(kept.commit(update(record))).engines.at(0);
        require(record.revision == revision, "each commit makes the next revision");
        require_same(must_have(kept.find_engine(demo, "ada")), record, "what was told is kept");
    }
    require(record.sequence == done.engines[0]->sequence, "the sequence is the insertion's");
}

template <store Store> void stale_revisions_conflict(Store& kept) {
    const auto first = *must(kept.commit(insert(engine(1, "ada")))).engines.at(0);
    auto changed = first;
    changed.status = engine_status::running;
    const auto second = *must(kept.commit(update(changed))).engines.at(0);
    auto ahead = second;
    ++ahead.revision;
    for (const auto& wrong : {first, ahead}) {
        require_refused(kept.commit(update(wrong)), errc::revision_conflict);
        require_refused(kept.commit(erase(wrong)), errc::revision_conflict);
    }
    require_same(must_have(kept.find_engine(demo, "ada")), second, "the conflicts changed nothing");
    must(kept.commit(erase(second)));
}

template <store Store> void gone_engines_conflict(Store& kept) {
    require_refused(kept.commit(update(engine(1, "ada"))), errc::revision_conflict);
    require_refused(kept.commit(erase(engine(1, "ada"))), errc::revision_conflict);
    const auto old = *must(kept.commit(insert(engine(1, "ada")))).engines.at(0);
    must(kept.commit(erase(old)));
    require_refused(kept.commit(update(old)), errc::revision_conflict);
    require_refused(kept.commit(erase(old)), errc::revision_conflict);
    const auto next = *must(kept.commit(insert(engine(2, "ada")))).engines.at(0);
    require(next.revision == old.revision, "the successor begins at the same revision");
    require_refused(kept.commit(update(old)), errc::revision_conflict);
    require_same(must_have(kept.find_engine(demo, "ada")), next, "the successor is as it was");
}

template <store Store> void pointers_outlive_changes(Store& kept) {
    must(kept.commit(insert(engine(1, "ada"))));
    const auto held = must(kept.find_engine(demo, "ada"));
    require(held != nullptr, "should be there");
    auto changed = *held;
    changed.version = "2";
    must(kept.commit(update(changed)));
    require(held->version.empty() && held->revision == 1, "an update leaves it as it was read");
    must(kept.commit(erase(must_have(kept.find_engine(demo, "ada")))));
    require(held->id == numbered(1), "it lives longer than the engine");
}

template <store Store> void every_engine_is_visited_once(Store& kept) {
    must(kept.commit(insert(engine(1, "ada"))));
    must(kept.commit(insert(engine(2, "bob"))));
    must(kept.commit(insert(engine(3, "ada", other))));
    auto changed = must_have(kept.find_engine(demo, "bob"));
    changed.status = engine_status::failed;
    must(kept.commit(update(changed)));
    must(kept.commit(erase(must_have(kept.find_engine(demo, "ada")))));
    std::vector<result<engine_ptr>> visited;
    must(kept.for_each_engine([&](const result<engine_ptr>& one) { visited.push_back(one); }));
    require(visited.size() == 2, "each engine that is there, and no other");
    require(must_have(visited[0]).id != must_have(visited[1]).id, "each once");
    for (const auto& one : visited) {
        const auto record = must_have(one);
        require_same(record, must_have(kept.find_engine_by_id(record.id)), "as it is found");
    }
}

template <store Store> std::vector<store_case<Store>> all() {
    return {
        {"an empty store answers that there is nothing", empty_store_answers<Store>},
        {"an engine that was inserted is found by its user and by its id",
         inserted_is_found<Store>},
        {"an engine that was erased is gone", erased_is_gone<Store>},
        {"a user of a product has at most one engine", one_engine_a_user<Store>},
        {"users whose names begin alike have engines of their own", users_that_begin_alike<Store>},
        {"two engines never share a short id", short_ids_are_unique<Store>},
        {"revisions begin at 1 and grow with each commit", revisions_count_commits<Store>},
        {"an update or erase with a revision that is not the stored one is a conflict",
         stale_revisions_conflict<Store>},
        {"an update or erase of an engine that is gone, or of its successor, is a conflict",
         gone_engines_conflict<Store>},
        {"a record that was read stays as it was", pointers_outlive_changes<Store>},
        {"the last use of an engine is noted without a new revision", activity_is_noted<Store>},
        {"every engine of every product is visited once", every_engine_is_visited_once<Store>},
    };
}

} // namespace testing::engine_cases
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
