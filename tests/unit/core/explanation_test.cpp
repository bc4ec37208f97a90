#include "catch.hpp"
#include "decision_text.hpp"
#include "lifecycle_rows.hpp"

#include <roundhouse/core/explanation.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>

using namespace roundhouse;
using namespace std::chrono_literals;

namespace {

const settings plain = lifecycle::plain_settings();

std::string shown(std::optional<engine_status> status) {
    return status ? std::string(name_of(*status)) : "gone";
}

/// What comes next for a record at noon, in one line; of a running one that sleeps in half an hour.
std::string next_of(const engine_record& engine, bool backend_away = false) {
    auto context = lifecycle::context_of(engine, plain);
    context.backend_away = backend_away;
    const auto next = core::next_of(engine, context, lifecycle::noon + 30min);
    if (!next) return "nothing";
    auto text = std::string(next->step) + " -> " + shown(next->becomes);
    if (next->at) text += " at " + lifecycle::offset(*next->at, lifecycle::noon);
    if (next->by)
        text += " by " + lifecycle::offset(*next->by, lifecycle::noon) + ", else " +
                shown(next->otherwise);
    return text;
}

std::string why(const engine_record& engine) {
    return core::why_it_is(engine, lifecycle::context_of(engine, plain));
}

} // namespace

TEST_CASE("what is told to come next is what the state machine decides then") {
    const std::map<std::string, std::string> wanted{
        {"provisioning/boot first", "boot -> running by +0s, else failed"},
        {"provisioning/boot rotate", "boot -> running by +0s, else failed"},
        {"provisioning/stop", "stop -> stopped by +0s, else provisioning"},
        {"running/none", "sleep -> sleeping at +1800s"},
        {"running/stop", "stop -> stopped by +0s, else running"},
        {"running/sleep", "sleep -> sleeping by +0s, else running"},
        {"running/rotate", "rotate -> running by +0s, else provisioning"},
        {"sleeping/none", "nothing"},
        {"sleeping/none to be ended", "deep_sleep -> sleeping at +540s"},
        {"sleeping/none without a workload", "nothing"},
        {"sleeping/deep_sleep", "deep_sleep -> sleeping by +0s, else sleeping"},
        {"provisioning/boot wake", "boot -> running by +0s, else failed"},
        {"sleeping/wake", "wake -> running by +0s, else failed"},
        {"provisioning/copy", "copy -> provisioning by +0s, else provisioning"},
        {"provisioning/boot upgrade", "boot -> running by +0s, else provisioning"},
        {"running/watch", "watch -> running by +0s, else running"},
        {"provisioning/restore", "restore -> provisioning by +0s, else provisioning"},
        {"provisioning/boot revert", "boot -> running by +0s, else failed"},
        {"running/drop_copy", "drop_copy -> running by +0s, else running"},
        {"stopped/none", "nothing"},
        {"failed/none restart due", "restart -> provisioning at +0s"},
        {"failed/none restart far off", "restart -> provisioning at +240s"},
        {"failed/none given up", "nothing"},
        {"failed/end restart far off", "restart -> provisioning at +240s"},
        {"failed/stop", "stop -> stopped by +0s, else failed"},
        {"destroying/destroy", "destroy -> gone"},
        {"destroying/undo", "undo -> gone by +0s, else destroying"},
    };
    std::size_t seen = 0;
    for (const auto& [name, record] : lifecycle::all_records()) {
        const auto row = wanted.find(name);
        if (row == wanted.end()) continue;
        INFO(name);
        CHECK(next_of(record) == row->second);
        ++seen;
    }
    CHECK(seen == wanted.size());
}

TEST_CASE("no time is told for a restart that waits for the backend") {
    CHECK(next_of(lifecycle::failed_engine(intent::none, 0s), true) == "restart -> provisioning");
}

TEST_CASE("an engine in any state tells why it is in it") {
    for (const auto& [name, record] : lifecycle::all_records()) {
        INFO(name);
        CHECK(why(record).ends_with('.'));
    }
    CHECK(why(lifecycle::engine_in(engine_status::sleeping, intent::none)) == "It sleeps: idle.");
    CHECK(why(lifecycle::deep_sleeper(intent::none)) == "It sleeps without a workload: idle.");
    CHECK(why(lifecycle::asked_to_sleep(sleep_mode::paused)) ==
          "It is being put to sleep, as a call asked for.");
    const auto failed = lifecycle::failed_engine(intent::none, 5s);
    CHECK(why(failed) == "It has failed: it exited with code 1.");
    CHECK(why(lifecycle::failed_engine(intent::none, std::nullopt)) ==
          "It has failed: it exited with code 1. It is not restarted any more: call start.");
    auto away = lifecycle::context_of(failed, plain);
    away.backend_away = true;
    CHECK(core::why_it_is(failed, away).ends_with("It is restarted once the backend is back."));
    const auto watched = lifecycle::upgraded(upgrade_step::watch, engine_status::running,
                                             intent::watch);
    CHECK(why(watched) ==
          "It is upgraded from version 'v1' to 'v2': the new version serves, and is watched. Its "
          "data "
          "was copied before: if the new version fails, the old one boots with that.");
    auto without_copy = watched;
    engine_upgrade upgrade = *watched.upgrade;
    upgrade.has_copy = false;
    without_copy.upgrade = std::make_shared<const engine_upgrade>(upgrade);
    CHECK(why(without_copy)
              .ends_with("There is no copy of its data: if the new version fails, the old "
                         "one boots with what that has made of the data."));
    const auto running = lifecycle::engine_in(engine_status::running, intent::none);
    auto braked = lifecycle::context_of(running, plain);
    braked.brake = core::brake_state::on;
    CHECK(core::why_it_is(running, braked).find("failed probes do not count") != std::string::npos);
}
