#include "catch.hpp"
#include "orchestrator_fixture.hpp"

#include <asio/use_future.hpp>

#include <cstdint>
#include <string>

using namespace roundhouse_tests;

TEST_CASE("products are listed by slug, and described with the numbers of their engines") {
    memory_fleet<> fleet;
    const auto bolt = fleet.registered({}, "bolt");
    policy limits;
    limits.max_engines = 3;
    fleet.registered(limits, "acme");
    REQUIRE(fleet.orchestrator->of(bolt).provision("ada"));
    REQUIRE(fleet.orchestrator->of(bolt).provision("bob"));
    REQUIRE(fleet.orchestrator->of(bolt).stop("bob"));

    const auto first = fleet.orchestrator->async_list_products({1, {}}, wait);
    REQUIRE(first);
    CHECK(first->total == 2);
    CHECK(first->products.front()->slug == "acme");
    CHECK(first->next == "acme");
    const auto second = fleet.orchestrator->async_list_products({1, *first->next}, wait);
    REQUIRE(second);
    CHECK(second->products.front()->slug == "bolt");
    CHECK_FALSE(second->next);

    for (const auto& name : {std::string("bolt"), to_string(bolt->id)}) {
        const auto seen = fleet.orchestrator->async_describe_product(name, wait);
        REQUIRE(seen);
        CHECK(seen->record->id == bolt->id);
        CHECK(seen->engines.total() == 2);
        CHECK(seen->engines.of(engine_status::running) == 1);
        CHECK(seen->engines.of(engine_status::stopped) == 1);
    }
    const auto other = fleet.orchestrator->async_describe_product("acme", wait);
    REQUIRE(other);
    CHECK(other->record->policy == limits);
    CHECK(other->engines.total() == 0);
    CHECK(fleet.orchestrator->async_describe_product("none", wait).error().code ==
          errc::product_not_found);
}

TEST_CASE("a product's display name is changed with an audit row, and nothing else is") {
    memory_fleet<> fleet;
    policy limits;
    limits.max_engines = 3;
    const auto product = fleet.registered(limits);
    const auto changed = fleet.orchestrator->async_update_product("demo", {"The Demo"}, wait);
    REQUIRE(changed);
    CHECK(changed->record->display_name == "The Demo");
    CHECK(changed->record->policy == limits);
    const auto stored = fleet.orchestrator->find_product_named("demo");
    REQUIRE(stored);
    CHECK((*stored)->display_name == "The Demo");
    CHECK((*stored)->revision == changed->record->revision);
    CHECK((*stored)->keys == product->keys);
    const auto rows = fleet.audit(product, audit_action::product_update);
    REQUIRE(rows.size() == 1);
    CHECK(rows.front().actor == "admin");
    CHECK(rows.front().metadata == metadata{{"display_name", std::string("The Demo")}});
}

TEST_CASE("a change of a product that changes nothing leaves no audit row") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    const auto same = fleet.orchestrator->async_update_product("demo", {}, wait);
    REQUIRE(same);
    CHECK(same->record->display_name == "Demo");
    CHECK(same->record->revision == product->revision);
    CHECK(fleet.audit(product, audit_action::product_update).empty());
}

TEST_CASE("a change of a product is refused where its name is none, or the product is not there") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    for (const auto* const name : {"", "a\nb", "\xff"}) {
        const auto refused = fleet.orchestrator->async_update_product("demo", {name}, wait);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == errc::invalid_request);
        CHECK_THAT(refused.error().message, Catch::Matchers::StartsWith("display_name: "));
    }
    for (const auto& changes : {product_changes{"Other"}, product_changes{}})
        CHECK(fleet.orchestrator->async_update_product("other", changes, wait).error().code ==
              errc::product_not_found);
    CHECK((*fleet.orchestrator->find_product_named("demo"))->display_name == "Demo");
    CHECK(fleet.audit(product, audit_action::product_update).empty());
}

TEST_CASE("a policy and a display name that are set at once are both kept") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    for (std::uint64_t round = 1; round <= 50; ++round) {
        policy limits;
        limits.max_engines = round;
        const auto name = "Demo " + std::to_string(round);
        auto set = fleet.orchestrator->async_set_policy("demo", limits, asio::use_future);
        auto renamed = fleet.orchestrator->async_update_product("demo", {name}, asio::use_future);
        REQUIRE(set.get());
        REQUIRE(renamed.get());
        const auto stored = *fleet.orchestrator->find_product_named("demo");
        REQUIRE(stored->policy == limits);
        REQUIRE(stored->display_name == name);
    }
    CHECK(fleet.audit(product, audit_action::product_update).size() == 50);
}
