#include "log_lines.hpp"
#include "orchestrator_fixture.hpp"

#include <roundhouse/engine_settings.hpp>

#include <asio/use_future.hpp>

#include <chrono>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

policy with_memory(std::uint64_t max_memory_mb,
                   std::optional<std::uint64_t> max_total_memory_mb = std::nullopt) {
    policy out;
    out.max_memory_mb = max_memory_mb;
    out.max_total_memory_mb = max_total_memory_mb;
    return out;
}

/// A fleet with a product whose policy changes.
struct bounded_fleet : memory_fleet<> {
    explicit bounded_fleet(policy limits, memory_backend_script script = {})
        : memory_fleet<>(std::move(script)), registered_product(registered(std::move(limits))) {}

    /// The product as a request of now sees it.
    [[nodiscard]] auto demo() {
        return orchestrator->of(orchestrator->calls()->current(registered_product).value());
    }
    void set(policy limits) {
        REQUIRE(orchestrator->async_set_policy("demo", std::move(limits), wait));
    }
    [[nodiscard]] std::uint64_t reserved() const {
        return store->counts(registered_product->id)->reserved_memory_mb;
    }

    product_ptr registered_product;
};

errc code_of(const result<engine_view>& refused) {
    REQUIRE_FALSE(refused);
    return refused.error().code;
}

} // namespace

