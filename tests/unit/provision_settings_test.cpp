#include "log_lines.hpp"
#include "orchestrator_fixture.hpp"

#include <roundhouse/engine_settings.hpp>
#include <roundhouse/testing/record_text.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using namespace std::chrono_literals;

namespace {

const std::string secret = "a-secret-of-the-product";

provision_options full_options() {
    return {.version = "v2",
            .env = {{"TOKEN", secret}, {"SHORT", "x"}},
            .metadata = {{"plan", "pro"}},
            .limits = {.memory_mb = 64, .cpus = 0.5, .pids = 100},
            .stop_grace = 1'500ms};
}

} // namespace

TEST_CASE("an engine gets the settings that it is provisioned with") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    const auto demo = fleet.orchestrator->of(product);
    const auto made = demo.provision("ada", full_options());
    REQUIRE(made);
    const auto& id = made->record->id;
    CHECK(made->record->version == "v2");
    CHECK(fleet.backend->env_of(id) == full_options().env);
    CHECK(fleet.backend->limits_of(id) == full_options().limits);
    const auto found = demo.find("ada");
    REQUIRE(found);
    const auto& settings = settings_of(*found->record);
    CHECK(settings.env_names == std::vector<std::string>{"SHORT", "TOKEN"});
    CHECK(settings.metadata == full_options().metadata);
    CHECK(found->limits == full_options().limits);
    CHECK(found->stop_grace == 1'500ms);
}

TEST_CASE("values of variables are neither in the record nor in the audit log") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    const auto made = fleet.orchestrator->of(product).provision("ada", full_options());
    REQUIRE(made);
    CHECK_THAT(testing::text_of(*made->record), Contains("TOKEN") && !Contains(secret));
    CHECK_THAT(testing::text_of(fleet.audit(product)), !Contains(secret));
}

TEST_CASE("an engine without settings keeps no object for them, and shows those of all") {
    memory_backend_script script;
    script.limits.general.pids = 4'096;
    memory_fleet<> fleet(std::move(script));
    const auto demo = fleet.orchestrator->of(fleet.registered());
    const auto made = demo.provision("ada", provision_options{});
    REQUIRE(made);
    CHECK_FALSE(made->record->settings);
    CHECK(made->limits == engine_limits{.pids = 4'096});
    CHECK(made->stop_grace == fleet.settings_used.stop_grace);
    CHECK(fleet.backend->env_of(made->record->id).empty());
    CHECK(fleet.backend->limits_of(made->record->id) == engine_limits{});
}

TEST_CASE("each later workload of an engine gets its settings anew") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    const auto made = fleet.orchestrator->of(product).provision("ada", full_options());
    REQUIRE(made);
    const auto& id = made->record->id;
    const auto generation_after = [&] { return (*fleet.store->find_engine_by_id(id))->generation; };
    SECTION("after a stop") {
        REQUIRE(fleet.orchestrator->of(product).stop("ada"));
        REQUIRE(fleet.orchestrator->of(product).start("ada"));
    }
    SECTION("after a crash") {
        REQUIRE(fleet.backend->crash(id));
        REQUIRE(memory_fleet<>::eventually([&] {
            const auto found = fleet.orchestrator->of(product).find("ada");
            return found && found->record->status == engine_status::running &&
                   found->record->generation > 1;
        }));
    }
    SECTION("after a restart of the program") {
        REQUIRE(fleet.orchestrator->of(product).stop("ada"));
        fleet.reopen();
        REQUIRE(fleet.orchestrator->of(product).start("ada"));
    }
    CHECK(generation_after() == 2);
    CHECK(fleet.backend->env_of(id) == full_options().env);
    CHECK(fleet.backend->limits_of(id) == full_options().limits);
}

TEST_CASE("an environment that cannot be read fails a boot, and says what to do") {
    const auto store = std::make_shared<memory_store>();
    const auto kept = [&] {
        memory_fleet<> fleet({}, memory_fleet<>::quick(), store);
        const auto product = fleet.registered();
        const auto made = fleet.orchestrator->of(product).provision("ada", full_options());
        REQUIRE(made);
        REQUIRE(fleet.orchestrator->of(product).stop("ada"));
        return product;
    }();
    // The key of the engine stays readable: its environment alone was sealed with another key.
    make_env_unreadable(*store, (*store->find_engine(kept->id, "ada"))->id);
    memory_fleet<> fleet({}, memory_fleet<>::quick(), store);
    const auto failed = fleet.orchestrator->of(kept).start("ada");
    REQUIRE_FALSE(failed);
    CHECK_THAT(failed.error().message, Contains("none of the master keys fits"));
    CHECK(fleet.backend->created() == 0);
}

TEST_CASE("options that no engine may have are refused, and make nothing") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    const auto demo = fleet.orchestrator->of(product);
    const auto refused = demo.provision("ada", provision_options{.env = {{"PATH", secret}}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::invalid_request);
    CHECK_THAT(refused.error().message, Contains("env.PATH: ") && !Contains(secret));
    CHECK(demo.find("ada").error().code == errc::engine_not_found);
    CHECK(fleet.audit(product).size() == 1); // of the product's registration
}

TEST_CASE("a ceiling that the backend cannot hold is refused") {
    memory_backend_script script;
    script.limits = {.pids = true};
    memory_fleet<> fleet(std::move(script));
    const auto demo = fleet.orchestrator->of(fleet.registered());
    const auto refused = demo.provision("ada", provision_options{.limits = {.memory_mb = 64}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::invalid_request);
    CHECK_THAT(refused.error().message, Contains("limits.memory_mb: cannot be held"));
    CHECK(demo.provision("ada", provision_options{.limits = {.pids = 9}}));
}

TEST_CASE("a product cannot lift the operator's ceilings") {
    memory_backend_script script;
    script.limits = {.pids = true, .general = {.pids = 50}};
    memory_fleet<> fleet(std::move(script));
    const auto demo = fleet.orchestrator->of(fleet.registered());
    const auto refused = demo.provision("ada", provision_options{.limits = {.pids = 51}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::policy_denied);
    CHECK_THAT(refused.error().message, Contains("limits.pids: must be at most 50"));
    CHECK(demo.provision("ada", provision_options{.limits = {.pids = 50}}));
}

TEST_CASE("an engine that exists is not changed by the settings of a later provision") {
    memory_fleet<> fleet;
    const auto demo = fleet.orchestrator->of(fleet.registered());
    REQUIRE(demo.provision("ada"));
    CHECK(demo.provision("ada", full_options()).error().code == errc::engine_already_exists);
    CHECK_FALSE(demo.find("ada")->record->settings);
}

TEST_CASE("values of variables are redacted in what an engine wrote before its boot failed") {
    memory_backend_script script;
    script.answer = [](const workload_ref&) -> result<health> {
        return fail(errc::backend_error, "sick");
    };
    script.output = [](const workload_ref&) { return "begin " + secret + " x end\n"; };
    auto chosen = memory_fleet<>::quick();
    chosen.boot_timeout = 50ms;
    chosen.restart_max_attempts = 0;
    log_lines lines;
    memory_fleet<> fleet(std::move(script), chosen, std::make_shared<memory_store>(),
                         [&](orchestrator_options& options) {
                             options.log = [&](const log_line& line) { lines.add(line); };
                         });
    CHECK_FALSE(fleet.orchestrator->of(fleet.registered()).provision("ada", full_options()));
    CHECK(memory_fleet<>::eventually([&] { return lines.count("begin * x end") > 0; }));
    CHECK(lines.count(secret) == 0);
}
