// Products are deleted, alone or with their engines.

#include "catch.hpp"
#include "orchestrator_fixture.hpp"

#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/shell/ended_products.hpp>
#include <roundhouse/testing/faulty_store.hpp>

#include <asio/use_future.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using namespace std::chrono_literals;

namespace {

/// A fleet whose backend destroys nothing while `stuck` is set, with one product.
struct deleting_fleet {
    explicit deleting_fleet(duration boot_delay = {})
        : fleet(script(boot_delay), chosen()),
          key(fleet.orchestrator->async_register_product("demo", "Demo", {}, wait)->platform_key),
          product(*fleet.orchestrator->authenticate(key)) {}

    memory_backend_script script(duration boot_delay) {
        memory_backend_script out;
        out.boot_delay = boot_delay;
        out.fail = [this](backend_operation operation,
                          const workload_ref&) -> std::optional<error> {
            if (operation == backend_operation::create) ++creations;
            if (operation != backend_operation::destroy || !stuck) return std::nullopt;
            return error{errc::backend_error, "The backend does not destroy."};
        };
        return out;
    }

    static settings chosen() {
        auto out = memory_fleet<>::quick();
        out.retry_base = 10ms;
        out.retry_max = 50ms;
        return out;
    }

    [[nodiscard]] product_handle demo() { return fleet.orchestrator->of(product); }

    result<product_deletion> remove(bool cascade) {
        return fleet.orchestrator->async_delete_product("demo", cascade, wait);
    }

    [[nodiscard]] bool is_gone() const {
        const auto found = fleet.orchestrator->find_product_named("demo");
        return found && !*found;
    }
    [[nodiscard]] bool goes() {
        return memory_fleet<>::eventually([&] { return is_gone(); });
    }

    /// The audit rows of the product, newest first, also if it is gone.
    [[nodiscard]] std::vector<audit_entry> rows(std::optional<audit_action> action = {}) {
        audit_query query;
        query.product_id = product->id;
        query.action = action;
        query.limit = 1'000;
        const auto page = fleet.orchestrator->async_audit(query, wait);
        REQUIRE(page);
        return page->entries;
    }

    /// The same, oldest first, as `actor action`.
    [[nodiscard]] std::vector<std::string> told() {
        std::vector<std::string> out;
        for (const auto& row : rows())
            out.push_back(row.actor + ' ' + std::string(name_of(row.action)));
        std::ranges::reverse(out);
        return out;
    }

    std::atomic<bool> stuck = false;
    std::atomic<int> creations = 0;
    memory_fleet<> fleet;
    std::string key;
    product_ptr product;
};

template <class T> errc code_of(const result<T>& outcome) {
    REQUIRE_FALSE(outcome);
    return outcome.error().code;
}

} // namespace

TEST_CASE("a product without engines is deleted at once, and its slug is free") {
    deleting_fleet own;
    REQUIRE(own.demo().provision("ada"));
    REQUIRE(own.demo().destroy("ada"));
    const auto deleted = own.remove(false);
    REQUIRE(deleted);
    CHECK(deleted->done);
    CHECK(deleted->product_id == own.product->id);
    CHECK(own.is_gone());
    CHECK(code_of(own.fleet.orchestrator->authenticate(own.key)) == errc::invalid_platform_key);
    CHECK(code_of(own.remove(false)) == errc::product_not_found);
    CHECK(own.fleet.store->counts(own.product->id)->total_destroys == 0);
    const auto next = own.fleet.registered();
    CHECK(next->id != own.product->id);
    CHECK(own.fleet.orchestrator->of(next).provision("ada"));
    CHECK(own.fleet.audit(next, audit_action::provision).size() == 1);
}

TEST_CASE("the audit rows of a deleted product stay, and tell its end") {
    deleting_fleet own;
    REQUIRE(own.demo().provision("ada"));
    REQUIRE(own.remove(true));
    REQUIRE(own.goes());
    const auto told = own.told();
    REQUIRE(told.size() >= 4);
    CHECK(told.front() == "admin policy_register");
    CHECK(std::ranges::count(told, "admin product_delete") == 1);
    CHECK(std::ranges::count(told, "demo destroy") == 1);
    CHECK(told.back() == "system product_deleted");
    const auto decided = own.rows(audit_action::product_delete);
    CHECK(decided.at(0).metadata == metadata{{"engines", std::int64_t{1}}});
    CHECK(own.rows(audit_action::product_deleted).at(0).took);
}

