#include "catch.hpp"
#include "lifecycle_rows.hpp"

#include <chrono>
#include <optional>

using namespace roundhouse;
using namespace std::chrono_literals;

namespace {

const settings plain = lifecycle::plain_settings();

core::decision decide(const core::event_variant& event, const engine_record& engine) {
    return core::decide(event, engine, lifecycle::at(lifecycle::noon, plain));
}

/// What a start finds of an engine whose row is older than its workload.
core::event::found newer_workload(const engine_record& engine) {
    found_workload out;
    out.ref = {engine.id, engine.generation + 3, engine.port};
    out.state = workload_state::up;
    return core::event::found{out};
}

} // namespace

TEST_CASE("a start that is taken up over a newer workload ends where it began if it is refused") {
    for (const auto origin : {engine_status::stopped, engine_status::failed}) {
        auto booting = lifecycle::booting(boot_reason::start, origin);
        const auto again = decide(newer_workload(booting), booting);
        REQUIRE(again.next.status == engine_status::provisioning);
        CHECK(again.next.origin == origin);
        CHECK(again.next.generation > booting.generation + 3);
        const error cause{errc::backend_error, "no memory"};
        const auto refused = decide(core::event::boot_refused{cause}, again.next);
        CHECK(refused.next.status == origin);
        const auto ended = decide(core::event::stopped{}, refused.next);
        CHECK(ended.next.status == origin);
        CHECK(ended.next.intent == intent::none);
    }
}

TEST_CASE("a planned restart keeps its time through the rounding of clocks") {
    auto failed = lifecycle::failed_engine(intent::end, 4s);
    auto context = lifecycle::at(lifecycle::noon, plain);
    for (const auto noise : {-2ms, -1ms, 0ms, 1ms, 2ms}) {
        context.restart_in = 4s + noise;
        const auto ended = core::decide(core::event::stopped{}, failed, context);
        CHECK(ended.next.restart_at == failed.restart_at);
        CHECK(ended.next.deadline == failed.restart_at);
    }
    context.restart_in = 2s; // the clock was set
    const auto ended = core::decide(core::event::stopped{}, failed, context);
    CHECK(ended.next.restart_at == lifecycle::noon + 2s);
}
