#include "catch.hpp"

#include <roundhouse/core/store_plan.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/store/memory/fleet_rows.hpp>
#include <roundhouse/testing/store_conformance/samples.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

using namespace roundhouse;
using namespace roundhouse::testing::samples;
using core::counter_delta;
using core::engine_index;
using core::store_plan;

namespace {

/// Stored rows that may not be looked at.
class no_rows final : public core::stored_rows {
    result<engine_ptr> find_engine(const uuid&, std::string_view) const override {
        FAIL("an engine was looked up");
        return nullptr;
    }
    result<product_ptr> find_product(const uuid&) const override {
        FAIL("a product was looked up");
        return nullptr;
    }
};

/// Rows that several writers share. Plans are made from them at one time, and executed at another.
class shared_rows {
public:
    [[nodiscard]] result<store_plan> plan(const change_set& set) const {
        return core::plan_commit(set, rows_);
    }

    result<void> execute(result<store_plan> plan) {
        if (!plan) return unexpected(std::move(plan.error()));
        auto checked = core::check_conditions(
            *plan, rows_, [this](const auto& condition) { return rows_.holds(condition); });
        if (!checked) return checked;
        detail::port_search ports(0, [this](auto port) { return rows_.holds_port(port); });
        const auto made = core::make_rows(*plan, last_sequence_, ports);
        if (!made) return unexpected(made.error());
        for (const auto& write : plan->products) rows_.apply(write);
        for (std::size_t i = 0; i < made->size(); ++i)
            rows_.apply(plan->engines[i], core::replaced_by(plan->engines[i], *made), (*made)[i]);
        return {};
    }

    void commit(const change_set& set) { REQUIRE(execute(plan(set))); }

    [[nodiscard]] engine_record stored(std::string_view user) const {
        return **rows_.find_engine(demo, user);
    }
    [[nodiscard]] fleet_counts counts() const { return rows_.counts(demo); }

private:
    detail::memory::fleet_rows rows_;
    std::uint64_t last_sequence_ = 0;
};

/// A product "acme" and the engines of ada and bob.
struct furnished_rows : shared_rows {
    furnished_rows() {
        commit(put(tenant(1, "acme")));
        commit(insert(engine(1, "ada")));
        commit(insert(engine(2, "bob")));
    }
};

engine_record with_status(engine_record record, engine_status status) {
    record.status = status;
    return record;
}

change_set both(change_set first, const change_set& second) {
    first.changes.insert(first.changes.end(), second.changes.begin(), second.changes.end());
    return first;
}

template <class Condition> const Condition& condition(const store_plan& plan, std::size_t place) {
    REQUIRE(plan.conditions.size() > place);
    REQUIRE(std::holds_alternative<Condition>(plan.conditions[place]));
    return std::get<Condition>(plan.conditions[place]);
}

std::vector<std::pair<engine_index, engine_status>>
entries(const std::vector<core::index_entry>& from) {
    std::vector<std::pair<engine_index, engine_status>> out;
    for (const auto& entry : from) out.emplace_back(entry.index, entry.status);
    return out;
}

} // namespace

TEST_CASE("an insert is planned without a look-up") {
    const auto plan = or_throw(core::plan_commit(
        insert(with_status(engine(1, "ada"), engine_status::running), 5), no_rows()));
    REQUIRE(plan.conditions.size() == 3);
    CHECK(condition<core::owner_is_free>(plan, 0).owner == engine_owner{demo, "ada"});
    CHECK(condition<core::short_id_is_free>(plan, 1).engine_id == numbered(1));
    CHECK(condition<core::quota_has_room>(plan, 2).max_engines == 5);
    CHECK(condition<core::quota_has_room>(plan, 2).taken == 0);

    REQUIRE(plan.engines.size() == 1);
    const auto& write = plan.engines[0];
    CHECK((write.stored == nullptr && !write.earlier));
    CHECK(write.row->revision == 1);
    counter_delta wanted;
    wanted.of(engine_status::running) = 1;
    wanted.provisions = 1;
    CHECK(write.counters == wanted);
    CHECK(write.counters.engines() == 1);
    CHECK(write.removed.empty());
    CHECK(entries(write.added) == std::vector<std::pair<engine_index, engine_status>>{
                                      {engine_index::id, {}},
                                      {engine_index::sequence, {}},
                                      {engine_index::status, engine_status::running},
                                      {engine_index::user, {}}});
}