TEST_CASE("a product with engines is not deleted without them, and nothing is changed") {
    deleting_fleet own;
    REQUIRE(own.demo().provision("ada"));
    REQUIRE(own.demo().provision("bob"));
    const auto before = own.told();
    const auto refused = own.remove(false);
    CHECK(code_of(refused) == errc::product_not_empty);
    CHECK_THAT(refused.error().message, Contains("'demo' has 2 engines"));
    REQUIRE(refused.error().details);
    CHECK(refused.error().details->engines == 2U);
    CHECK(own.told() == before);
    CHECK((*own.fleet.orchestrator->find_product_named("demo"))->revision == own.product->revision);
    CHECK(own.fleet.orchestrator->authenticate(own.key));
    CHECK(own.demo().admit("ada")->engine);
}

TEST_CASE("a cascade destroys all engines, in whatever state, and then the product goes") {
    deleting_fleet own;
    for (int n = 0; n < 40; ++n) REQUIRE(own.demo().provision("user" + std::to_string(n)));
    REQUIRE(own.demo().stop("user1"));
    REQUIRE(own.demo().sleep("user2", sleep_mode::paused));
    const auto deleted = own.remove(true);
    REQUIRE(deleted);
    CHECK_FALSE(deleted->done);
    CHECK(deleted->engines == 40);
    CHECK(code_of(own.fleet.orchestrator->authenticate(own.key)) == errc::invalid_platform_key);
    REQUIRE(own.goes());
    CHECK(own.rows(audit_action::destroy).size() == 40);
    engine_query engines;
    engines.product_id = own.product->id;
    CHECK(own.fleet.store->list_engines(engines)->total == 0);
    CHECK(own.fleet.store->counts(own.product->id)->total_provisions == 0);
    const auto figures = own.fleet.orchestrator->metrics(own.product);
    REQUIRE(figures);
    CHECK(figures->provisions_1h == 0);
    CHECK(own.fleet.registered()->id != own.product->id);
}

TEST_CASE("a product that is being deleted takes nothing but its end") {
    deleting_fleet own;
    REQUIRE(own.demo().provision("ada"));
    own.stuck = true;
    REQUIRE(own.remove(true));
    auto& fleet = *own.fleet.orchestrator;
    const auto seen = fleet.describe_product("demo");
    REQUIRE(seen);
    CHECK(seen->record->deleting_since);
    CHECK(seen->keys.empty());
    CHECK(fleet.list_products({})->total == 1);
    const auto going = errc::product_deleting;
    CHECK(code_of(fleet.async_set_policy("demo", {}, wait)) == going);
    CHECK(code_of(fleet.async_set_defaults("demo", {}, wait)) == going);
    CHECK(code_of(fleet.async_update_product("demo", {"Other"}, wait)) == going);
    CHECK(code_of(fleet.async_rotate_platform_key("demo", 0s, wait)) == going);
    CHECK(code_of(fleet.async_delete_platform_key("demo", 1, wait)) == going);
    CHECK(code_of(fleet.async_register_product("demo", "Demo", {}, wait)) ==
          errc::product_slug_exists);
    CHECK(code_of(own.demo().provision("bob")) == going);
    CHECK(code_of(own.demo().provision_once("bob", {}, "key")) == going);
    CHECK(code_of(own.demo().admit("ada")) == going);
    CHECK(code_of(*own.demo().try_admit("ada")) == going);
    CHECK(code_of(own.demo().start("ada")) == going);
    CHECK(code_of(own.demo().change_settings("ada", settings_change{})) == going);
    CHECK(code_of(own.demo().change_settings("bob", settings_change{})) == going);
    CHECK(own.demo().find("ada")); // reads are answered
    CHECK(code_of(own.demo().destroy("ada")) == errc::backend_error);
    for (const bool cascade : {true, false}) {
        const auto again = own.remove(cascade);
        REQUIRE(again);
        CHECK_FALSE(again->done);
        CHECK(again->engines == 1);
    }
    CHECK(own.rows(audit_action::product_delete).size() == 1);
    own.stuck = false;
    CHECK(own.goes());
    CHECK(code_of(own.demo().provision("bob")) == errc::product_not_found);
    CHECK(code_of(*own.demo().try_admit("ada")) == errc::product_not_found);
    CHECK(code_of(own.demo().destroy("ada")) == errc::product_not_found);
    CHECK(code_of(fleet.async_provision(own.product, "bob", provision_options{}, wait)) ==
          errc::product_not_found);
    CHECK(code_of(*fleet.try_admit(own.product, "ada", {})) == errc::product_not_found);
    CHECK(own.rows().back().action == audit_action::policy_register);
}

