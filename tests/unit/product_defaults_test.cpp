#include "orchestrator_fixture.hpp"

#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/engine_settings.hpp>

#include <asio/use_future.hpp>

#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using namespace std::chrono_literals;

namespace {

/// A fleet with a product whose defaults change.
struct defaults_fleet : memory_fleet<> {
    explicit defaults_fleet(policy limits = {}, memory_backend_script script = {},
                            const settings& chosen = quick())
        : memory_fleet<>(std::move(script), chosen), product(registered(std::move(limits))) {}

    [[nodiscard]] auto demo() { return orchestrator->of(product); }
    void set(provision_options given) {
        REQUIRE(orchestrator->async_set_defaults("demo", std::move(given), wait));
    }
    [[nodiscard]] engine_view found(const std::string& user) {
        const auto view = demo().find(user);
        REQUIRE(view);
        return *view;
    }
    [[nodiscard]] std::vector<std::string> pending_of(const std::string& user) {
        const auto pending = found(user).pending;
        std::vector<std::string> out;
        if (pending.env) out.emplace_back("env");
        if (pending.limits) out.emplace_back("limits");
        if (pending.stop_grace) out.emplace_back("stop_grace");
        return out;
    }

    product_ptr product;
};

using names = std::vector<std::string>;

} // namespace

TEST_CASE("an engine that is created gets its product's defaults under its own settings") {
    defaults_fleet fleet;
    fleet.set({.version = "v7",
               .env = {{"A", "default"}, {"B", "default"}},
               .metadata = {{"plan", "free"}, {"tier", "1"}},
               .limits = {.memory_mb = 64, .pids = 100},
               .stop_grace = 50ms,
               .sleep = {.after = 5min}});
    const auto bare = fleet.demo().provision("ada");
    REQUIRE(bare);
    CHECK(bare->record->version == "v7");
    CHECK(settings_of(*bare->record).metadata == named_texts{{"plan", "free"}, {"tier", "1"}});
    CHECK(fleet.backend->env_of(bare->record->id) ==
          named_texts{{"A", "default"}, {"B", "default"}});
    CHECK(fleet.backend->limits_of(bare->record->id) ==
          engine_limits{.memory_mb = 64, .pids = 100});
    CHECK(bare->record->reserved_memory_mb == 64);
    CHECK(bare->stop_grace == 50ms);
    CHECK(bare->sleep_after == 5min);
    CHECK(bare->env_names == names{"A", "B"});
    CHECK(core::stop_grace_of(*bare->record, fleet.settings_used,
                              (*fleet.orchestrator->find_product_named("demo"))->defaults.get()) ==
          50ms);

    const auto own = fleet.demo().provision("bob", provision_options{.version = "v8",
                                                                     .env = {{"B", "own"}},
                                                                     .metadata = {{"plan", "pro"}},
                                                                     .limits = {.memory_mb = 32},
                                                                     .stop_grace = 60ms});
    REQUIRE(own);
    CHECK(own->record->version == "v8");
    CHECK(settings_of(*own->record).metadata == named_texts{{"plan", "pro"}, {"tier", "1"}});
    CHECK(fleet.backend->env_of(own->record->id) == named_texts{{"A", "default"}, {"B", "own"}});
    CHECK(own->limits == engine_limits{.memory_mb = 32, .pids = 100});
    CHECK(own->record->reserved_memory_mb == 32);
    CHECK(own->stop_grace == 60ms);
    CHECK(fleet.pending_of("ada").empty());
    CHECK(fleet.pending_of("bob").empty());
}