TEST_CASE("an update moves an engine from the status that was stored to the one that it gets") {
    const furnished_rows rows;
    const auto before = rows.stored("ada");
    const auto plan = or_throw(rows.plan(update(with_status(before, engine_status::failed))));
    REQUIRE(plan.conditions.size() == 1);
    CHECK(condition<core::engine_is_at>(plan, 0).engine_id == before.id);
    CHECK(condition<core::engine_is_at>(plan, 0).revision == before.revision);
    const auto& write = plan.engines.at(0);
    CHECK(write.row->revision == before.revision + 1);
    counter_delta wanted;
    wanted.of(engine_status::provisioning) = -1;
    wanted.of(engine_status::failed) = 1;
    CHECK(write.counters == wanted);
    CHECK(write.counters.engines() == 0);
    CHECK(entries(write.removed) == std::vector<std::pair<engine_index, engine_status>>{
                                        {engine_index::status, engine_status::provisioning}});
    CHECK(entries(write.added) == std::vector<std::pair<engine_index, engine_status>>{
                                      {engine_index::status, engine_status::failed}});
}

TEST_CASE("an update that keeps the status changes no counter and no index") {
    const furnished_rows rows;
    const auto plan = or_throw(rows.plan(update(rows.stored("ada"))));
    const auto& write = plan.engines.at(0);
    CHECK(write.counters == counter_delta{});
    CHECK((write.removed.empty() && write.added.empty()));
}

TEST_CASE("a change of metadata moves an engine between the members that differ") {
    const auto with = [](engine_record record, named_texts metadata) {
        engine_settings settings;
        settings.metadata = std::move(metadata);
        record.settings = std::make_shared<const engine_settings>(std::move(settings));
        return record;
    };
    const auto members = [](const std::vector<core::index_entry>& from) {
        std::string out;
        for (const auto& entry : from)
            if (entry.index == engine_index::metadata)
                out += entry.member.first + '=' + entry.member.second + ' ';
        return out;
    };
    furnished_rows rows;
    rows.commit(insert(with(engine(3, "eve"), {{"a", "1"}, {"b", "2"}, {"c", "3"}})));
    const auto before = rows.stored("eve");

    const auto changed = or_throw(
        rows.plan(update(with(before, {{"a", "1"}, {"b", "4"}, {"d", "3"}}))));
    CHECK(members(changed.engines.at(0).removed) == "b=2 c=3 ");
    CHECK(members(changed.engines.at(0).added) == "b=4 d=3 ");
    CHECK(changed.engines.at(0).counters == counter_delta{});

    const auto equal = or_throw(
        rows.plan(update(with(before, {{"a", "1"}, {"b", "2"}, {"c", "3"}}))));
    CHECK((equal.engines.at(0).removed.empty() && equal.engines.at(0).added.empty()));

    const auto erased = or_throw(rows.plan(erase(before)));
    CHECK(members(erased.engines.at(0).removed) == "a=1 b=2 c=3 ");
}

TEST_CASE("an erase counts a destroy, or takes a provision back") {
    const furnished_rows rows;
    const bool undone = GENERATE(false, true);
    const auto plan = or_throw(rows.plan(erase(rows.stored("ada"), undone)));
    const auto& write = plan.engines.at(0);
    CHECK_FALSE(write.row);
    counter_delta wanted;
    wanted.of(engine_status::provisioning) = -1;
    wanted.provisions = undone ? -1 : 0;
    wanted.destroys = undone ? 0 : 1;
    CHECK(write.counters == wanted);
    CHECK(write.counters.engines() == -1);
    CHECK(write.removed.size() == 4);
}