TEST_CASE("callers who wait for an engine learn that it goes with its product") {
    deleting_fleet own(1h);
    auto booting = own.demo().provision("ada", provision_options{}, asio::use_future);
    REQUIRE(own.fleet.becomes(own.product, "ada", engine_status::provisioning));
    auto admitted = own.demo().admit("ada", {}, asio::use_future);
    REQUIRE(own.remove(true));
    CHECK(code_of(booting.get()) == errc::engine_not_found);
    const auto denied = admitted.get();
    if (denied) CHECK(denied->reason == denial::engine_not_found);
    else CHECK(denied.error().code == errc::product_deleting);
    CHECK(own.goes());
}

TEST_CASE("idempotency records and what is known of platform keys go with a product") {
    deleting_fleet own;
    REQUIRE(own.demo().provision_once("ada", {}, "key"));
    const idempotency_id id{own.product->id, crypto::sha256("key")};
    REQUIRE(*own.fleet.store->find_idempotency(id));
    REQUIRE(own.remove(true));
    REQUIRE(own.goes());
    CHECK_FALSE(*own.fleet.store->find_idempotency(id));
}

TEST_CASE("a deletion goes on after a restart, which boots none of the product's engines") {
    deleting_fleet own;
    for (const auto* const user : {"ada", "bob", "cid"}) REQUIRE(own.demo().provision(user));
    REQUIRE(own.demo().stop("cid"));
    own.stuck = true;
    REQUIRE(own.remove(true));
    REQUIRE(own.fleet.becomes(own.product, "ada", engine_status::destroying));
    own.fleet.close();
    const auto made = own.creations.load();
    own.stuck = false;
    own.fleet.open();
    CHECK(own.goes());
    CHECK(own.creations == made);
    CHECK(own.rows(audit_action::destroy).size() == 3);
    CHECK(own.rows(audit_action::product_deleted).size() == 1);
    CHECK(own.fleet.registered()->id != own.product->id);
}

TEST_CASE("a deletion that the store has made and reported as failed goes on") {
    using store_type = testing::faulty_store<memory_store>;
    using orchestrator_type =
        roundhouse::orchestrator<memory_backend, store_type, roundhouse::system_clock>;
    const bool with_engine = GENERATE(true, false);
    std::atomic<bool> denies = false;
    testing::store_script script;
    script.fault = [&](const change_set& set) {
        const bool about_product = std::ranges::any_of(set.changes, is_about_product);
        return about_product && denies.exchange(false) ? testing::store_fault::denied
                                                       : testing::store_fault::none;
    };
    asio::thread_pool threads{2};
    orchestrator_options options(memory_fleet<>::keys());
    options.settings = deleting_fleet::chosen();
    auto fleet = std::make_shared<orchestrator_type>(
        threads.get_executor(), std::make_shared<memory_backend>(),
        std::make_shared<store_type>(std::make_shared<memory_store>(), script),
        std::make_shared<roundhouse::system_clock>(), options);
    REQUIRE(fleet->async_recover(wait));
    const auto made = fleet->async_register_product("demo", "Demo", {}, wait);
    REQUIRE(made);
    const auto demo = fleet->of(*fleet->authenticate(made->platform_key));
    if (with_engine) REQUIRE(demo.provision("ada"));
    denies = true;
    CHECK(code_of(fleet->async_delete_product("demo", true, wait)) == errc::store_unavailable);
    CHECK(memory_fleet<>::eventually([&] { return !*fleet->find_product_named("demo"); }));
    CHECK(memory_fleet<>::eventually(
        [&] { return code_of(demo.provision("bob")) == errc::product_not_found; }));
    fleet.reset();
    threads.join();
}

TEST_CASE("a product that has ended is known to go, and then to be gone") {
    detail::ended_products ended;
    product demo;
    demo.slug = "demo";
    demo.id.bytes[0] = 1;
    CHECK_FALSE(ended.refusal(demo));
    CHECK(ended.begin(demo.id));
    CHECK_FALSE(ended.begin(demo.id));
    CHECK(ended.refusal(demo)->code == errc::product_deleting);
    ended.end(demo.id);
    CHECK(ended.refusal(demo)->code == errc::product_not_found);
    CHECK_FALSE(ended.begin(demo.id));
    product other;
    CHECK_FALSE(ended.refusal(other));
}
