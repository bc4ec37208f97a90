#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/testing/simulation/faults.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/trace.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// What there is of one engine on the machine.
struct sim_workload {
    workload_ref ref; ///< Of the last workload that was made.
    engine_owner owner;
    workload_state state = workload_state::down;
    bool ours = true;
    std::uint64_t pauses_by_us = 0; ///< How often we have paused or resumed it.
    bool meddled = false;           ///< Somebody else has paused it; that may be told late.
    bool orphan = false;            ///< There from the beginning, without a row.
    sha256_digest key_hash{};
    std::uint64_t brain = 0; ///< Its data: a value that must stay the same for as long as it lives.
    instant healthy_at{};    ///< The far end of time for one that never is.
    instant sick_until{};
    instant busy_until{};
    instant hung_until{};

    [[nodiscard]] bool alive() const noexcept { return state != workload_state::down; }
};

/// The machine that workloads run on, which outlives the process that looks after them. What is
/// done here happens at once; `sim_backend` is the unreliable way to it. For one thread.
class sim_machine {
public:
    static constexpr instant never = instant::max();

    sim_machine(std::shared_ptr<sim_timeline> timeline, std::shared_ptr<sim_faults> faults,
                std::shared_ptr<sim_trace> trace, duration boot_timeout)
        : timeline_(std::move(timeline)),
          faults_(std::move(faults)),
          trace_(std::move(trace)),
          boot_timeout_(boot_timeout) {}

    [[nodiscard]] const std::map<uuid, sim_workload>& engines() const noexcept { return engines_; }
    [[nodiscard]] sim_workload* find(const uuid& engine) {
        const auto found = engines_.find(engine);
        return found == engines_.end() ? nullptr : &found->second;
    }

    /// Told before an engine's data is removed.
    void on_removal(std::function<void(const uuid&)> told) { removal_ = std::move(told); }
    void on_exit(std::function<void(const workload_exit&)> handler) { exit_ = std::move(handler); }
    void on_pause(std::function<void(const workload_pause&)> handler) {
        pause_ = std::move(handler);
    }

    /// Counts what changes here, so that rules need only be looked at when something did.
    [[nodiscard]] std::uint64_t version() const noexcept { return version_; }

    // What the backend is asked for

    result<void> create(const workload& what) {
        auto& known = engines_[what.ref.engine_id];
        if (known.alive() && known.ref.generation > what.ref.generation)
            return fail(errc::backend_error, "A newer workload of this engine is up.");
        if (known.alive() && known.ref.generation == what.ref.generation) return {};
        const bool fresh = known.brain == 0;
        known.state = workload_state::down; // an older one is replaced
        ++version_;
        if (what.ref.port != 0 && !port_usable(what.ref.port)) {
            if (fresh) engines_.erase(what.ref.engine_id);
            return fail(errc::backend_error, "Its port is in use.");
        }
        if (fresh) known.brain = faults_->random().next() | 1U;
        known.ref = what.ref;
        known.owner = {what.product_id, what.user_id};
        known.key_hash = what.key_hash;
        known.state = workload_state::up;
        known.meddled = false;
        known.sick_until = known.busy_until = known.hung_until = instant{};
        boot(known);
        return {};
    }

    result<void> stop(const workload_ref& what) {
        if (auto* known = find(what.engine_id)) known->state = workload_state::down;
        ++version_;
        return {};
    }
    result<void> pause(const workload_ref& what) { return set(what, workload_state::paused); }
    result<void> resume(const workload_ref& what) { return set(what, workload_state::up); }

    result<void> destroy(const workload_ref& what) {
        if (find(what.engine_id) == nullptr) return {};
        if (removal_) removal_(what.engine_id);
        engines_.erase(what.engine_id);
        ++version_;
        return {};
    }

    result<void> swap_key(const workload_ref& what, const sha256_digest& next) {
        auto* known = find(what.engine_id);
        if (known == nullptr || known->state != workload_state::up)
            return fail(errc::backend_error, "It is not up.");
        known->key_hash = next;
        ++version_;
        return {};
    }

    /// What its engine would answer now. A paused one does not answer: `hangs` tells that.
    result<health> answer(const workload_ref& what) {
        const auto* known = find(what.engine_id);
        const auto now = timeline_->now();
        if (known == nullptr || !known->alive()) return fail(errc::backend_error, "It is not up.");
        if (known->healthy_at > now) return fail(errc::backend_error, "It is booting.");
        if (known->sick_until > now) return fail(errc::backend_error, "It is not well.");
        return health{known->busy_until > now};
    }
    [[nodiscard]] bool hangs(const workload_ref& what) {
        const auto* known = find(what.engine_id);
        if (known == nullptr || !known->alive()) return false;
        return known->state == workload_state::paused || known->hung_until > timeline_->now();
    }