TEST_CASE("changed defaults hold at each engine's next boot, and are pending until then") {
    defaults_fleet fleet;
    const auto made = fleet.demo().provision("ada");
    REQUIRE(made);
    REQUIRE(fleet.demo().provision(
        "bob", provision_options{.env = {{"A", "own"}}, .limits = {.memory_mb = 16}}));
    fleet.set({.env = {{"A", "new"}}, .limits = {.memory_mb = 64}, .stop_grace = 50ms});
    CHECK(fleet.pending_of("ada") == names{"env", "limits", "stop_grace"});
    CHECK(fleet.pending_of("bob") == names{"stop_grace"});
    CHECK(fleet.found("ada").limits == engine_limits{.memory_mb = 64});
    CHECK(fleet.backend->env_of(made->record->id).empty());
    REQUIRE(fleet.demo().change_settings("ada", {}, {.restart = true}));
    CHECK(fleet.pending_of("ada").empty());
    CHECK(fleet.backend->env_of(made->record->id) == named_texts{{"A", "new"}});
    CHECK(fleet.backend->limits_of(made->record->id) == engine_limits{.memory_mb = 64});
    CHECK(fleet.found("ada").record->defaults_revision == 1);

    fleet.set({.metadata = {{"plan", "pro"}}}); // which replaces all
    CHECK(fleet.pending_of("ada") == names{"env", "limits", "stop_grace"});
    CHECK(fleet.found("ada").env_names.empty());
    CHECK(settings_of(*fleet.found("ada").record).metadata.empty());
    REQUIRE(fleet.backend->crash(made->record->id));
    REQUIRE(defaults_fleet::eventually([&] {
        const auto seen = fleet.demo().find("ada");
        return seen && seen->record->status == engine_status::running &&
               seen->record->generation > 2;
    }));
    CHECK(fleet.pending_of("ada").empty());
    CHECK(fleet.backend->env_of(made->record->id).empty());
}

TEST_CASE("defaults that were changed back are not pending, also variables, which are sealed") {
    defaults_fleet fleet;
    const provision_options first{
        .env = {{"A", "first"}}, .limits = {.memory_mb = 64}, .stop_grace = 50ms};
    fleet.set(first);
    REQUIRE(fleet.demo().provision("ada"));
    fleet.set({.env = {{"A", "second"}}, .limits = {.memory_mb = 32}, .stop_grace = 60ms});
    CHECK(fleet.pending_of("ada") == names{"env", "limits", "stop_grace"});
    fleet.set({.env = {{"A", "first"}}, .limits = {.memory_mb = 32}, .stop_grace = 60ms});
    CHECK(fleet.pending_of("ada") == names{"limits", "stop_grace"});
    fleet.set(first);
    CHECK(fleet.pending_of("ada").empty());
    fleet.set({});
    CHECK(fleet.pending_of("ada") == names{"env", "limits", "stop_grace"});
    fleet.set(first); // the fifth change: what the workload was made with is not known any more
    CHECK(fleet.pending_of("ada") == names{"env", "limits", "stop_grace"});
}