TEST_CASE("a condition on the quota counts the earlier changes of its set") {
    const furnished_rows rows;
    const auto swap = both(erase(rows.stored("ada")),
                           both(insert(engine(3, "eve"), 2), insert(engine(4, "joe"), 2)));
    const auto plan = or_throw(rows.plan(swap));
    REQUIRE(plan.conditions.size() == 7);
    CHECK(condition<core::quota_has_room>(plan, 3).taken == -1);
    CHECK(condition<core::quota_has_room>(plan, 6).taken == 0);
}

TEST_CASE("a condition on the memory counts the earlier changes of its set") {
    furnished_rows rows;
    rows.commit(batch(reserving(engine(3, "eve"), 50, {})));
    auto set = erase(rows.stored("eve"));
    set.changes.emplace_back(reserving_anew(rows.stored("ada"), 20, 100));
    set.changes.emplace_back(reserving(engine(4, "joe"), 30, 100));
    const auto plan = or_throw(rows.plan(set));
    REQUIRE(plan.conditions.size() == 6);
    CHECK(condition<core::memory_has_room>(plan, 2).taken_mb == -50);
    CHECK(condition<core::memory_has_room>(plan, 2).wanted_mb == 20);
    CHECK(condition<core::memory_has_room>(plan, 5).taken_mb == -30);
    CHECK(condition<core::memory_has_room>(plan, 5).wanted_mb == 30);
    CHECK(plan.engines.at(0).counters.reserved_memory_mb == -50);
    CHECK(plan.engines.at(1).counters.reserved_memory_mb == 20);
    CHECK(plan.engines.at(2).counters.reserved_memory_mb == 30);
    CHECK(rows.execute(plan));
    CHECK(rows.counts().reserved_memory_mb == 50);
}

TEST_CASE("what reserves no more than before has no condition on the memory") {
    furnished_rows rows;
    rows.commit(batch(reserving_anew(rows.stored("ada"), 50, {})));
    for (const std::uint64_t memory : {50U, 49U, 0U}) {
        const auto plan = or_throw(rows.plan(batch(reserving_anew(rows.stored("ada"), memory, 0))));
        REQUIRE(plan.conditions.size() == 1);
        CHECK(std::holds_alternative<core::engine_is_at>(plan.conditions[0]));
    }
}

TEST_CASE("what a change of the set frees is no condition of a later one") {
    const furnished_rows rows;
    auto twin = engine(1, "ada");
    twin.id.bytes[15] = 99;
    const auto plan = or_throw(rows.plan(both(erase(rows.stored("ada")), insert(twin))));
    REQUIRE(plan.conditions.size() == 1);
    CHECK(condition<core::engine_is_at>(plan, 0).owner == engine_owner{demo, "ada"});
}

TEST_CASE("the second write of an engine replaces the row of the first") {
    auto record = engine(1, "ada");
    const auto inserted = insert(record);
    record.revision = 1;
    const auto plan = or_throw(core::plan_commit(both(inserted, update(record)), no_rows()));
    REQUIRE(plan.engines.size() == 2);
    CHECK(plan.engines[1].earlier == 0);
    CHECK(plan.engines[1].row->revision == 2);
    CHECK(plan.conditions.size() == 2);
}

TEST_CASE("changes of one set that exclude each other are refused when they are planned") {
    const furnished_rows rows;
    const auto code = [&](const change_set& set) { return rows.plan(set).error().code; };
    CHECK(code(both(insert(engine(3, "eve")), insert(engine(4, "eve")))) ==
          errc::engine_already_exists);
    CHECK(code(both(insert(engine(3, "eve")), insert(engine(3, "joe")))) == errc::short_id_taken);
    CHECK(code(both(erase(rows.stored("ada")), update(rows.stored("ada")))) ==
          errc::revision_conflict);
    CHECK(code(both(put(tenant(2, "bolt")), put(tenant(3, "bolt")))) == errc::product_slug_exists);
    auto twin = tenant(3, "cove");
    twin.keys = tenant(2, "").keys;
    CHECK(code(both(put(tenant(2, "bolt")), put(twin))) == errc::invalid_request);
}