TEST_CASE("engines that ask for nothing get their policy's ceilings, and lower ones if they ask") {
    policy limits = with_memory(64);
    limits.max_cpus = 0.5;
    limits.max_pids = 20;
    memory_backend_script script;
    script.limits.general = {.memory_mb = 32, .pids = 4'096};
    bounded_fleet fleet(limits, std::move(script));
    const auto ada = fleet.demo().provision("ada");
    REQUIRE(ada);
    CHECK(ada->limits == engine_limits{.memory_mb = 32, .cpus = 0.5, .pids = 20});
    // The backend gives its general ceilings by itself.
    CHECK(fleet.backend->limits_of(ada->record->id) == engine_limits{.cpus = 0.5, .pids = 20});
    CHECK(ada->record->reserved_memory_mb == 32);
    const auto bob = fleet.demo().provision(
        "bob", provision_options{.limits = {.memory_mb = 16, .cpus = 0.25}});
    REQUIRE(bob);
    CHECK(bob->limits == engine_limits{.memory_mb = 16, .cpus = 0.25, .pids = 20});
    CHECK(fleet.backend->limits_of(bob->record->id) == bob->limits);
    CHECK(bob->record->reserved_memory_mb == 16);
    for (const auto& seen :
         {fleet.demo().find("bob").value(), fleet.demo().find_by_id(bob->record->id).value(),
          fleet.demo().look_up({"bob"}).value().at(0), fleet.demo().list().value().engines.at(1)})
        CHECK(seen.limits == bob->limits);
}

TEST_CASE("a ceiling above the policy's makes no engine") {
    bounded_fleet fleet(with_memory(64));
    const auto refused = fleet.demo().provision("ada",
                                                provision_options{.limits = {.memory_mb = 65}});
    CHECK(code_of(refused) == errc::policy_denied);
    CHECK_THAT(refused.error().message,
               Contains("limits.memory_mb: must be at most 64 (policy.max_memory_mb"));
    CHECK(fleet.demo().list()->total == 0);
    CHECK(fleet.demo().provision("ada", provision_options{.limits = {.memory_mb = 64}}));
}

TEST_CASE("the ceilings of a changed policy hold from each engine's next boot on") {
    bounded_fleet fleet({});
    const auto handle = fleet.demo(); // made before the policy changes
    const auto id = handle.provision("ada")->record->id;
    REQUIRE(handle.provision("bob", provision_options{.limits = {.memory_mb = 128}}));
    const auto other = handle.find("bob")->record->id;
    fleet.set(with_memory(64));
    CHECK(fleet.backend->limits_of(id) == engine_limits{}); // still up
    SECTION("after a stop") {
        for (const auto* const user : {"ada", "bob"}) {
            REQUIRE(handle.stop(user));
            REQUIRE(handle.start(user));
        }
    }
    SECTION("after a crash") {
        for (const auto* const user : {"ada", "bob"}) {
            REQUIRE(fleet.backend->crash(handle.find(user)->record->id));
            REQUIRE(memory_fleet<>::eventually([&] {
                const auto found = handle.find(user);
                return found && found->record->status == engine_status::running &&
                       found->record->generation > 1;
            }));
        }
    }
    CHECK(fleet.backend->limits_of(id) == engine_limits{.memory_mb = 64});
    CHECK(fleet.backend->limits_of(other) == engine_limits{.memory_mb = 64});
    CHECK(fleet.demo().find("bob")->limits == engine_limits{.memory_mb = 64});
    CHECK(fleet.reserved() == 128); // as when they were made
}

TEST_CASE("engines are not run without a ceiling of their policy that the backend cannot hold") {
    memory_backend_script script;
    script.limits = {.pids = true};
    bounded_fleet fleet({}, std::move(script));
    REQUIRE(fleet.demo().provision("ada"));
    fleet.set(with_memory(64));
    const auto refused = fleet.demo().provision("bob");
    CHECK(code_of(refused) == errc::policy_denied);
    CHECK_THAT(refused.error().message,
               Contains("policy.max_memory_mb: cannot be held by this server's backend (memory)"));
    CHECK(fleet.demo().find("ada")->record->status == engine_status::running);
    REQUIRE(fleet.demo().stop("ada"));
    const auto started = fleet.demo().start("ada");
    CHECK(code_of(started) == errc::backend_error);
    CHECK_THAT(started.error().message, Contains("policy.max_memory_mb: cannot be held"));
    fleet.set({});
    CHECK(fleet.demo().start("ada"));
    CHECK(fleet.demo().provision("bob"));
}

TEST_CASE(
    "a default policy with a ceiling that the backend cannot hold is a warning at the start") {
    auto chosen = memory_fleet<>::quick();
    chosen.default_policy.max_cpus = 0.5;
    const bool held = GENERATE(false, true);
    memory_backend_script script;
    script.limits = {.memory_mb = true, .cpus = held, .pids = true};
    log_lines lines;
    memory_fleet<> fleet(std::move(script), chosen, std::make_shared<memory_store>(),
                         [&](orchestrator_options& options) {
                             options.log = [&](const log_line& line) { lines.add(line); };
                         });
    CHECK(lines.count({"warning", "ORCH_DEFAULT_POLICY", "policy.max_cpus"}) == (held ? 0U : 1U));
    const auto made = fleet.orchestrator->of(fleet.registered()).provision("ada");
    CHECK(made.has_value() == held);
}

TEST_CASE("allow_env false refuses variables, and engines that have some keep them") {
    bounded_fleet fleet({});
    const provision_options with_env{.env = {{"TOKEN", "value"}}};
    const auto id = fleet.demo().provision("ada", with_env)->record->id;
    policy limits;
    limits.allow_env = false;
    fleet.set(limits);
    const auto refused = fleet.demo().provision("bob", with_env);
    CHECK(code_of(refused) == errc::policy_denied);
    CHECK_THAT(refused.error().message, Contains("policy.allow_env") && !Contains("value"));
    CHECK(fleet.demo().provision("bob", provision_options{.metadata = {{"plan", "pro"}}}));
    CHECK(code_of(fleet.demo().provision("ada", with_env)) == errc::engine_already_exists);
    REQUIRE(fleet.demo().stop("ada"));
    REQUIRE(fleet.demo().start("ada"));
    CHECK(fleet.backend->env_of(id) == with_env.env);
}

TEST_CASE("40 concurrent provisions under a quota of memory reserve exactly what it allows") {
    memory_backend_script script;
    script.boot_delay = std::chrono::milliseconds{5};
    bounded_fleet fleet(with_memory(100, 550), std::move(script));
    const auto product = fleet.registered_product;
    std::vector<std::future<result<engine_view>>> calls;
    for (int i = 0; i < 40; ++i)
        calls.push_back(fleet.orchestrator->async_provision(product, "user" + std::to_string(i),
                                                            std::nullopt, asio::use_future));
    int made = 0;
    int refused = 0;
    for (auto& call : calls) {
        const auto outcome = call.get();
        if (outcome) ++made;
        else if (outcome.error().code == errc::quota_exceeded) ++refused;
    }
    CHECK(made == 5);
    CHECK(refused == 35);
    CHECK(fleet.reserved() == 500);
    CHECK(fleet.demo().provision("small", provision_options{.limits = {.memory_mb = 50}}));
    CHECK(fleet.reserved() == 550);
}

TEST_CASE("a quota of memory needs a ceiling, is told, and is given back") {
    policy limits;
    limits.max_total_memory_mb = 100;
    bounded_fleet fleet(limits);
    CHECK(code_of(fleet.demo().provision("ada")) == errc::policy_denied);
    const auto admitted = fleet.demo().admit("ada", {.auto_provision = true});
    REQUIRE_FALSE(admitted);
    CHECK(admitted.error().code == errc::policy_denied);
    const provision_options sixty{.limits = {.memory_mb = 60}};
    REQUIRE(fleet.demo().provision("ada", sixty));
    const auto refused = fleet.demo().provision("bob", sixty);
    CHECK(code_of(refused) == errc::quota_exceeded);
    CHECK_THAT(refused.error().message,
               Contains("Product 'demo' has no 60 MiB left of its max_total_memory_mb (100)"));
    REQUIRE(fleet.demo().stop("ada")); // which it keeps its memory for
    CHECK(code_of(fleet.demo().provision("bob", sixty)) == errc::quota_exceeded);
    REQUIRE(fleet.demo().destroy("ada"));
    CHECK(fleet.reserved() == 0);
    CHECK(fleet.demo().provision("bob", sixty));
}

TEST_CASE("a quota of memory that is lowered destroys nothing, and ends creations") {
    bounded_fleet fleet(with_memory(40, 100));
    REQUIRE(fleet.demo().provision("ada"));
    REQUIRE(fleet.demo().provision("bob"));
    fleet.set(with_memory(40, 50));
    CHECK(fleet.demo().status()->counts.total() == 2);
    CHECK(fleet.demo().find("ada")->record->status == engine_status::running);
    REQUIRE(fleet.demo().stop("ada"));
    REQUIRE(fleet.demo().start("ada"));
    CHECK(code_of(fleet.demo().provision("eve")) == errc::quota_exceeded);
    REQUIRE(fleet.demo().destroy("bob"));
    CHECK(code_of(fleet.demo().provision("eve")) == errc::quota_exceeded);
    CHECK(fleet.demo().provision("eve", provision_options{.limits = {.memory_mb = 10}}));
    CHECK(fleet.reserved() == 50);
}

TEST_CASE("a creation that is undone gives its memory back") {
    memory_backend_script script;
    script.fail = [](backend_operation operation, const workload_ref&) -> std::optional<error> {
        if (operation != backend_operation::create) return std::nullopt;
        return error{errc::backend_error, "It went wrong."};
    };
    bounded_fleet fleet(with_memory(100, 100), std::move(script));
    CHECK(code_of(fleet.demo().provision("ada")) == errc::backend_error);
    CHECK(memory_fleet<>::eventually([&] { return fleet.reserved() == 0; }));
    CHECK(code_of(fleet.demo().provision("bob")) == errc::backend_error); // and not the quota
}
