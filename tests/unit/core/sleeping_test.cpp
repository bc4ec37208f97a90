#include "catch.hpp"
#include "lifecycle_rows.hpp"

#include <chrono>
#include <memory>

using namespace roundhouse;
using namespace std::chrono_literals;

namespace {

const settings plain = lifecycle::plain_settings();

core::decision due(const engine_record& engine, const core::context& context) {
    return core::decide(core::event::deadline{engine.deadline.value()}, engine, context);
}

engine_record pinned(engine_record engine) {
    auto changed = settings_of(engine);
    changed.sleep.pinned = true;
    engine.settings = std::make_shared<const engine_settings>(changed);
    return engine;
}

} // namespace

TEST_CASE("a deep sleep is due when its wait is over, whatever the wall clock says") {
    const auto sleeper = lifecycle::to_be_ended();
    for (const auto shift : {-1h, 0h, 1h}) {
        const auto out = due(sleeper, lifecycle::at(lifecycle::noon + shift, plain));
        CHECK(out.next.intent == intent::deep_sleep);
        CHECK(out.command == core::command::stop);
    }
    const auto earlier = lifecycle::at(lifecycle::noon, plain);
    CHECK(core::decide(core::event::deadline{lifecycle::noon}, sleeper, earlier).row ==
          core::row_change::none);
}

TEST_CASE("a busy lease keeps the workload of an engine that somebody else has paused") {
    auto sleeper = lifecycle::to_be_ended();
    sleeper.busy_until = lifecycle::noon + 1h;
    const auto context = lifecycle::at(lifecycle::noon, plain);
    const auto held = due(sleeper, context);
    CHECK(held.next.intent == intent::none);
    CHECK(held.next.deadline == lifecycle::noon + 10min);
    const core::call::sleep_now deeply{sleep_mode::stopped};
    CHECK(core::decide(deeply, sleeper, context).refusal.code == errc::engine_busy);
    sleeper.busy_until = lifecycle::noon;
    CHECK(due(sleeper, context).next.intent == intent::deep_sleep);
    CHECK(core::decide(deeply, sleeper, context).verdict == core::verdict::joined);
}

TEST_CASE("no workload is ended for a deep sleep while the backend is away") {
    const auto sleeper = lifecycle::to_be_ended();
    auto context = lifecycle::at(lifecycle::noon, plain);
    context.backend_away = true;
    const auto out = due(sleeper, context);
    CHECK(out.row == core::row_change::none);
    CHECK_FALSE(out.settled);
}

TEST_CASE("the deep sleep of an engine that falls asleep is planned, unless it is pinned") {
    auto chosen = plain;
    chosen.deep_sleep_after = 1h;
    const auto context = lifecycle::at(lifecycle::noon, chosen);
    const auto falling = lifecycle::engine_in(engine_status::running, intent::sleep);
    const auto asleep = core::decide(core::event::asleep{}, falling, context).next;
    CHECK(asleep.deadline == lifecycle::noon + 1h);
    CHECK(asleep.sleeping_since == lifecycle::noon);
    const core::event::paused_by_others paused = lifecycle::pause_of(3, true);
    const auto running = lifecycle::engine_in(engine_status::running, intent::none);
    CHECK(core::decide(paused, running, context).next.deadline == lifecycle::noon + 1h);
    CHECK_FALSE(core::decide(paused, pinned(running), context).next.deadline);
}

TEST_CASE("a recovery keeps the plan of a deep sleep, and makes another if the time was changed") {
    const auto found = lifecycle::found_as(workload_state::paused, 3);
    const auto sleeper = lifecycle::to_be_ended();
    const auto context = lifecycle::at(lifecycle::noon + 1h, plain); // it is due long since
    CHECK(core::decide(found, sleeper, context).row == core::row_change::none);

    auto chosen = plain;
    auto unplanned = lifecycle::engine_in(engine_status::sleeping, intent::none);
    const auto off = lifecycle::at(lifecycle::noon, chosen);
    CHECK(core::decide(found, unplanned, off).row == core::row_change::none);
    chosen.deep_sleep_after = 1h;
    const auto on = lifecycle::at(lifecycle::noon, chosen);
    const auto planned = core::decide(found, unplanned, on);
    REQUIRE(planned.row == core::row_change::update);
    CHECK(planned.next.deadline == lifecycle::noon + 59min); // it has slept for a minute
    CHECK(planned.next.status == engine_status::sleeping);
    const auto none = core::decide(found, pinned(sleeper), off);
    REQUIRE(none.row == core::row_change::update);
    CHECK_FALSE(none.next.deadline);
}

TEST_CASE("an engine that wakes, fails or is stopped does not sleep any more") {
    const auto context = lifecycle::at(lifecycle::noon, plain);
    auto waking = lifecycle::booting(boot_reason::wake, engine_status::sleeping);
    waking.sleep_mode = sleep_mode::stopped;
    waking.sleeping_since = lifecycle::noon - 1h;
    for (const auto& event : {core::event_variant{core::event::boot_healthy{}},
                              core::event_variant{lifecycle::exit_of(3)}}) {
        const auto next = core::decide(event, waking, context).next;
        CHECK(next.sleep_mode == sleep_mode::paused);
        CHECK(next.sleeping_since == instant{});
    }
    const core::event::boot_refused refused{{errc::backend_error, "no"}};
    const auto asleep = core::decide(refused, waking, context).next;
    CHECK(asleep.status == engine_status::sleeping);
    CHECK(asleep.sleep_mode == sleep_mode::stopped);
    CHECK(asleep.sleeping_since == waking.sleeping_since);
}

TEST_CASE("the actor of a deep sleep is who asked for it") {
    const auto context = lifecycle::at(lifecycle::noon, plain);
    auto asked = lifecycle::to_be_ended();
    asked.reason = core::detail::asked_to_sleep;
    const auto actor_of = [&](const core::decision& begun) {
        const auto ended = core::decide(core::event::stopped{}, begun.next, context);
        REQUIRE(ended.audit.size() == 1);
        return ended.audit.front().actor;
    };
    CHECK(actor_of(due(asked, context)) == "system");
    const core::call::sleep_now deeply{sleep_mode::stopped};
    CHECK(actor_of(core::decide(deeply, asked, context)) == "demo");
}