TEST_CASE("a page of a listing ends where its engines' metadata would be more than it may have") {
    defaults_fleet fleet;
    named_texts large;
    for (char name = 'a'; name <= 'h'; ++name)
        large.emplace(std::string(1, name), std::string(1'000, 'x'));
    constexpr std::size_t engines = 140; // of 8 KB each
    for (std::size_t n = 0; n < engines; ++n)
        REQUIRE(fleet.demo().provision("user-" + std::to_string(n),
                                       provision_options{.metadata = large}));
    std::vector<std::string> seen;
    engine_query query;
    query.product_id = fleet.product->id;
    query.limit = 1'000;
    std::size_t pages = 0;
    do {
        std::promise<result<engine_view_page>> answer;
        fleet.orchestrator->calls()->list(
            query, [&](result<engine_view_page> page) { answer.set_value(std::move(page)); });
        const auto listed = answer.get_future().get();
        REQUIRE(listed);
        CHECK(listed->total == engines);
        CHECK(listed->engines.size() * 8'008 <= max_listed_bytes);
        for (const auto& engine : listed->engines) seen.push_back(engine.record->user_id);
        query.after = listed->next;
        ++pages;
    } while (query.after && pages < engines);
    CHECK(pages == 2);
    REQUIRE(seen.size() == engines);
    for (std::size_t n = 0; n < engines; ++n) CHECK(seen[n] == "user-" + std::to_string(n));
}

TEST_CASE("defaults of sleep hold at once, also after a restart of the server") {
    auto chosen = memory_fleet<>::quick();
    chosen.sleep_after = 30min;
    defaults_fleet fleet({}, {}, chosen);
    REQUIRE(fleet.demo().provision("ada"));
    CHECK(fleet.found("ada").sleeps_at);
    fleet.set({.sleep = {.pinned = true}});
    CHECK_FALSE(fleet.found("ada").sleeps_at);
    CHECK(fleet.found("ada").pinned);
    fleet.reopen();
    CHECK_FALSE(fleet.found("ada").sleeps_at);
    fleet.set({.sleep = {.after = 0ms}});
    CHECK_FALSE(fleet.found("ada").sleeps_at);
    CHECK_FALSE(fleet.found("ada").pinned);
    settings_change own;
    own.sleep_after.value = 5min;
    REQUIRE(fleet.demo().change_settings("ada", own));
    CHECK(fleet.found("ada").sleeps_at);
    CHECK(fleet.found("ada").sleep_after == 5min);
}

TEST_CASE("a default ceiling above the policy's is cut, and one that cannot be held refuses") {
    policy limits;
    limits.max_memory_mb = 32;
    limits.allow_env = false;
    limits.allowed_versions = std::vector<std::string>{"v1"};
    memory_backend_script script;
    script.limits = {.memory_mb = true};
    defaults_fleet fleet(limits, script);
    fleet.set({.version = "v9", .env = {{"A", "default"}}, .limits = {.memory_mb = 64}});
    const auto made = fleet.demo().provision("ada");
    REQUIRE(made);
    CHECK(made->limits == engine_limits{.memory_mb = 32});
    CHECK(made->record->reserved_memory_mb == 32);
    CHECK(made->record->version == "v9");
    CHECK(fleet.backend->env_of(made->record->id) == named_texts{{"A", "default"}});
    fleet.set({.limits = {.cpus = 0.5}});
    const auto refused = fleet.demo().provision("bob");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::policy_denied);
    CHECK_THAT(refused.error().message, Contains("defaults.limits.cpus: cannot be held"));
    REQUIRE(fleet.demo().stop("ada"));
    CHECK(fleet.demo().start("ada").error().code == errc::backend_error);
}

TEST_CASE("metadata that are too many together with the defaults' make no engine") {
    defaults_fleet fleet;
    provision_options given;
    for (int n = 0; n < 20; ++n) given.metadata["default" + std::to_string(n)] = "x";
    fleet.set(given);
    provision_options own;
    for (int n = 0; n < 20; ++n) own.metadata["own" + std::to_string(n)] = "x";
    const auto refused = fleet.demo().provision("ada", own);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::invalid_request);
    CHECK_THAT(refused.error().message, Contains("metadata, with that of the product's defaults"));
    CHECK(fleet.demo().find("ada").error().code == errc::engine_not_found);
}

TEST_CASE("defaults are stored with an audit row that names what changed, and no values") {
    defaults_fleet fleet;
    const std::string secret = "a-secret-of-the-operator";
    fleet.set({.version = "v1", .env = {{"TOKEN", secret}}, .limits = {.pids = 9}});
    fleet.set({.version = "v1", .env = {{"TOKEN", secret}}, .limits = {.pids = 10}});
    const auto rows = fleet.audit(fleet.product, audit_action::defaults_update);
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].metadata == metadata{{"changed", "limits"}});
    CHECK(rows[1].metadata == metadata{{"changed", "engine_version, limits, env"}});
    CHECK(rows[1].actor == "admin");
    const auto seen = fleet.orchestrator->async_describe_product("demo", wait);
    REQUIRE(seen);
    const auto& defaults = seen->record->defaults;
    REQUIRE(defaults);
    CHECK(defaults->settings.revision == 2);
    CHECK(defaults->env_changed == 1);
    CHECK(defaults->limits_changed == 2);
    CHECK(defaults->settings.env_names == names{"TOKEN"});
    CHECK_THAT(defaults->settings.sealed_env, !Contains(secret));
    const auto refused = fleet.orchestrator->async_set_defaults(
        "demo", provision_options{.env = {{"PATH", "x"}}}, wait);
    CHECK(refused.error().code == errc::invalid_request);
    CHECK_THAT(refused.error().message, Contains("defaults.env.PATH: "));
    CHECK(fleet.orchestrator->async_set_defaults("none", {}, wait).error().code ==
          errc::product_not_found);
}

TEST_CASE("the explanation of an engine tells where its settings come from") {
    defaults_fleet fleet;
    fleet.set({.env = {{"A", "x"}, {"B", "x"}}, .limits = {.pids = 9}});
    REQUIRE(fleet.demo().provision("ada", provision_options{.env = {{"B", "own"}}}));
    const auto told = fleet.demo().explain("ada");
    REQUIRE(told);
    CHECK(told->settings.pids == setting_source::product);
    CHECK(told->settings.memory_mb == setting_source::none);
    CHECK(told->settings.stop_grace == setting_source::server);
    CHECK(told->settings.env.at("A") == setting_source::product);
    CHECK(told->settings.env.at("B") == setting_source::engine);
}
