#include "catch.hpp"
#include "lifecycle_rows.hpp"

#include <roundhouse/core/lifecycle.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/engine_upgrade.hpp>

#include <memory>
#include <string>
#include <utility>

using namespace roundhouse;

namespace {

const settings plain = lifecycle::plain_settings();

/// One engine, on which each input is decided and stored.
struct walked {
    engine_record row;
    core::decision last;

    template <class Input> walked& then(const Input& input) {
        using variant = std::conditional_t<std::is_constructible_v<core::call_variant, Input>,
                                           core::call_variant, core::event_variant>;
        last = core::decide(variant(input), row, lifecycle::context_of(row, plain));
        if (last.row == core::row_change::update) row = last.next;
        return *this;
    }
};

walked running_v1() {
    auto row = lifecycle::engine_in(engine_status::running, intent::none);
    row.version = "v1";
    return {row, {}};
}

core::call::upgrade to_v2() { return {"v2", std::chrono::seconds{10}}; }

const error cause{errc::backend_error, "the daemon answered 500."};

/// The engine in each step of an upgrade, up to the watch of the new version.
walked in_step(upgrade_step step, bool copied = true) {
    auto out = running_v1();
    out.then(to_v2());
    if (step == upgrade_step::copy) return out;
    out.then(core::event::copied{copied});
    if (step == upgrade_step::boot) return out;
    out.then(core::event::boot_healthy{});
    if (step == upgrade_step::watch) return out;
    out.then(lifecycle::exit_of(out.row.generation));
    if (step == upgrade_step::restore) return out;
    return out.then(core::event::restored{});
}

bool reports(const core::decision& decided, audit_action action) {
    return std::ranges::count(decided.audit, action, &audit_entry::action) == 1;
}

const error_details& details_of(const core::decision& decided) {
    REQUIRE(decided.settled);
    REQUIRE(decided.settled->failure);
    CHECK(decided.settled->failure->code == errc::upgrade_failed);
    REQUIRE(decided.settled->failure->details);
    return *decided.settled->failure->details;
}

} // namespace

TEST_CASE("an upgrade ends the old version, boots the new one, watches it, and drops the copy") {
    auto engine = running_v1();
    engine.then(to_v2());
    CHECK(engine.last.verdict == core::verdict::joined);
    CHECK(engine.last.command == core::command::copy_data);
    CHECK(engine.row.version == "v1");
    CHECK(settings_of(engine.row).revision == 2);
    CHECK(reports(engine.last, audit_action::settings_update));
    engine.then(core::event::copied{true});
    CHECK(engine.last.command == core::command::boot);
    CHECK(engine.row.version == "v2");
    CHECK(engine.row.generation == 4);
    engine.then(core::event::boot_healthy{});
    CHECK(core::admissible(engine.row));
    CHECK(engine.last.command == core::command::watch);
    engine.then(core::event::watched{});
    CHECK(core::admissible(engine.row));
    CHECK(reports(engine.last, audit_action::upgrade));
    CHECK(engine.last.command == core::command::drop_copy);
    REQUIRE(engine.last.settled);
    CHECK_FALSE(engine.last.settled->failure);
    engine.then(core::event::copy_dropped{});
    CHECK_FALSE(engine.row.upgrade);
    CHECK(engine.row.intent == intent::none);
}

TEST_CASE("without a watch and without a copy an upgrade is done once the new version has booted") {
    auto engine = running_v1();
    engine.then(core::call::upgrade{"v2", duration{0}, false}).then(core::event::copied{});
    engine.then(core::event::boot_healthy{});
    CHECK_FALSE(engine.row.upgrade);
    CHECK(engine.row.intent == intent::none);
    CHECK(reports(engine.last, audit_action::upgrade));
}

