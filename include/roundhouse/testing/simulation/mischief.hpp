#pragma once

#include <roundhouse/testing/simulation/faults.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/scene.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/trace.hpp>
#include <roundhouse/types.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// What happens to the machine and its workloads without anybody asking for it.
class sim_mischief {
public:
    sim_mischief(std::shared_ptr<sim_timeline> timeline, std::shared_ptr<sim_faults> faults,
                 std::shared_ptr<sim_machine> machine, std::shared_ptr<sim_trace> trace,
                 const sim_scene& scene)
        : timeline_(std::move(timeline)),
          faults_(std::move(faults)),
          machine_(std::move(machine)),
          trace_(std::move(trace)),
          scene_(scene) {}

    /// Goes on until the faults end.
    void go_on() {
        if (!faults_->on()) return;
        timeline_->after(faults_->random().between(duration{1}, scene_.mischief_gap), [this] {
            happen();
            go_on();
        });
    }

    [[nodiscard]] bool store_is_full() const { return timeline_->now() < full_until_; }

    void end() { full_until_ = {}; }

private:
    using seconds = std::chrono::seconds;

    void happen() {
        if (!faults_->on()) return;
        if (faults_->strikes(sim_fault::daemon_away)) {
            trace_->note("machine: the daemon goes away");
            machine_->go_away(soon(seconds{20}));
        }
        if (faults_->strikes(sim_fault::store_full)) {
            trace_->note("store: full");
            full_until_ = soon(seconds{20});
        }
        if (scene_.needs_port && faults_->strikes(sim_fault::stranger)) invite();
        if (auto* one = anyone()) befall(*one);
    }

    void befall(sim_workload& one) {
        const auto id = one.ref.engine_id;
        if (faults_->strikes(sim_fault::sick)) one.sick_until = soon(seconds{60});
        if (faults_->strikes(sim_fault::busy)) one.busy_until = soon(seconds{60});
        if (faults_->strikes(sim_fault::hung_probe)) one.hung_until = soon(seconds{60});
        if (faults_->strikes(sim_fault::paused_alone)) machine_->pause_alone(id, true);
        if (faults_->strikes(sim_fault::resumed_alone)) machine_->pause_alone(id, false);
        if (faults_->strikes(sim_fault::lone_death)) machine_->end_alone(id, 1);
        if (faults_->strikes(sim_fault::clean_death)) machine_->end_alone(id, 0);
        if (faults_->strikes(sim_fault::removed)) {
            // Nothing probes one that is paused, or taken for paused: without an event nobody could
            // know.
            const bool paused = one.state == workload_state::paused || one.meddled;
            const bool told = paused || faults_->random().chance(0.5);
            machine_->end_alone(id, 137, told);
        }
    }

    void invite() {
        const auto port = static_cast<std::uint16_t>(
            faults_->random().between(scene_.settings.port_min, scene_.settings.port_max));
        if (!machine_->port_usable(port)) return;
        trace_->note("machine: a stranger takes port " + std::to_string(port));
        machine_->let_in(port);
        timeline_->at(soon(seconds{60}), [this, port] { machine_->let_out(port); });
    }

    instant soon(duration at_most) {
        return timeline_->now() + faults_->random().between(duration{1}, at_most);
    }

    sim_workload* anyone() {
        const auto& all = machine_->engines();
        if (all.empty()) return nullptr;
        auto at = all.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(faults_->random().below(all.size())));
        return at->second.alive() ? machine_->find(at->first) : nullptr;
    }

    const std::shared_ptr<sim_timeline> timeline_;
    const std::shared_ptr<sim_faults> faults_;
    const std::shared_ptr<sim_machine> machine_;
    const std::shared_ptr<sim_trace> trace_;
    const sim_scene scene_;
    instant full_until_{};
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
