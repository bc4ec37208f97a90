#include "log_lines.hpp"
#include "orchestrator_fixture.hpp"

#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/testing/record_text.hpp>

#include <asio/use_future.hpp>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using namespace std::chrono_literals;

namespace {

const std::string secret = "a-secret-of-the-product";

provision_options full_options() {
    return {.env = {{"TOKEN", secret}, {"SHORT", "x"}},
            .metadata = {{"plan", "pro"}, {"tier", "1"}},
            .limits = {.memory_mb = 64, .pids = 100},
            .stop_grace = 1'500ms};
}

/// A fleet with one engine, whose settings are changed.
struct changed_fleet {
    explicit changed_fleet(const provision_options& options = full_options(),
                           const settings& chosen = memory_fleet<>::quick())
        : fleet({}, chosen) {
        const auto made = demo.provision("ada", options);
        REQUIRE(made);
        id = made->record->id;
    }

    [[nodiscard]] result<engine_view> change(const settings_change& wanted,
                                             const change_options& options = {}) const {
        return demo.change_settings("ada", wanted, options);
    }
    [[nodiscard]] std::size_t rows(audit_action action) {
        const auto all = fleet.audit(product);
        return static_cast<std::size_t>(std::ranges::count(all, action, &audit_entry::action));
    }

    memory_fleet<> fleet;
    product_ptr product = fleet.registered();
    product_handle demo = fleet.orchestrator->of(product);
    uuid id;
};

settings_change new_plan(const std::string& plan) {
    settings_change out;
    out.metadata.texts["plan"] = plan;
    return out;
}

} // namespace

TEST_CASE("metadata and sleep are changed at once, and what is not mentioned stays") {
    changed_fleet fleet;
    auto wanted = new_plan("free");
    wanted.metadata.texts["tier"] = std::nullopt;
    wanted.sleep_after.value = 5min;
    const auto after = fleet.change(wanted);
    REQUIRE(after);
    const auto& settings = settings_of(*after->record);
    CHECK(settings.metadata == named_texts{{"plan", "free"}});
    CHECK(settings.sleep == sleep_settings{.after = 5min});
    CHECK(settings.limits == full_options().limits);
    CHECK(settings.stop_grace == full_options().stop_grace);
    CHECK(settings.env_names == std::vector<std::string>{"SHORT", "TOKEN"});
    CHECK(settings.revision == 2);
    CHECK(settings.pending == pending_settings{});
    CHECK(after->sleep_after == 5min);
    CHECK(after->record->generation == 1);
    CHECK(after->api_key == fleet.demo.find("ada")->api_key);
    CHECK(fleet.rows(audit_action::settings_update) == 1);
}

TEST_CASE("variables, ceilings and grace are pending until the next boot") {
    changed_fleet fleet;
    settings_change wanted;
    wanted.env.texts = {{"TOKEN", "new"}, {"SHORT", std::nullopt}, {"MORE", "y"}};
    wanted.pids.remove = true;
    wanted.memory_mb.value = 32;
    wanted.stop_grace.value = 2s;
    const auto after = fleet.change(wanted);
    REQUIRE(after);
    const auto& pending = settings_of(*after->record).pending;
    CHECK((pending.env && pending.limits && pending.stop_grace));
    CHECK(after->stop_grace == 2s);
    CHECK(after->limits == engine_limits{.memory_mb = 32});
    CHECK(core::stop_grace_of(*after->record, {}) == 1'500ms); // the workload's, as it was made
    CHECK(fleet.fleet.backend->env_of(fleet.id) == full_options().env);
    SECTION("by a stop and a start") {
        REQUIRE(fleet.demo.stop("ada"));
        REQUIRE(fleet.demo.start("ada"));
    }
    SECTION("by a restart that another change asks for") {
        REQUIRE(fleet.change(new_plan("free"), {.restart = true}));
    }
    SECTION("by a restart that changes nothing") {
        REQUIRE(fleet.change({}, {.restart = true}));
        CHECK(fleet.rows(audit_action::settings_update) == 1);
    }
    SECTION("after a crash") {
        REQUIRE(fleet.fleet.backend->crash(fleet.id));
        REQUIRE(memory_fleet<>::eventually([&] {
            const auto found = fleet.demo.find("ada");
            return found && found->record->status == engine_status::running &&
                   found->record->generation > 1;
        }));
    }
    const auto found = fleet.demo.find("ada");
    REQUIRE(found);
    CHECK(found->record->status == engine_status::running);
    CHECK(found->record->generation == 2);
    CHECK(settings_of(*found->record).pending == pending_settings{});
    CHECK(fleet.fleet.backend->env_of(fleet.id) == named_texts{{"TOKEN", "new"}, {"MORE", "y"}});
    CHECK(fleet.fleet.backend->limits_of(fleet.id) == engine_limits{.memory_mb = 32});
    CHECK(core::stop_grace_of(*found->record, {}) == 2s);
}

TEST_CASE("a change of what is pending already keeps what the workload has") {
    changed_fleet fleet;
    settings_change wanted;
    wanted.stop_grace.value = 2s;
    wanted.env.texts["TOKEN"] = "second";
    REQUIRE(fleet.change(wanted));
    wanted.stop_grace.value = 3s;
    wanted.env.texts["TOKEN"] = "third";
    const auto after = fleet.change(wanted);
    REQUIRE(after);
    CHECK(settings_of(*after->record).stop_grace == 3s);
    CHECK(core::stop_grace_of(*after->record, {}) == 1'500ms);
    CHECK(settings_of(*after->record).revision == 3);
}

TEST_CASE("a restart is for running engines only, and makes no change of others") {
    changed_fleet fleet;
    REQUIRE(fleet.demo.stop("ada"));
    const auto refused = fleet.change(new_plan("free"), {.restart = true});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::engine_not_running);
    CHECK(settings_of(*fleet.demo.find("ada")->record).metadata == full_options().metadata);
    CHECK(fleet.change(new_plan("free"))->record->status == engine_status::stopped);
    CHECK(fleet.demo.change_settings("bob", new_plan("free")).error().code ==
          errc::engine_not_found);
}

TEST_CASE("a change of settings that have been changed since they were read is refused") {
    changed_fleet fleet;
    CHECK(fleet.change(new_plan("free"), {.if_revision = 1}));
    const auto refused = fleet.change(new_plan("pro"), {.if_revision = 1});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::precondition_failed);
    CHECK_THAT(refused.error().message, Contains("(2)"));
    CHECK(fleet.change(new_plan("pro"), {.if_revision = 2}));
}

TEST_CASE("a change that changes nothing leaves revision, audit log and pending settings") {
    changed_fleet fleet;
    settings_change wanted = new_plan("pro");
    wanted.env.texts["TOKEN"] = secret;
    wanted.memory_mb.value = 64;
    const auto after = fleet.change(wanted, {.if_revision = 1});
    REQUIRE(after);
    CHECK(settings_of(*after->record).revision == 1);
    CHECK(fleet.rows(audit_action::settings_update) == 0);
}

TEST_CASE("changes of one engine that are made at once are all made") {
    changed_fleet fleet;
    constexpr int count = 30; // as many members as an engine may have
    std::vector<std::future<result<engine_view>>> changes;
    for (int n = 0; n < count; ++n) {
        settings_change wanted;
        wanted.metadata.texts["member " + std::to_string(n)] = "made";
        changes.push_back(
            fleet.demo.change_settings("ada", wanted, change_options{}, asio::use_future));
    }
    for (auto& one : changes) {
        const auto outcome = one.get();
        INFO((outcome ? std::string() : outcome.error().message));
        CHECK(outcome);
    }
    const auto& settings = settings_of(*fleet.demo.find("ada")->record);
    CHECK(settings.revision == 1 + count);
    CHECK(settings.metadata.size() == full_options().metadata.size() + count);
}

TEST_CASE("a ceiling that has come to be above the policy's is kept by a change of another") {
    changed_fleet fleet;
    policy lowered;
    lowered.max_memory_mb = 40;
    lowered.max_total_memory_mb = 100;
    REQUIRE(fleet.fleet.orchestrator->async_set_policy("demo", lowered, wait));
    settings_change wanted;
    wanted.pids.value = 50;
    const auto after = fleet.change(wanted);
    REQUIRE(after);
    CHECK(settings_of(*after->record).limits == engine_limits{.memory_mb = 64, .pids = 50});
    CHECK(after->limits == engine_limits{.memory_mb = 40, .pids = 50});
    CHECK(after->record->reserved_memory_mb == 40);
    wanted.memory_mb.value = 50;
    CHECK(fleet.change(wanted).error().code == errc::policy_denied);
}

TEST_CASE("settings that no engine may have are refused, and change nothing") {
    changed_fleet fleet;
    settings_change wanted;
    wanted.env.texts["PATH"] = secret;
    const auto refused = fleet.change(wanted);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::invalid_request);
    CHECK_THAT(refused.error().message, Contains("env.PATH: ") && !Contains(secret));
    wanted = {};
    wanted.sleep_after.value = duration{-1};
    CHECK(fleet.change(wanted).error().code == errc::invalid_request);
    CHECK(settings_of(*fleet.demo.find("ada")->record).revision == 1);
}

