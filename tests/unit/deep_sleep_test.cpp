#include "orchestrator_fixture.hpp"

#include <roundhouse/engine_settings.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

using namespace roundhouse_tests;
using namespace std::chrono_literals;

namespace {

/// What the backend of a fleet is to fail, until that is taken back.
using failing = std::shared_ptr<std::atomic<std::optional<backend_operation>>>;

failing nothing_fails() {
    return std::make_shared<std::atomic<std::optional<backend_operation>>>();
}

memory_backend_script failing_script(const failing& what) {
    memory_backend_script script;
    script.fail = [what](backend_operation operation, const workload_ref&) -> std::optional<error> {
        if (what->load() != operation) return std::nullopt;
        return error{errc::backend_error, "It is refused."};
    };
    return script;
}

settings never_idle() {
    auto out = memory_fleet<>::quick();
    out.sleep_after = duration{0};
    out.retry_base = 5ms;
    out.retry_max = 5ms;
    return out;
}

/// A fleet with one engine, which only calls put to sleep unless the settings say more.
struct sleeping_fleet {
    explicit sleeping_fleet(const settings& chosen = never_idle(),
                            memory_backend_script script = {}, const provision_options& given = {})
        : fleet(std::move(script), chosen), made(or_throw(demo().provision("ada", given))) {}

    [[nodiscard]] product_handle demo() const { return fleet.orchestrator->of(product); }
    [[nodiscard]] engine_view ada() const { return or_throw(demo().find("ada")); }
    [[nodiscard]] std::optional<workload_state> workload() const {
        return fleet.backend->state_of(made.record->id);
    }
    [[nodiscard]] bool has_workload() const {
        return workload().value_or(workload_state::down) != workload_state::down;
    }
    [[nodiscard]] bool gets_deeply_asleep() const {
        return memory_fleet<>::eventually([&] {
            const auto now = ada();
            return now.sleep_mode == sleep_mode::stopped && now.record->intent == intent::none;
        });
    }

    memory_fleet<> fleet;
    product_ptr product = fleet.registered();
    engine_view made;
};

errc code_of(const result<engine_view>& outcome) { return outcome ? errc{} : outcome.error().code; }

} // namespace

TEST_CASE("an engine that sleeps for long loses its workload, and a wake boots it as it was") {
    auto chosen = never_idle();
    chosen.sleep_after = 10ms;
    chosen.deep_sleep_after = 10ms;
    sleeping_fleet fleet(chosen);
    REQUIRE(fleet.gets_deeply_asleep());
    CHECK_FALSE(fleet.has_workload());
    const auto asleep = fleet.ada();
    CHECK(asleep.record->status == engine_status::sleeping);
    CHECK(asleep.sleeping_since);
    CHECK_FALSE(asleep.booted_at);
    const auto denied = fleet.demo().admit("ada");
    REQUIRE(denied);
    CHECK(denied->reason == denial::engine_sleeping);
    const auto admitted = fleet.demo().admit("ada", {.auto_wake = true});
    REQUIRE(admitted);
    REQUIRE(admitted->engine);
    CHECK(admitted->engine->id == fleet.made.record->id);
    CHECK(admitted->engine->url == fleet.made.url);
    CHECK(admitted->engine->api_key() == fleet.made.api_key);
    CHECK(fleet.ada().record->generation >= 2);
    const auto wakes = fleet.fleet.audit(fleet.product, audit_action::wake);
    REQUIRE_FALSE(wakes.empty());
    CHECK(std::ranges::count(wakes.back().metadata, std::string("booted"),
                             &metadata::value_type::first) == 1);
}