TEST_CASE("a new version that fails leads back to the old one, with the cause") {
    auto exits = in_step(upgrade_step::boot);
    exits.then(lifecycle::exit_of(exits.row.generation));
    auto crashes = in_step(upgrade_step::watch);
    crashes.then(lifecycle::exit_of(crashes.row.generation));
    auto late = in_step(upgrade_step::boot);
    late.then(core::event::deadline{*late.row.deadline});
    auto refused = in_step(upgrade_step::boot);
    refused.then(core::event::boot_refused{cause});
    auto sick = in_step(upgrade_step::watch);
    sick.then(core::event::probed_unhealthy{3, "it is hung."});
    auto unwell = in_step(upgrade_step::watch);
    unwell.then(core::event::watch_failed{"it is hung."});
    auto uncopied = in_step(upgrade_step::copy);
    uncopied.then(core::event::copy_failed{cause});
    auto gone = in_step(upgrade_step::watch);
    gone.then(core::event::found{});
    const std::pair<walked*, boot_failure> all[] = {
        {&exits, boot_failure::exited},   {&crashes, boot_failure::exited},
        {&late, boot_failure::timeout},   {&refused, boot_failure::refused},
        {&sick, boot_failure::unhealthy}, {&unwell, boot_failure::unhealthy},
        {&uncopied, boot_failure::copy},  {&gone, boot_failure::exited}};
    for (const auto& [engine, why] : all) {
        INFO(name_of(why));
        CHECK(engine->last.command == core::command::restore_data);
        CHECK_FALSE(engine->last.settled);
        engine->then(core::event::restored{});
        CHECK(engine->row.version == "v1");
        CHECK(engine->last.command == core::command::boot);
        engine->then(core::event::boot_healthy{});
        CHECK(core::admissible(engine->row));
        CHECK(reports(engine->last, audit_action::upgrade_reverted));
        const auto& details = details_of(engine->last);
        CHECK(details.cause == why);
        CHECK(details.reverted == true);
        CHECK(engine->last.command == core::command::drop_copy);
    }
}

TEST_CASE("an old version that could not be ended goes on") {
    auto engine = in_step(upgrade_step::copy);
    engine.then(core::event::stop_failed{cause});
    CHECK(engine.row.status == engine_status::running);
    CHECK(engine.row.version == "v1");
    CHECK(details_of(engine.last).cause == boot_failure::copy);
    CHECK_FALSE(core::is_upgraded(engine.row));
}

TEST_CASE("if neither version boots the engine has failed with both reasons, and has the old one") {
    auto engine = in_step(upgrade_step::revert);
    engine.then(lifecycle::exit_of(engine.row.generation));
    CHECK(engine.row.status == engine_status::failed);
    CHECK(engine.row.version == "v1");
    CHECK(engine.row.restart_at);
    CHECK(engine.row.reason.find("its upgrade to version 'v2' failed: it exited with code 1.") ==
          0);
    CHECK(engine.row.reason.find("version 'v1' did not boot again: it exited") !=
          std::string::npos);
    CHECK(details_of(engine.last).reverted == false);
    CHECK(core::has_copy_to_drop(engine.row));
    // The restart goes on with the old version, and the copy goes with it.
    engine.row = lifecycle::repeated(engine.row);
    engine.then(core::event::stopped{});
    engine.row.restart_at = engine.row.deadline = lifecycle::noon;
    engine.then(core::event::deadline{lifecycle::noon});
    engine.then(core::event::boot_healthy{});
    CHECK(core::admissible(engine.row));
    REQUIRE(engine.row.deadline);
    engine.then(core::event::deadline{*engine.row.deadline});
    CHECK(engine.last.command == core::command::drop_copy);
}

TEST_CASE("a copy that cannot be dropped is tried again, and keeps nobody from the engine") {
    auto engine = in_step(upgrade_step::watch);
    engine.then(core::event::watched{}).then(core::event::drop_failed{cause});
    CHECK(engine.row.intent == intent::none);
    CHECK(engine.last.settled);
    engine.then(core::event::deadline{*engine.row.deadline});
    CHECK(engine.last.command == core::command::drop_copy);
}