TEST_CASE("a pinned engine is never put to sleep, whatever its time without a use") {
    auto chosen = memory_fleet<>::quick();
    chosen.sleep_after = 50ms;
    changed_fleet fleet({.sleep = {.pinned = true}}, chosen);
    CHECK_FALSE(fleet.demo.find("ada")->sleeps_at);
    REQUIRE(fleet.demo.provision("bob"));
    const auto sleeps = [&](const std::string& user) {
        return fleet.demo.find(user)->record->status == engine_status::sleeping;
    };
    REQUIRE(memory_fleet<>::eventually([&] { return sleeps("bob"); }));
    CHECK_FALSE(sleeps("ada"));
    settings_change wanted;
    wanted.pinned.remove = true;
    REQUIRE(fleet.change(wanted));
    CHECK(memory_fleet<>::eventually([&] { return sleeps("ada"); }));
}

TEST_CASE("an engine has its own time until it is put to sleep") {
    auto chosen = memory_fleet<>::quick();
    chosen.sleep_after = duration{0};
    changed_fleet fleet({.sleep = {.after = 1h}}, chosen);
    CHECK(fleet.demo.find("ada")->sleeps_at);
    settings_change wanted;
    wanted.sleep_after.value = 20ms;
    REQUIRE(fleet.change(wanted));
    CHECK(memory_fleet<>::eventually(
        [&] { return fleet.demo.find("ada")->record->status == engine_status::sleeping; }));
}

