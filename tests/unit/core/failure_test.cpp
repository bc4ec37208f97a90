#include "catch.hpp"
#include "lifecycle_rows.hpp"

#include <roundhouse/core/failure.hpp>
#include <roundhouse/core/lifecycle.hpp>

#include <chrono>
#include <optional>

using namespace roundhouse;
using namespace std::chrono_literals;

namespace {

const settings plain = lifecycle::plain_settings();

/// The record after an event, which must change it.
engine_record after(const core::event_variant& event, const engine_record& engine) {
    auto out = core::decide(event, engine, lifecycle::context_of(engine, plain));
    REQUIRE(out.row == core::row_change::update);
    return out.next;
}

core::event::exited exit_by_signal(std::uint64_t generation) {
    auto exit = lifecycle::exit_of(generation);
    exit.exit.exit_code.reset();
    exit.exit.signal = 9;
    exit.exit.out_of_memory = true;
    return exit;
}

/// What the calls that wait are told after an event; nothing without details.
std::optional<error_details> told(const core::event_variant& event, const engine_record& engine) {
    const auto out = core::decide(event, engine, lifecycle::context_of(engine, plain));
    REQUIRE(out.settled);
    REQUIRE(out.settled->failure);
    return out.settled->failure->details;
}

} // namespace

TEST_CASE("how a crashed engine ended is kept until it runs again") {
    const auto running = lifecycle::engine_in(engine_status::running, intent::none);
    CHECK_FALSE(core::failure_of(running));
    const auto failed = after(exit_by_signal(3), running);
    const auto failure = core::failure_of(failed);
    REQUIRE(failure);
    CHECK(failure->reason == "it ran out of memory.");
    CHECK(failure->exit == exit_status{{}, 9, true});
    CHECK(failure->attempts == 0);
    CHECK(failure->restart_at == failed.restart_at);
    CHECK_FALSE(failure->gave_up);

    auto due = after(core::event::stopped{}, failed);
    due.restart_at = due.deadline = lifecycle::noon;
    const auto restarting = after(core::event::deadline{lifecycle::noon}, due);
    CHECK(restarting.restarts == 1);
    const auto still = core::failure_of(restarting);
    REQUIRE(still);
    CHECK(still->exit == failure->exit);
    CHECK(still->attempts == 1);
    CHECK_FALSE(still->restart_at);
    CHECK_FALSE(still->gave_up);

    const auto healthy = after(core::event::boot_healthy{}, restarting);
    CHECK_FALSE(core::failure_of(healthy));
    CHECK(healthy.last_exit == exit_status{});
    CHECK(healthy.restarts == 1);
    CHECK(core::booted_at(healthy) == lifecycle::noon);
}

TEST_CASE("a failure without an exit does not keep that of an earlier one") {
    auto restarting = lifecycle::booting(boot_reason::restart, engine_status::failed);
    restarting.deadline = lifecycle::noon;
    restarting.last_exit.exit_code = 1;
    const auto failed = after(core::event::deadline{lifecycle::noon}, restarting);
    const auto failure = core::failure_of(failed);
    REQUIRE(failure);
    CHECK(failure->reason == "it was not healthy in time.");
    CHECK(failure->exit == exit_status{});
}

TEST_CASE("a failed engine that is not restarted any more says so") {
    auto last_try = lifecycle::booting(boot_reason::restart, engine_status::failed);
    last_try.restart_attempts = plain.restart_max_attempts;
    const auto failed = after(lifecycle::exit_of(3), last_try);
    const auto failure = core::failure_of(failed);
    REQUIRE(failure);
    CHECK(failure->gave_up);
    CHECK_FALSE(failure->restart_at);
    CHECK(failure->exit.exit_code == 1);
    CHECK(failure->attempts == plain.restart_max_attempts);
}

TEST_CASE("an engine that is stopped or destroyed has no failure") {
    auto stopping = lifecycle::stopping(engine_status::failed);
    stopping.last_exit.exit_code = 1;
    CHECK(core::failure_of(stopping));
    const auto stopped = after(core::event::stopped{}, stopping);
    CHECK(stopped.status == engine_status::stopped);
    CHECK_FALSE(core::failure_of(stopped));
    CHECK(stopped.last_exit == exit_status{});
    CHECK_FALSE(core::failure_of(lifecycle::engine_in(engine_status::destroying, intent::destroy)));
}

TEST_CASE("an engine has booted while it runs or sleeps only") {
    auto engine = lifecycle::engine_in(engine_status::running, intent::none);
    const auto since = engine.healthy_since;
    CHECK(core::booted_at(engine) == since);
    engine.status = engine_status::sleeping;
    CHECK(core::booted_at(engine) == since);
    engine.status = engine_status::destroying;
    CHECK_FALSE(core::booted_at(engine));
}

TEST_CASE("a restart for which no port is free counts among the restarts") {
    const auto due = lifecycle::failed_engine(intent::none, 0ms);
    const error none{errc::port_exhaustion, "no free port"};
    const auto failed = after(core::event::restart_without_port{none}, due);
    CHECK(failed.restarts == 1);
    CHECK(failed.restart_attempts == 1);
}

TEST_CASE("calls that wait for a boot or a wake are told whether the workload ended or was slow") {
    auto boots = lifecycle::booting(boot_reason::first, engine_status::provisioning);
    auto wakes = lifecycle::engine_in(engine_status::sleeping, intent::wake);
    boots.deadline = wakes.deadline = lifecycle::noon;
    const error_details timeout{boot_failure::timeout, {}};
    const error_details exited{boot_failure::exited, {1, {}, false}};
    for (const auto& engine : {boots, wakes}) {
        CHECK(told(core::event::deadline{lifecycle::noon}, engine) == timeout);
        CHECK(told(lifecycle::exit_of(3), engine) == exited);
    }
    CHECK(told(core::event::wake_unhealthy{"it is hung."}, wakes) == timeout);
    // What ended while no orchestrator ran has no code.
    CHECK(told(core::event::found{}, wakes) == error_details{boot_failure::exited, {}});
    const error refused{errc::backend_error, "the daemon answered 500."};
    const auto start = lifecycle::booting(boot_reason::start, engine_status::stopped);
    CHECK_FALSE(told(core::event::boot_refused{refused}, start));
}
