#include "orchestrator_fixture.hpp"

#include <roundhouse/engine_settings.hpp>
#include <roundhouse/engine_upgrade.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>

using namespace roundhouse_tests;
using namespace std::chrono_literals;

namespace {

/// What goes wrong, until that is taken back. The new version is a workload of a generation above 1.
struct trouble {
    std::atomic<std::optional<backend_operation>> refused = {};
    std::atomic<bool> new_is_sick = false;
    std::atomic<bool> both_are_sick = false;
    std::atomic<bool> pulls_hang = false; ///< Of all versions but v1.
    std::atomic<int> pulls = 0;           ///< That have begun, of these.
};

memory_backend_script script_of(const std::shared_ptr<trouble>& what) {
    memory_backend_script script;
    script.fail = [what](backend_operation operation, const workload_ref&) -> std::optional<error> {
        if (what->refused.load() != operation) return std::nullopt;
        return error{errc::backend_error, "It is refused."};
    };
    script.prepare_time = [what](const workload& wanted) {
        if (wanted.version == "v1") return duration{0};
        ++what->pulls;
        return duration{what->pulls_hang.load() ? 24h : 0h};
    };
    script.answer = [what](const workload_ref& ref) -> result<health> {
        const bool is_new = ref.generation == 2;
        if (what->both_are_sick.load() || (is_new && what->new_is_sick.load()))
            return fail(errc::backend_error, "it is not well.");
        return health{};
    };
    return script;
}

settings quick_boots() {
    auto out = memory_fleet<>::quick();
    out.sleep_after = duration{0};
    out.boot_timeout = 60ms;
    out.create_timeout = 60ms;
    out.health_max_failures = 1;
    out.retry_base = 5ms;
    out.retry_max = 5ms;
    return out;
}

upgrade_options to_v2(duration healthy_for = 20ms) {
    return {.version = "v2", .healthy_for = healthy_for};
}

/// A fleet with one engine of version v1, whose data is "old".
struct upgraded_fleet {
    explicit upgraded_fleet(const settings& chosen = quick_boots())
        : fleet(script_of(wrong), chosen), made(or_throw(demo().provision("ada", first()))) {
        CHECK(fleet.backend->write_data(made.record->id, "old"));
    }

    static provision_options first() {
        provision_options out;
        out.version = "v1";
        return out;
    }
    [[nodiscard]] product_handle demo() const { return fleet.orchestrator->of(product); }
    [[nodiscard]] engine_view ada() const { return or_throw(demo().find("ada")); }
    [[nodiscard]] std::string data() const { return fleet.backend->data_of(made.record->id); }
    [[nodiscard]] bool is_at_rest() const {
        return memory_fleet<>::eventually([&] {
            const auto now = ada();
            return now.record->intent == intent::none && !now.record->upgrade &&
                   !fleet.backend->copy_of(made.record->id);
        });
    }

    std::shared_ptr<trouble> wrong = std::make_shared<trouble>();
    memory_fleet<> fleet;
    product_ptr product = fleet.registered();
    engine_view made;
};

const error& failure_of(const result<engine_view>& outcome) {
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().code == errc::upgrade_failed);
    REQUIRE(outcome.error().details);
    return outcome.error();
}

} // namespace

TEST_CASE("an engine is upgraded on its data, with its url and key, and its copy is dropped") {
    upgraded_fleet fleet;
    const auto upgraded = fleet.demo().upgrade("ada", to_v2());
    REQUIRE(upgraded);
    CHECK(upgraded->record->version == "v2");
    CHECK(upgraded->record->status == engine_status::running);
    CHECK(upgraded->api_key == fleet.made.api_key);
    CHECK(upgraded->url == fleet.made.url);
    CHECK(settings_of(*upgraded->record).revision == 2);
    CHECK(fleet.is_at_rest());
    CHECK(fleet.data() == "old");
    CHECK(fleet.fleet.audit(fleet.product, audit_action::upgrade).size() == 1);
    const auto again = fleet.demo().upgrade("ada", to_v2());
    REQUIRE(again);
    CHECK(settings_of(*again->record).revision == 2);
}

TEST_CASE("an engine whose new version fails its probes has its old one and its data again") {
    upgraded_fleet fleet;
    auto upgrading = std::async(std::launch::async,
                                [&] { return fleet.demo().upgrade("ada", to_v2(300ms)); });
    REQUIRE(
        memory_fleet<>::eventually([&] { return fleet.ada().record->intent == intent::watch; }));
    REQUIRE(fleet.ada().upgrade);
    CHECK(fleet.ada().upgrade->to_version == "v2");
    const auto admitted = fleet.demo().admit("ada");
    REQUIRE(admitted);
    REQUIRE(admitted->engine);
    CHECK(admitted->engine->version() == "v2");
    CHECK(fleet.fleet.backend->write_data(fleet.made.record->id, "migrated"));
    fleet.wrong->new_is_sick = true;
    const auto failure = failure_of(upgrading.get());
    CHECK(failure.details->cause == boot_failure::unhealthy);
    CHECK(failure.details->reverted == true);
    CHECK(fleet.ada().record->version == "v1");
    CHECK(fleet.data() == "old");
    CHECK(fleet.is_at_rest());
    CHECK(fleet.fleet.audit(fleet.product, audit_action::upgrade_reverted).size() == 1);
}