TEST_CASE("values of changed variables are neither in the record nor in the audit log") {
    changed_fleet fleet;
    settings_change wanted;
    wanted.env.texts["OTHER"] = "another-secret";
    const auto after = fleet.change(wanted);
    REQUIRE(after);
    CHECK_THAT(testing::text_of(*after->record),
               Contains("OTHER") && !Contains(secret) && !Contains("another-secret"));
    CHECK_THAT(testing::text_of(fleet.fleet.audit(fleet.product)),
               Contains("changed") && !Contains("another-secret"));
}

TEST_CASE("variables that cannot be read can be removed, and not changed") {
    const auto store = std::make_shared<memory_store>();
    memory_fleet<> fleet({}, memory_fleet<>::quick(), store);
    const auto demo = fleet.orchestrator->of(fleet.registered());
    const auto made = demo.provision("ada", full_options());
    REQUIRE(made);
    make_env_unreadable(*store, made->record->id);
    settings_change wanted;
    wanted.env.texts["TOKEN"] = "new";
    const auto refused = demo.change_settings("ada", wanted);
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().message, Contains("none of the master keys fits"));
    wanted = {};
    wanted.env.remove_all = true;
    const auto after = demo.change_settings("ada", wanted);
    REQUIRE(after);
    CHECK(settings_of(*after->record).env_names.empty());
    CHECK(settings_of(*after->record).sealed_env.empty());
}

TEST_CASE("an admit that creates an engine gives it what a provision would") {
    memory_fleet<> fleet;
    const auto demo = fleet.orchestrator->of(fleet.registered());
    auto options = full_options();
    options.version = "v2";
    const admit_options creating{.auto_provision = true,
                                 .provision = std::make_shared<const provision_options>(options)};
    const auto admitted = demo.admit("ada", creating);
    REQUIRE(admitted);
    REQUIRE(admitted->engine);
    const auto found = demo.find("ada");
    REQUIRE(found);
    CHECK(found->record->version == "v2");
    CHECK(settings_of(*found->record).metadata == options.metadata);
    CHECK(fleet.backend->env_of(found->record->id) == options.env);
}

TEST_CASE("what an admit would create is not looked at where there is an engine") {
    memory_backend_script script;
    script.limits = {.pids = true};
    memory_fleet<> fleet(std::move(script));
    const auto demo = fleet.orchestrator->of(fleet.registered());
    provision_options unheld;
    unheld.limits.memory_mb = 64;
    const admit_options creating{.auto_provision = true,
                                 .provision = std::make_shared<const provision_options>(unheld)};
    const auto refused = demo.admit("ada", creating);
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().message, Contains("limits.memory_mb: cannot be held"));
    REQUIRE(demo.provision("ada"));
    REQUIRE(demo.stop("ada"));
    CHECK(demo.admit("ada", creating)->reason == denial::engine_sleeping);
}
