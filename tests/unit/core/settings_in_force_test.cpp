#include "catch.hpp"

#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/settings_in_force.hpp>
#include <roundhouse/core/settings_sources.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse;
using namespace std::chrono_literals;

namespace {

engine_record with(engine_settings own, std::uint64_t defaults_revision = 0) {
    engine_record out;
    out.settings = std::make_shared<const engine_settings>(std::move(own));
    out.defaults_revision = defaults_revision;
    return out;
}

product_defaults replaced(const product_defaults& before, engine_settings settings) {
    const auto revision = before == product_defaults{} ? 1 : before.settings.revision + 1;
    return core::replaced_defaults(before, revision, std::nullopt, std::move(settings));
}

std::string flags(const pending_settings& pending) {
    return std::string(pending.env ? "env " : "") + (pending.limits ? "limits " : "") +
           (pending.stop_grace ? "stop_grace " : "");
}

} // namespace

TEST_CASE("an engine's own settings go before its product's defaults, each kind by itself") {
    product_defaults defaults;
    defaults.settings.env_names = {"A", "C"};
    defaults.settings.limits = {.memory_mb = 64, .cpus = 0.5};
    defaults.settings.sleep = {.after = 1min, .pinned = true};
    defaults.settings.stop_grace = 7s;
    engine_settings own;
    own.env_names = {"B", "C"};
    own.limits = {.memory_mb = 32, .pids = 9};
    own.sleep = {.pinned = false};
    const auto merged = core::merged(own, &defaults);
    CHECK(merged.limits == engine_limits{.memory_mb = 32, .cpus = 0.5, .pids = 9});
    CHECK(merged.sleep == sleep_settings{.after = 1min, .pinned = false});
    CHECK(merged.stop_grace == 7s);
    CHECK(core::merged_env_names(own, &defaults) == std::vector<std::string>{"A", "B", "C"});
    CHECK(core::merged({{"A", "own"}}, {{"A", "default"}, {"B", "default"}}) ==
          named_texts{{"A", "own"}, {"B", "default"}});
    CHECK(core::merged(own, nullptr).limits == own.limits);
    CHECK_FALSE(core::merged(own, nullptr).stop_grace);
}

TEST_CASE("an engine is stopped with the default grace that its workload was made with") {
    settings general;
    general.stop_grace = 30s;
    const auto first = replaced({}, {.stop_grace = 7s});
    const auto second = replaced(first, {.stop_grace = 8s});
    const auto made_before = with({});
    const auto made_with_first = with({}, 1);
    const auto made_with_second = with({}, 2);
    CHECK(core::stop_grace_of(made_before, general, &second) == 30s);
    CHECK(core::stop_grace_of(made_with_first, general, &second) == 7s);
    CHECK(core::stop_grace_of(made_with_second, general, &second) == 8s);
    CHECK(core::stop_grace_of(with({.stop_grace = 1s}), general, &second) == 1s);
    CHECK(core::stop_grace_of(made_with_first, general) == 30s);
    CHECK(core::longest_operation(intent::stop, made_with_first, general, &second) ==
          7s + general.backend_timeout);
}

TEST_CASE("what changed in the defaults since the boot is pending, unless the engine hides it") {
    engine_settings given;
    given.env_names = {"A"};
    given.sealed_env = "sealed";
    given.limits = {.memory_mb = 64};
    given.stop_grace = 7s;
    const auto defaults = replaced({}, given);
    CHECK(flags(core::pending_of(with({}), &defaults)) == "env limits stop_grace ");
    CHECK(flags(core::pending_of(with({}, 1), &defaults)).empty());
    CHECK(flags(core::pending_of(with({}), nullptr)).empty());
    engine_settings hides;
    hides.env_names = {"A", "B"};
    hides.limits = {.memory_mb = 1};
    hides.stop_grace = 1s;
    CHECK(flags(core::pending_of(with(hides), &defaults)).empty());
    hides.pending.limits = true; // its own change is pending all the same
    CHECK(flags(core::pending_of(with(hides), &defaults)) == "limits ");

    auto other = given;
    other.metadata = {{"plan", "pro"}};
    const auto same = replaced(defaults, other);
    CHECK(same.settings.revision == 2);
    CHECK(flags(core::pending_of(with({}, 1), &same)).empty());
}