TEST_CASE("a new version that crashes while it is watched is given up, with how it ended") {
    upgraded_fleet fleet;
    auto upgrading = std::async(std::launch::async,
                                [&] { return fleet.demo().upgrade("ada", to_v2(10s)); });
    REQUIRE(
        memory_fleet<>::eventually([&] { return fleet.ada().record->intent == intent::watch; }));
    CHECK(fleet.fleet.backend->crash(fleet.made.record->id, 3));
    const auto failure = failure_of(upgrading.get());
    CHECK(failure.details->cause == boot_failure::exited);
    CHECK(failure.details->exit.exit_code == 3);
    CHECK(fleet.ada().record->status == engine_status::running);
    CHECK(fleet.is_at_rest());
}

TEST_CASE("an engine of which neither version boots has failed, with the old version") {
    upgraded_fleet fleet;
    fleet.wrong->both_are_sick = true;
    const auto failure = failure_of(fleet.demo().upgrade("ada", to_v2()));
    CHECK(failure.details->cause == boot_failure::timeout);
    CHECK(failure.details->reverted == false);
    CHECK(fleet.ada().record->version == "v1");
    fleet.wrong->both_are_sick = false;
    CHECK(fleet.fleet.becomes(fleet.product, "ada", engine_status::running));
    CHECK(fleet.ada().record->version == "v1");
    CHECK(fleet.is_at_rest());
}

TEST_CASE("a version that cannot be prepared, or data that cannot be copied, costs nothing") {
    upgraded_fleet fleet;
    fleet.wrong->refused = backend_operation::prepare;
    CHECK(failure_of(fleet.demo().upgrade("ada", to_v2())).details->cause == boot_failure::prepare);
    CHECK(fleet.ada().record->revision == fleet.made.record->revision);
    fleet.wrong->refused = backend_operation::copy_data;
    CHECK(failure_of(fleet.demo().upgrade("ada", to_v2())).details->cause == boot_failure::copy);
    fleet.wrong->refused = std::nullopt;
    CHECK(fleet.ada().record->version == "v1");
    CHECK(fleet.data() == "old");
    CHECK(fleet.is_at_rest());
}

TEST_CASE("a version that is not prepared in time is given up, and others get its turn") {
    auto chosen = quick_boots();
    chosen.prepare_concurrency = 1;
    upgraded_fleet fleet(chosen);
    fleet.wrong->pulls_hang = true;
    CHECK(failure_of(fleet.demo().upgrade("ada", to_v2())).details->cause == boot_failure::prepare);
    CHECK(fleet.ada().record->revision == fleet.made.record->revision);
    fleet.wrong->pulls_hang = false;
    CHECK(fleet.demo().upgrade("ada", to_v2()));
    CHECK(fleet.is_at_rest());
}

TEST_CASE(
    "a version is prepared once for all upgrades to it, and for as long as one waits for it") {
    auto chosen = quick_boots();
    chosen.create_timeout = 24h;
    upgraded_fleet fleet(chosen);
    fleet.wrong->pulls_hang = true;
    const auto begin = [&] {
        return std::async(std::launch::async, [&] { return fleet.demo().upgrade("ada", to_v2()); });
    };
    auto first = begin();
    auto second = begin();
    REQUIRE(memory_fleet<>::eventually([&] { return fleet.wrong->pulls.load() == 1; }));
    // It serves meanwhile, and can be stopped.
    CHECK(fleet.demo().admit("ada")->engine);
    SECTION("its engine goes") {
        CHECK(fleet.demo().destroy("ada"));
        for (auto* const upgrade : {&first, &second}) {
            const auto outcome = upgrade->get();
            REQUIRE_FALSE(outcome);
            CHECK(outcome.error().code == errc::engine_not_found);
        }
        CHECK(fleet.wrong->pulls == 1);
    }
    SECTION("its engine stops") {
        CHECK(fleet.demo().stop("ada"));
        for (auto* const upgrade : {&first, &second}) {
            const auto outcome = upgrade->get();
            REQUIRE(outcome);
            CHECK(outcome->record->status == engine_status::stopped);
            CHECK(outcome->record->version == "v2");
        }
        CHECK(fleet.wrong->pulls == 1);
    }
}

TEST_CASE("an upgrade whose version is being prepared ends with the orchestrator") {
    auto chosen = quick_boots();
    chosen.create_timeout = 24h;
    upgraded_fleet fleet(chosen);
    fleet.wrong->pulls_hang = true;
    std::promise<result<engine_view>> told;
    auto outcome = told.get_future();
    fleet.fleet.orchestrator->async_upgrade(
        fleet.product, "ada", to_v2(),
        [&](result<engine_view> end) { told.set_value(std::move(end)); });
    REQUIRE(memory_fleet<>::eventually([&] { return fleet.wrong->pulls.load() == 1; }));
    fleet.fleet.reopen();
    const auto end = outcome.get();
    REQUIRE_FALSE(end);
    CHECK(end.error().code == errc::shutting_down);
    CHECK(fleet.ada().record->version == "v1");
    CHECK(fleet.is_at_rest());
}