TEST_CASE("a call puts an engine to sleep, paused or without its workload, and another wakes it") {
    sleeping_fleet fleet;
    const auto paused = fleet.demo().sleep("ada");
    REQUIRE(paused);
    CHECK(paused->sleep_mode == sleep_mode::paused);
    CHECK(paused->record->reason == "asked for by a call");
    CHECK(paused->api_key.empty());
    CHECK(fleet.workload() == workload_state::paused);
    CHECK(fleet.demo().sleep("ada")->record->revision == paused->record->revision);
    const auto stopped = fleet.demo().sleep("ada", sleep_mode::stopped);
    REQUIRE(stopped);
    CHECK(stopped->sleep_mode == sleep_mode::stopped);
    CHECK(stopped->sleeping_since == paused->sleeping_since);
    CHECK_FALSE(fleet.has_workload());
    for (const auto mode : all_sleep_modes)
        CHECK(fleet.demo().sleep("ada", mode)->record->revision == stopped->record->revision);
    const auto woken = fleet.demo().wake("ada");
    REQUIRE(woken);
    CHECK(woken->record->status == engine_status::running);
    CHECK(woken->api_key == fleet.made.api_key);
    CHECK_FALSE(woken->sleep_mode);
    CHECK_FALSE(woken->sleeping_since);
    CHECK(code_of(fleet.demo().wake("ada")) == errc::engine_already_running);
    REQUIRE(fleet.demo().sleep("ada", sleep_mode::stopped));
    CHECK_FALSE(fleet.has_workload());
    CHECK(fleet.demo().start("ada"));
    for (const auto& row : fleet.fleet.audit(fleet.product, audit_action::sleep))
        CHECK(row.actor == "demo");
}

TEST_CASE("an engine that is held awake is not put to sleep by a call") {
    sleeping_fleet fleet;
    REQUIRE(fleet.demo().note_activity("ada", 1h));
    CHECK(code_of(fleet.demo().sleep("ada")) == errc::engine_busy);
    REQUIRE(fleet.demo().provision("bob", provision_options{.sleep = {.pinned = true}}));
    for (const auto mode : all_sleep_modes)
        CHECK(code_of(fleet.demo().sleep("bob", mode)) == errc::engine_busy);
    CHECK(fleet.ada().record->status == engine_status::running);
    CHECK(code_of(fleet.demo().sleep("nobody")) == errc::engine_not_found);
}

TEST_CASE("an engine that says it is busy is not put to sleep by a call") {
    memory_backend_script script;
    script.answer = [](const workload_ref&) -> result<health> { return health{.busy = true}; };
    sleeping_fleet fleet(never_idle(), std::move(script));
    CHECK(code_of(fleet.demo().sleep("ada", sleep_mode::stopped)) == errc::engine_busy);
    CHECK(fleet.ada().record->status == engine_status::running);
    CHECK(fleet.ada().record->reason.empty());
}

TEST_CASE("only what runs is put to sleep, and only what sleeps is woken") {
    sleeping_fleet fleet;
    REQUIRE(fleet.demo().stop("ada"));
    CHECK(code_of(fleet.demo().sleep("ada")) == errc::engine_not_running);
    CHECK(code_of(fleet.demo().wake("ada")) == errc::engine_not_running);
    CHECK(code_of(fleet.demo().wake("nobody")) == errc::engine_not_found);
    CHECK(fleet.ada().record->status == engine_status::stopped);
}

TEST_CASE("an engine that cannot be paused for a call says why, and runs on") {
    const auto fails = nothing_fails();
    sleeping_fleet fleet(never_idle(), failing_script(fails));
    fails->store(backend_operation::pause);
    CHECK(code_of(fleet.demo().sleep("ada")) == errc::backend_error);
    CHECK(fleet.ada().record->status == engine_status::running);
    fails->store(std::nullopt);
    CHECK(fleet.demo().sleep("ada"));
}

TEST_CASE("a wake that cannot start anything leaves the engine asleep, and the next one boots it") {
    const auto fails = nothing_fails();
    sleeping_fleet fleet(never_idle(), failing_script(fails));
    REQUIRE(fleet.demo().sleep("ada", sleep_mode::stopped));
    const auto since = fleet.ada().sleeping_since;
    fails->store(backend_operation::create);
    CHECK(code_of(fleet.demo().wake("ada")) == errc::backend_error);
    REQUIRE(fleet.gets_deeply_asleep());
    CHECK(fleet.ada().sleeping_since == since);
    CHECK(code_of(fleet.demo().start("ada")) == errc::backend_error);
    fails->store(std::nullopt);
    CHECK(fleet.demo().wake("ada"));
}