TEST_CASE("a plan that another commit has overtaken is refused by the condition that it broke") {
    struct race {
        change_set first;
        change_set second;
        errc code;
    };
    const furnished_rows start;
    const auto ada = start.stored("ada");
    auto acme = tenant(1, "acme");
    acme.revision = 1;
    auto twin = engine(3, "joe");
    twin.id.bytes[15] = 99;
    auto same_key = tenant(3, "cove");
    same_key.keys = tenant(2, "").keys;
    const std::vector<race> races{
        {insert(engine(3, "eve")), insert(engine(4, "eve")), errc::engine_already_exists},
        {insert(engine(3, "eve")), insert(twin), errc::short_id_taken},
        {insert(engine(3, "eve"), 3), insert(engine(4, "joe"), 3), errc::quota_exceeded},
        {batch(reserving(engine(3, "eve"), 60, 100)), batch(reserving_anew(ada, 41, 100)),
         errc::quota_exceeded},
        {batch(reserving_anew(ada, 60, 100)), batch(reserving(engine(3, "eve"), 41, 100)),
         errc::quota_exceeded},
        {update(ada), update(ada), errc::revision_conflict},
        {update(ada), erase(ada), errc::revision_conflict},
        {erase(ada), update(ada), errc::revision_conflict},
        {put(acme), put(acme), errc::revision_conflict},
        {put(tenant(2, "bolt")), put(tenant(2, "cove")), errc::revision_conflict},
        {put(tenant(2, "bolt")), put(tenant(3, "bolt")), errc::product_slug_exists},
        {put(tenant(2, "bolt")), put(same_key), errc::invalid_request},
    };
    for (std::size_t i = 0; i < races.size(); ++i) {
        CAPTURE(i);
        furnished_rows rows;
        auto first = rows.plan(races[i].first);
        auto second = rows.plan(races[i].second);
        REQUIRE(first);
        REQUIRE(second);
        REQUIRE(rows.execute(std::move(first)));
        const auto refused = rows.execute(std::move(second));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == races[i].code);
    }
}

TEST_CASE("plans that were made from the same rows can be executed in any order") {
    const bool reversed = GENERATE(false, true);
    furnished_rows rows;
    std::vector<change_set> sets{insert(engine(3, "eve"), 4),
                                 update(with_status(rows.stored("ada"), engine_status::running)),
                                 insert(engine(4, "joe"), 4), erase(rows.stored("bob"))};
    std::vector<result<store_plan>> plans;
    for (const auto& set : sets) plans.push_back(rows.plan(set));
    if (reversed) std::reverse(plans.begin(), plans.end());
    for (auto& plan : plans) REQUIRE(rows.execute(std::move(plan)));
    const auto counts = rows.counts();
    CHECK(counts.of(engine_status::provisioning) == 2);
    CHECK(counts.of(engine_status::running) == 1);
    CHECK(counts.total() == 3);
    CHECK(counts.total_provisions == 4);
    CHECK(counts.total_destroys == 1);
}

TEST_CASE("a quota is refused with the slug of its product, or with its id if it is not known") {
    const auto message_for = [](const uuid& product) {
        furnished_rows rows;
        const auto refused = rows.execute(rows.plan(insert(engine(9, "eve", product), 0)));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == errc::quota_exceeded);
        return refused.error().message;
    };
    CHECK(message_for(numbered(1)) ==
          "Product 'acme' at max_engines limit (0). Destroy engines or ask the operator to raise "
          "the limit.");
    CHECK(message_for(other) ==
          "Product '" + to_string(other) +
              "' at max_engines limit (0). Destroy engines or ask the operator to raise the "
              "limit.");
}

TEST_CASE("a quota of memory is refused with what is wanted and what there may be") {
    furnished_rows rows;
    const auto refused = rows.execute(
        rows.plan(batch(reserving(engine(9, "eve", numbered(1)), 512, 100))));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::quota_exceeded);
    CHECK(refused.error().message ==
          "Product 'acme' has no 512 MiB left of its max_total_memory_mb (100). Destroy engines, "
          "set a lower limits.memory_mb, or ask the operator to raise the limit.");
}