    [[nodiscard]] bool port_usable(std::uint16_t port) const {
        if (strangers_.contains(port)) return false;
        for (const auto& [id, one] : engines_)
            if (one.alive() && one.ref.port == port) return false;
        return true;
    }

    // What happens to it

    /// A workload ends and nobody asked for it. With `told` there is an event of it.
    void end_alone(const uuid& engine, int exit_code, bool told = true) {
        auto* known = find(engine);
        if (known == nullptr || !known->alive() || !known->ours || known->orphan) return;
        known->state = workload_state::down;
        ++version_;
        trace_->note("machine: " + short_id(engine) + " exits with " + std::to_string(exit_code));
        if (!told) return;
        workload_exit what;
        what.ref = known->ref;
        what.exit_code = exit_code;
        plan_exit(what);
        if (faults_->strikes(sim_fault::double_exit)) plan_exit(what);
    }

    /// Somebody else pauses or resumes a workload.
    void pause_alone(const uuid& engine, bool paused) {
        auto* known = find(engine);
        const auto before = paused ? workload_state::up : workload_state::paused;
        if (known == nullptr || known->state != before || !known->ours || known->orphan) return;
        known->state = paused ? workload_state::paused : workload_state::up;
        known->meddled = true;
        ++version_;
        trace_->note("machine: " + short_id(engine) +
                     (paused ? " is paused by somebody" : " is resumed by somebody"));
        plan_pause_report({known->ref, paused}, known->pauses_by_us);
    }

    /// Its daemon answers no call until then.
    void go_away(instant until) { away_until_ = until; }
    [[nodiscard]] bool away() const noexcept { return timeline_->now() < away_until_; }

    void let_in(std::uint16_t stranger) { strangers_.insert(stranger); }
    void let_out(std::uint16_t stranger) { strangers_.erase(stranger); }

    /// A workload that runs before there is any row: of ours, to be ended, or of another
    /// installation, which nobody here may touch.
    void add_stray(const uuid& engine, bool ours) {
        auto& known = engines_[engine];
        known.ref = {engine, 1, 0};
        known.state = workload_state::up;
        known.ours = ours;
        known.orphan = ours;
        known.brain = 1;
    }

    /// From here on engines are well; those that never boot stay as they are.
    void heal() {
        strangers_.clear();
        away_until_ = {};
        for (auto& [id, one] : engines_) one.sick_until = one.busy_until = one.hung_until = {};
    }

private:
    result<void> set(const workload_ref& what, workload_state state) {
        auto* known = find(what.engine_id);
        if (known == nullptr || !known->alive()) return fail(errc::backend_error, "It is not up.");
        known->state = state;
        ++known->pauses_by_us;
        ++version_;
        return {};
    }

    void boot(sim_workload& one) {
        auto& random = faults_->random();
        one.healthy_at = timeline_->now() + random.between(duration{0}, duration{400});
        if (faults_->strikes(sim_fault::slow_boot))
            one.healthy_at = timeline_->now() +
                             random.between(boot_timeout_ / 2, boot_timeout_ * 2);
        if (faults_->strikes(sim_fault::never_healthy)) one.healthy_at = never;
        if (!faults_->strikes(sim_fault::dies_booting)) return;
        timeline_->after(random.between(duration{0}, duration{500}), [this, ref = one.ref] {
            const auto* known = find(ref.engine_id);
            if (known != nullptr && known->ref == ref) end_alone(ref.engine_id, 1);
        });
    }

    /// What we did since is not told as somebody else's doing. A daemon that is away tells when it
    /// is back.
    void plan_pause_report(const workload_pause& what, std::uint64_t pauses_by_us) {
        const auto wait = faults_->random().between(duration{0}, duration{50});
        timeline_->at(std::max(timeline_->now() + wait, away_until_), [this, what, pauses_by_us] {
            const auto* known = find(what.ref.engine_id);
            const auto now = what.paused ? workload_state::paused : workload_state::up;
            if (known == nullptr || known->ref != what.ref) return;
            if (pause_ && known->state == now && known->pauses_by_us == pauses_by_us) pause_(what);
        });
    }

    void plan_exit(const workload_exit& what) {
        auto& random = faults_->random();
        auto wait = random.between(duration{0}, duration{50});
        if (faults_->strikes(sim_fault::late_exit))
            wait = random.between(duration{1'000}, duration{20'000});
        timeline_->after(wait, [this, what] {
            if (exit_) exit_(what);
        });
    }

    const std::shared_ptr<sim_timeline> timeline_;
    const std::shared_ptr<sim_faults> faults_;
    const std::shared_ptr<sim_trace> trace_;
    const duration boot_timeout_;
    std::map<uuid, sim_workload> engines_;
    std::set<std::uint16_t> strangers_;
    std::function<void(const uuid&)> removal_;
    std::function<void(const workload_exit&)> exit_;
    std::function<void(const workload_pause&)> pause_;
    std::uint64_t version_ = 0;
    instant away_until_{};
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