TEST_CASE("an end that the backend refuses is tried again, and nobody waits for that") {
    const auto fails = nothing_fails();
    sleeping_fleet fleet(never_idle(), failing_script(fails));
    fails->store(backend_operation::stop);
    CHECK(code_of(fleet.demo().sleep("ada", sleep_mode::stopped)) == errc::backend_error);
    CHECK(fleet.ada().record->status == engine_status::sleeping);
    CHECK(fleet.ada().sleep_mode == sleep_mode::paused);
    CHECK(code_of(fleet.demo().wake("ada")) == errc::backend_error);
    CHECK_FALSE(fleet.demo().admit("ada", {.auto_wake = true}));
    CHECK(fleet.demo().admit("ada")->reason == denial::engine_sleeping);
    CHECK(fleet.demo().rotate_key("ada").error().code == errc::backend_error);
    fails->store(std::nullopt);
    REQUIRE(fleet.gets_deeply_asleep());
    CHECK_FALSE(fleet.has_workload());
    CHECK(fleet.demo().rotate_key("ada").error().code == errc::engine_not_running);
    CHECK(fleet.demo().wake("ada"));
}

TEST_CASE("an orchestrator that begins finishes an end that another has begun") {
    const auto fails = nothing_fails();
    sleeping_fleet fleet(never_idle(), failing_script(fails));
    fails->store(backend_operation::stop);
    CHECK_FALSE(fleet.demo().sleep("ada", sleep_mode::stopped));
    fleet.fleet.close();
    fails->store(std::nullopt);
    fleet.fleet.open();
    REQUIRE(fleet.gets_deeply_asleep());
    CHECK_FALSE(fleet.has_workload());
    CHECK(fleet.demo().wake("ada"));
}

TEST_CASE("an engine without a workload sleeps on over an orderly end and a new beginning") {
    sleeping_fleet fleet;
    REQUIRE(fleet.demo().sleep("ada", sleep_mode::stopped));
    const auto before = fleet.ada();
    REQUIRE(fleet.fleet.orchestrator->async_stop_all(wait));
    fleet.fleet.reopen();
    CHECK(fleet.ada().record->revision == before.record->revision);
    CHECK(fleet.ada().sleeping_since == before.sleeping_since);
    CHECK_FALSE(fleet.has_workload());
    CHECK(fleet.demo().wake("ada"));
}

TEST_CASE("a forced stop and a destroy reach an engine that sleeps without a workload") {
    const auto fails = nothing_fails();
    sleeping_fleet fleet(never_idle(), failing_script(fails));
    REQUIRE(fleet.demo().sleep("ada", sleep_mode::stopped));
    CHECK(fleet.demo().stop("ada").error().code == errc::engine_not_running);
    REQUIRE(fleet.demo().stop("ada", true));
    CHECK(fleet.ada().record->status == engine_status::stopped);
    CHECK_FALSE(fleet.ada().sleep_mode);
    REQUIRE(fleet.demo().start("ada"));
    REQUIRE(fleet.demo().sleep("ada", sleep_mode::stopped));
    CHECK(fleet.demo().destroy("ada"));
    CHECK(fleet.demo().find("ada").error().code == errc::engine_not_found);
}

TEST_CASE("a change of its time reaches an engine that sleeps, and explain tells the time") {
    auto chosen = never_idle();
    chosen.deep_sleep_after = 1h;
    sleeping_fleet fleet(chosen);
    const auto paused = or_throw(fleet.demo().sleep("ada"));
    const auto told = or_throw(fleet.demo().explain("ada"));
    REQUIRE(told.next);
    CHECK(told.next->step == "deep_sleep");
    CHECK(told.next->becomes == engine_status::sleeping);
    REQUIRE(paused.sleeping_since);
    CHECK(told.next->at == *paused.sleeping_since + 1h);
    settings_change wanted;
    wanted.deep_sleep_after.value = duration{0};
    CHECK(or_throw(fleet.demo().change_settings("ada", wanted)).deep_sleep_after == 0ms);
    CHECK_FALSE(or_throw(fleet.demo().explain("ada")).next);
    wanted.deep_sleep_after.value = 10ms;
    REQUIRE(fleet.demo().change_settings("ada", wanted));
    CHECK(fleet.gets_deeply_asleep());
    CHECK_FALSE(fleet.has_workload());
}

TEST_CASE("what is pending is in force after the wake of an engine without a workload") {
    sleeping_fleet fleet;
    REQUIRE(fleet.demo().sleep("ada", sleep_mode::stopped));
    settings_change wanted;
    wanted.memory_mb.value = 64;
    const auto changed = or_throw(fleet.demo().change_settings("ada", wanted));
    CHECK(settings_of(*changed.record).pending.limits);
    const auto woken = or_throw(fleet.demo().wake("ada"));
    CHECK(settings_of(*woken.record).pending == pending_settings{});
    CHECK(woken.limits.memory_mb == 64);
}