TEST_CASE("an upgrade goes on where it was after a crash of the orchestrator") {
    const auto after = [](upgrade_step step, core::event::found found) {
        auto engine = in_step(step);
        const auto version = engine.row.version;
        engine.then(found);
        CHECK(core::is_upgraded(engine.row));
        CHECK(engine.row.version == version);
        return engine.last.command;
    };
    const auto up = lifecycle::found_as(workload_state::up, 4);
    CHECK(after(upgrade_step::copy, lifecycle::found_as(workload_state::up, 3)) ==
          core::command::copy_data);
    CHECK(after(upgrade_step::copy, {}) == core::command::copy_data);
    CHECK(after(upgrade_step::boot, {}) == core::command::boot);
    CHECK(after(upgrade_step::boot, up) == core::command::boot);
    CHECK(after(upgrade_step::watch, up) == core::command::watch);
    CHECK(after(upgrade_step::watch, {}) == core::command::restore_data);
    CHECK(after(upgrade_step::restore, up) == core::command::restore_data);
    CHECK(after(upgrade_step::revert, {}) == core::command::boot);
    // Of a backup that is older than the world.
    const auto newer = lifecycle::found_as(workload_state::up, 9);
    CHECK(after(upgrade_step::copy, newer) == core::command::copy_data);
    CHECK(after(upgrade_step::watch, newer) == core::command::boot);
    CHECK(after(upgrade_step::restore, newer) == core::command::restore_data);
}

TEST_CASE("other calls wait for an upgrade, but for those that it does not concern") {
    for (const auto step : {upgrade_step::copy, upgrade_step::boot, upgrade_step::watch,
                            upgrade_step::restore, upgrade_step::revert}) {
        INFO(name_of(step));
        const auto engine = in_step(step);
        const bool serves = core::admissible(engine.row);
        const auto verdict_of = [&](const core::call_variant& call) {
            return core::decide(call, engine.row, lifecycle::context_of(engine.row, plain)).verdict;
        };
        CHECK(verdict_of(core::call::admit{}) ==
              (serves ? core::verdict::answered : core::verdict::deferred));
        CHECK(verdict_of(core::call::start{}) ==
              (serves ? core::verdict::refused : core::verdict::deferred));
        CHECK(verdict_of(core::call::wake{}) ==
              (serves ? core::verdict::refused : core::verdict::deferred));
        CHECK(verdict_of(core::call::stop{true}) == core::verdict::deferred);
        CHECK(verdict_of(core::call::rotate{}) == core::verdict::deferred);
        CHECK(verdict_of(core::call::sleep_now{}) == core::verdict::deferred);
        CHECK(verdict_of(core::call::upgrade{"v3"}) == core::verdict::deferred);
        CHECK(verdict_of(to_v2()) == core::verdict::joined);
        CHECK(verdict_of(core::call::sleep{}) == core::verdict::answered);
        CHECK(verdict_of(core::call::destroy{}) == core::verdict::joined);
    }
}

TEST_CASE("an upgrade that has begun its watch is not answered before that is over") {
    const auto engine = in_step(upgrade_step::watch);
    REQUIRE(engine.last.settled);
    CHECK_FALSE(core::outcome(to_v2(), core::verdict::joined, *engine.last.settled, &engine.row));
}

TEST_CASE("an engine that does not run gets its version with its next boot") {
    for (const auto status :
         {engine_status::stopped, engine_status::sleeping, engine_status::failed}) {
        walked engine{lifecycle::engine_in(status, intent::none), {}};
        engine.row.version = "v1";
        engine.then(to_v2());
        CHECK(engine.last.verdict == core::verdict::answered);
        CHECK(engine.row.status == status);
        CHECK(engine.row.version == "v2");
        CHECK(present_version(engine.row) == "v1");
        CHECK(settings_of(engine.row).revision == 2);
        CHECK(settings_of(engine.row).pending.version);
        engine.then(to_v2());
        CHECK(settings_of(engine.row).revision == 2); // it has that already
    }
}

TEST_CASE("an upgrade of an engine with a pending version leads back to what it runs") {
    auto engine = running_v1();
    engine_settings pending;
    pending.pending.version = true;
    pending.pending.version_before = "v1";
    engine.row.version = "v2";
    engine.row.settings = std::make_shared<const engine_settings>(pending);
    engine.then(to_v2());
    REQUIRE(engine.row.upgrade);
    CHECK(engine.row.upgrade->from_version == "v1");
    CHECK(engine.row.version == "v1");
    CHECK_FALSE(settings_of(engine.row).pending.version);
}

TEST_CASE("an upgrade of other settings than it names is refused") {
    auto engine = running_v1();
    engine.then(core::call::upgrade{"v2", {}, {}, 4});
    CHECK(engine.last.verdict == core::verdict::refused);
    CHECK(engine.last.refusal.code == errc::precondition_failed);
}
