#pragma once

#include <roundhouse/testing/simulation/fault_injector.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/scenario.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/trace.hpp>
#include <roundhouse/testing/simulation/wall_clock.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// The faults that come by themselves and not with a call: those of the machine, of its workloads
/// and of the store's disk.
class spontaneous_faults {
public:
    spontaneous_faults(timeline& time, wall_clock& wall, fault_injector& faults, machine& host,
                       trace& events, const scenario& scenario)
        : time_(time),
          wall_(wall),
          faults_(faults),
          machine_(host),
          trace_(events),
          scenario_(scenario) {}

    /// Plans rounds of faults until the injector ends.
    void begin() {
        if (!faults_.active()) return;
        time_.after(faults_.random().between(duration{1}, scenario_.longest_fault_gap), [this] {
            inject();
            begin();
        });
    }

    /// To be called when an operation has begun: what it commits next may be refused.
    void operation_began() {
        if (!faults_.fires(fault::store_full_midway)) return;
        const bool long_stretch = faults_.random().chance(0.3);
        const auto longest = long_stretch ? duration{std::chrono::minutes{5}} : seconds{20};
        store_full_until_ = std::max(store_full_until_, time_within(longest));
        trace_.note("store: full in the middle of an operation");
    }

    [[nodiscard]] bool store_is_full() const { return time_.now() < store_full_until_; }

    void end() { store_full_until_ = {}; }

private:
    using seconds = std::chrono::seconds;

    void inject() {
        if (!faults_.active()) return;
        if (faults_.fires(fault::daemon_away)) {
            trace_.note("machine: the daemon goes away");
            machine_.go_away(time_within(seconds{20}));
        }
        if (faults_.fires(fault::store_full)) {
            trace_.note("store: full");
            store_full_until_ = time_within(seconds{20});
        }
        if (faults_.fires(fault::clock_set)) set_clock();
        if (scenario_.needs_port && faults_.fires(fault::stranger)) take_port();
        if (auto* engine = draw_engine()) inject_into(*engine);
    }

    void inject_into(hosted_engine& engine) {
        const auto id = engine.ref.engine_id;
        if (faults_.fires(fault::sick)) engine.sick_until = time_within(seconds{60});
        if (faults_.fires(fault::busy)) engine.busy_until = time_within(seconds{60});
        if (faults_.fires(fault::hung_probe)) engine.hung_until = time_within(seconds{60});
        if (faults_.fires(fault::paused_alone)) machine_.set_paused(id, true);
        if (faults_.fires(fault::resumed_alone)) machine_.set_paused(id, false);
        if (faults_.fires(fault::lone_death)) machine_.end_workload(id, 1);
        if (faults_.fires(fault::clean_death)) machine_.end_workload(id, 0);
        const auto& product = engine.owner.product_id;
        if (!machine_.lacks_provider(product) && faults_.fires(fault::outage)) {
            trace_.note("machine: an outage of what a product's engines need");
            machine_.begin_outage(product, time_within(std::chrono::minutes{10}));
        }
        if (faults_.fires(fault::removed)) {
            // A workload that is paused, or that the orchestrator may take for paused, is not
            // probed: without an event its end could not be known.
            const bool paused = engine.state == workload_state::paused || engine.paused_by_others;
            const bool reported = paused || faults_.random().chance(0.5);
            machine_.end_workload(id, 137, reported);
        }
    }

    /// Sets the wall clock by seconds, minutes or hours; half of the times for some seconds only.
    void set_clock() {
        auto& random = faults_.random();
        constexpr std::array<duration, 3> most{std::chrono::minutes{1}, std::chrono::hours{1},
                                               std::chrono::hours{12}};
        auto by = random.between(seconds{1}, most[random.below(most.size())]);
        if (random.chance(0.5)) by = -by;
        shift_clock(by);
        if (random.chance(0.5))
            time_.at(time_within(seconds{30}), [this, by] {
                if (faults_.active()) shift_clock(-by);
            });
    }
    void shift_clock(duration by) {
        trace_.note("machine: the wall clock is set by " + std::to_string(by.count()) + " ms");
        wall_.shift(by);
    }

    void take_port() {
        const auto port = static_cast<std::uint16_t>(
            faults_.random().between(scenario_.settings.port_min, scenario_.settings.port_max));
        if (!machine_.can_be_taken(port)) return;
        trace_.note("machine: a stranger takes port " + std::to_string(port));
        machine_.take_port(port);
        time_.at(time_within(seconds{60}), [this, port] { machine_.free_port(port); });
    }

    instant time_within(duration longest) {
        return time_.now() + faults_.random().between(duration{1}, longest);
    }

    /// Draws an engine of the machine; null if its workload is down.
    hosted_engine* draw_engine() {
        const auto& engines = machine_.engines();
        if (engines.empty()) return nullptr;
        auto at = engines.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(faults_.random().below(engines.size())));
        return at->second.alive() ? machine_.find(at->first) : nullptr;
    }

    timeline& time_;
    wall_clock& wall_;
    fault_injector& faults_;
    machine& machine_;
    trace& trace_;
    const scenario& scenario_;
    instant store_full_until_{};
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