TEST_CASE("defaults that were changed back are not pending, of any kind") {
    engine_settings given;
    given.env_names = {"A"};
    given.sealed_env = "sealed";
    given.limits = {.memory_mb = 64};
    given.stop_grace = 7s;
    auto other = given;
    other.sealed_env = "sealed otherwise";
    other.limits = {};
    other.stop_grace = 8s;
    const auto first = replaced({}, given);
    const auto second = replaced(first, other);
    CHECK(flags(core::pending_of(with({}, 1), &second)) == "env limits stop_grace ");
    const auto back = replaced(second, given);
    CHECK(flags(core::pending_of(with({}, 1), &back)).empty());
    CHECK(flags(core::pending_of(with({}, 2), &back)) == "env limits stop_grace ");
    auto in_part = given;
    in_part.stop_grace = 9s;
    const auto part_back = replaced(second, in_part);
    CHECK(flags(core::pending_of(with({}, 1), &part_back)) == "stop_grace ");
}

TEST_CASE("a bounded number of replaced defaults is kept, and older ones count as changed") {
    product_defaults defaults;
    for (int n = 1; n <= 10; ++n) {
        engine_settings given;
        given.env_names = {"A"};
        given.sealed_env = "sealed" + std::to_string(n);
        defaults = replaced(defaults, given);
    }
    CHECK(defaults.settings.revision == 10);
    REQUIRE(defaults.former.size() == product_defaults::most_former);
    CHECK(defaults.former.front().sealed_env == "sealed6");
    CHECK(core::sealed_default_envs(with({}, 8), defaults) ==
          std::vector<std::string>{"sealed10", "sealed8", "sealed9"});
    CHECK(core::sealed_default_envs(with({}, 1), defaults).size() == 5);
    CHECK(core::pending_of(with({}, 1), &defaults).env);
    CHECK_FALSE(core::pending_of(with({}, 1), &defaults).limits);
}

TEST_CASE("the source of each setting is where its value comes from") {
    const auto server = setting_source::server;
    const auto none = setting_source::none;
    product_defaults defaults;
    defaults.settings.env_names = {"A", "B"};
    defaults.settings.limits = {.memory_mb = 64, .pids = 500};
    defaults.settings.sleep.pinned = true;
    policy limits;
    limits.max_cpus = 0.5;
    const limit_support backend{true, true, true, {.memory_mb = 512, .pids = 100}};
    engine_settings own;
    own.env_names = {"B"};
    own.metadata = {{"plan", "pro"}};
    own.stop_grace = 1s;
    const auto all = core::sources_of(with(own), &defaults, limits, backend);
    CHECK(all.version == setting_source::engine);
    CHECK(all.metadata == setting_source::engine);
    CHECK(all.memory_mb == setting_source::product);
    CHECK(all.cpus == setting_source::product); // its policy's
    CHECK(all.pids == server);                  // which cuts the default
    CHECK(all.sleep_after == server);
    CHECK(all.pinned == setting_source::product);
    CHECK(all.stop_grace == setting_source::engine);
    CHECK(all.env == std::map<std::string, setting_source>{{"A", setting_source::product},
                                                           {"B", setting_source::engine}});
    const auto bare = core::sources_of(with({}), nullptr, {}, {});
    CHECK(bare.metadata == none);
    CHECK(bare.memory_mb == none);
    CHECK(bare.pinned == none);
    CHECK(bare.stop_grace == server);
    own.limits.memory_mb = 600;
    CHECK(core::sources_of(with(own), &defaults, limits, backend).memory_mb == server);
}
