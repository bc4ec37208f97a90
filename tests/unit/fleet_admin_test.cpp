// What an orchestrator does for administrators: over all products, and in their names.

#include "catch.hpp"
#include "orchestrator_fixture.hpp"

#include <roundhouse/shell/metrics_book.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

using namespace roundhouse_tests;

namespace {

/// Two products with three engines, of which one is stopped.
struct two_products : memory_fleet<> {
    product_ptr acme = registered({}, "acme");
    product_ptr bolt = registered({}, "bolt");

    two_products() {
        REQUIRE(orchestrator->of(bolt).provision("ada"));
        REQUIRE(orchestrator->of(acme).provision("ada"));
        REQUIRE(orchestrator->of(bolt).provision("bob"));
        REQUIRE(orchestrator->of(bolt).stop("bob"));
    }
};

engine_query everywhere() {
    engine_query query;
    query.all_products = true;
    return query;
}

} // namespace

TEST_CASE("the engines of all products are listed with their products") {
    two_products fleet;
    const auto page = fleet.orchestrator->list(everywhere());
    REQUIRE(page);
    CHECK(page->total == 3);
    std::string seen;
    for (const auto& engine : page->engines) {
        seen += engine.product + '/' + engine.record->user_id + ' ';
        CHECK(engine.api_key.empty());
    }
    CHECK(seen == "bolt/ada acme/ada bolt/bob ");
    const auto own = fleet.orchestrator->of(fleet.acme).list(everywhere());
    REQUIRE(own);
    CHECK(own->total == 1);
}

TEST_CASE("status and metrics of all products are sums") {
    two_products fleet;
    const auto status = fleet.orchestrator->status_of_all();
    REQUIRE(status);
    CHECK(status->counts.total() == 3);
    CHECK(status->counts.of(engine_status::running) == 2);
    CHECK(status->counts.of(engine_status::stopped) == 1);
    CHECK(status->health == fleet_health::ok);
    CHECK(status->brakes.empty());
    REQUIRE(fleet.orchestrator->of(fleet.acme).destroy("ada"));
    const auto figures = fleet.orchestrator->metrics_of_all();
    REQUIRE(figures);
    CHECK(figures->provisions_1h == 3);
    CHECK(figures->total_provisions == 3);
    CHECK(figures->total_destroys == 1);
}

TEST_CASE("the mean boot time of all products is that of all boots") {
    detail::metrics_book book;
    const auto boot = [](std::uint8_t product, int ms) {
        audit_entry row;
        row.product_id = uuid{{product}};
        row.timestamp = instant{std::chrono::hours{1}};
        row.from = engine_status::provisioning;
        row.to = engine_status::running;
        row.took = std::chrono::milliseconds{ms};
        return row;
    };
    book.add(boot(1, 100));
    book.add(boot(1, 200));
    book.add(boot(2, 600));
    CHECK(book.read_all(instant{std::chrono::hours{1}}).avg_boot_ms() == 300.0);
}

TEST_CASE("what an administrator asks for bears the administrator's name") {
    two_products fleet;
    const auto jo = fleet.orchestrator->acting_for("bolt", actor_of_admin("jo"));
    REQUIRE(jo);
    const auto last_actor = [&](audit_action action) {
        const auto rows = fleet.audit(fleet.bolt, action);
        return rows.empty() ? std::string("no row") : rows.front().actor;
    };
    REQUIRE(jo->provision("cem"));
    CHECK(last_actor(audit_action::provision) == "admin:jo");
    REQUIRE(jo->stop("cem"));
    CHECK(last_actor(audit_action::stop) == "admin:jo");
    REQUIRE(jo->start("cem"));
    CHECK(last_actor(audit_action::start) == "admin:jo");
    REQUIRE(jo->rotate_key("cem"));
    CHECK(last_actor(audit_action::rotate_key) == "admin:jo");
    REQUIRE(jo->sleep("cem"));
    CHECK(last_actor(audit_action::sleep) == "admin:jo");
    REQUIRE(jo->wake("cem"));
    CHECK(last_actor(audit_action::wake) == "admin:jo");
    settings_change change;
    change.metadata.texts["plan"] = "pro";
    REQUIRE(jo->change_settings("cem", change));
    CHECK(last_actor(audit_action::settings_update) == "admin:jo");
    REQUIRE(fleet.orchestrator->of(fleet.bolt).stop("cem"));
    CHECK(last_actor(audit_action::stop) == "bolt");
    REQUIRE(jo->destroy("cem"));
    CHECK(last_actor(audit_action::destroy) == "admin:jo");
    REQUIRE(fleet.orchestrator->of(fleet.bolt).provision("cem"));
    CHECK(last_actor(audit_action::provision) == "bolt");
    CHECK(fleet.orchestrator->acting_for("none").error().code == errc::product_not_found);
}

TEST_CASE("the policy of a product holds for administrators too") {
    memory_fleet<> fleet;
    policy limits;
    limits.allow_provision = false;
    fleet.registered(limits, "closed");
    const auto admin = fleet.orchestrator->acting_for("closed");
    REQUIRE(admin);
    CHECK(admin->provision("ada").error().code == errc::policy_denied);
}

TEST_CASE("audit rows of all products come with their slugs") {
    two_products fleet;
    audit_query query;
    query.all_products = true;
    query.action = audit_action::provision;
    const auto page = fleet.orchestrator->async_audit(query, wait);
    REQUIRE(page);
    CHECK(page->entries.size() == 3);
    CHECK(page->slugs.size() == 2);
    CHECK(page->slugs.at(fleet.acme->id) == "acme");
    CHECK(std::ranges::is_sorted(page->entries, std::ranges::greater{}, &audit_entry::id));
}