TEST_CASE("without a copy the old version meets what the new one has made of the data") {
    auto chosen = quick_boots();
    chosen.copied_by_default = 2;
    for (const bool keeps : {false, true}) {
        upgraded_fleet fleet(chosen);
        auto options = to_v2(10s);
        if (keeps) options.keep_copy = true;
        auto upgrading = std::async(std::launch::async,
                                    [&] { return fleet.demo().upgrade("ada", options); });
        REQUIRE(memory_fleet<>::eventually(
            [&] { return fleet.ada().record->intent == intent::watch; }));
        CHECK(fleet.fleet.backend->write_data(fleet.made.record->id, "migrated"));
        CHECK(fleet.fleet.backend->crash(fleet.made.record->id));
        CHECK(failure_of(upgrading.get()).details->reverted == true);
        CHECK(fleet.data() == (keeps ? "old" : "migrated"));
        CHECK(fleet.is_at_rest());
    }
}

TEST_CASE("a stopped engine boots the version that it was upgraded to") {
    upgraded_fleet fleet;
    REQUIRE(fleet.demo().stop("ada"));
    const auto recorded = fleet.demo().upgrade("ada", to_v2());
    REQUIRE(recorded);
    CHECK(recorded->record->status == engine_status::stopped);
    CHECK(recorded->pending.version);
    const auto started = fleet.demo().start("ada");
    REQUIRE(started);
    CHECK(started->record->version == "v2");
    CHECK_FALSE(started->pending.version);
}

TEST_CASE("an upgrade that may not be is refused, and nothing is done") {
    upgraded_fleet fleet;
    const auto code_of = [&](const upgrade_options& options, const std::string& user = "ada") {
        const auto outcome = fleet.demo().upgrade(user, options);
        return outcome ? errc{} : outcome.error().code;
    };
    CHECK(code_of({.version = ""}) == errc::invalid_request);
    CHECK(code_of({.version = "v2", .healthy_for = 601s}) == errc::invalid_request);
    CHECK(code_of(to_v2(), "nobody") == errc::engine_not_found);
    CHECK(code_of({.version = "v2", .if_revision = 5}) == errc::precondition_failed);
    policy limits;
    limits.allowed_versions = {{"v1"}};
    REQUIRE(fleet.fleet.orchestrator->async_set_policy("demo", limits, wait));
    const auto now = fleet.fleet.orchestrator->async_find_product("demo", wait);
    REQUIRE(now);
    const auto outcome = fleet.fleet.orchestrator->of(*now).upgrade("ada", to_v2());
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().code == errc::policy_denied);
    CHECK(fleet.ada().record->revision == fleet.made.record->revision);
}

TEST_CASE("who does not wait for an upgrade is told of the engine, and the upgrade goes on") {
    upgraded_fleet fleet;
    const auto begun = fleet.demo().upgrade("ada", to_v2(), within{0s});
    REQUIRE(begun);
    CHECK_FALSE(begun->done);
    CHECK(begun->engine.api_key == fleet.made.api_key);
    REQUIRE(memory_fleet<>::eventually([&] { return fleet.ada().record->version == "v2"; }));
    CHECK(fleet.is_at_rest());
    const auto waited = fleet.demo().upgrade("ada", {.version = "v3", .healthy_for = 20ms},
                                             within{600s});
    REQUIRE(waited);
    CHECK(waited->done);
    CHECK(waited->engine.record->version == "v3");
    const auto refused = fleet.demo().upgrade("ada", {.version = ""}, within{0s});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::invalid_request);
}

TEST_CASE("an upgrade goes on after the orchestrator was replaced in the middle") {
    upgraded_fleet fleet;
    fleet.fleet.orchestrator->async_upgrade(fleet.product, "ada", to_v2(200ms),
                                            [](const result<engine_view>&) {});
    REQUIRE(
        memory_fleet<>::eventually([&] { return fleet.ada().record->intent == intent::watch; }));
    fleet.fleet.reopen();
    CHECK(fleet.is_at_rest());
    CHECK(fleet.ada().record->version == "v2");
}

TEST_CASE("an engine is destroyed in the middle of its upgrade, with its copy") {
    upgraded_fleet fleet;
    auto upgrading = std::async(std::launch::async,
                                [&] { return fleet.demo().upgrade("ada", to_v2(10s)); });
    REQUIRE(
        memory_fleet<>::eventually([&] { return fleet.ada().record->intent == intent::watch; }));
    CHECK(fleet.demo().destroy("ada"));
    const auto outcome = upgrading.get();
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().code == errc::engine_not_found);
    CHECK_FALSE(fleet.fleet.backend->copy_of(fleet.made.record->id));
}
