#pragma once

#include <roundhouse/testing/simulation/backend.hpp>
#include <roundhouse/testing/simulation/judge.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// The rules of SPEC §2 that say how rows and workloads go together.
class sim_rules {
public:
    sim_rules(std::shared_ptr<sim_timeline> timeline, std::shared_ptr<sim_judge> judge,
              std::shared_ptr<sim_ledger> ledger, std::shared_ptr<sim_machine> machine,
              const settings& with)
        : timeline_(std::move(timeline)),
          judge_(std::move(judge)),
          ledger_(std::move(ledger)),
          machine_(std::move(machine)),
          settings_(with) {}

    /// To be called after every event.
    void check() {
        if (std::exchange(seen_, ledger_->version() + machine_->version()) ==
            ledger_->version() + machine_->version())
            return;
        std::set<std::uint16_t> ports;
        for (const auto& [id, one] : machine_->engines()) {
            if (!one.ours || one.orphan || !one.alive()) continue;
            const auto row = ledger_->find(id);
            judge_->require(row != nullptr, "a workload runs that has no row", short_id(id));
            judge_->require(!row || one.ref.generation <= row->generation,
                            "a workload of a generation that was never committed", short_id(id));
            judge_->require(!ledger_->gone().contains(id), "a destroyed engine runs", short_id(id));
            judge_->require(one.ref.port == 0 || ports.insert(one.ref.port).second,
                            "two workloads on one port", std::to_string(one.ref.port));
        }
    }

    /// Data goes only with a row that is `destroying` (rule 5).
    void check_removal(const uuid& engine) {
        const auto row = ledger_->find(engine);
        judge_->require(row && row->status == engine_status::destroying,
                        "data is removed of an engine that is not being destroyed",
                        short_id(engine));
    }

    void call_began(sim_operation what, const workload_ref& ref) {
        if (what == sim_operation::list) return;
        judge_->require(under_way_.insert(ref.engine_id).second, "two calls for one engine at once",
                        std::string(name_of(what)));
        if (what == sim_operation::create)
            judge_->require(++creates_ <= settings_.boot_concurrency, "too many boots at once");
        if (what == sim_operation::pause) check_pause(ref);
    }
    void call_ended(sim_operation what, const workload_ref& ref) {
        under_way_.erase(ref.engine_id);
        if (what == sim_operation::create) --creates_;
    }
    void probed(const workload_ref& ref, const health& how) {
        auto& last = answers_[ref.engine_id];
        // Of two answers at one time it is not known which the orchestrator hears first.
        if (last.at == timeline_->now() && !how.busy) return;
        last = {timeline_->now(), how.busy};
    }
    /// Somebody was admitted, or told of activity at that time.
    void used(const uuid& engine, instant at) {
        auto& one = uses_[engine];
        one.last = std::max(one.last, at);
    }
    void leased(const uuid& engine, instant until) {
        auto& one = uses_[engine];
        one.leased_until = std::max(one.leased_until, until);
    }
    /// What a process had only noted in memory goes with it.
    void process_ended() {
        for (auto& [id, one] : uses_) one.last = {};
        answers_.clear();
        under_way_.clear();
        creates_ = 0;
    }

    [[nodiscard]] std::size_t under_way() const noexcept { return under_way_.size(); }

private:
    struct answer {
        instant at{};
        bool busy = false;
    };
    struct use {
        instant leased_until{};
        instant last{};
    };

    /// Nobody who is busy is put to sleep (SPEC §5).
    void check_pause(const workload_ref& ref) {
        const auto row = ledger_->find(ref.engine_id);
        if (!row) return judge_->blame("an engine without a row is paused");
        // A wake that failed leaves it paused as it was, which others may have done at any time.
        if (row->status != engine_status::running) return;
        const auto now = timeline_->now();
        const auto& used = uses_[ref.engine_id];
        judge_->require(row->busy_until <= now && used.leased_until <= now,
                        "an engine is put to sleep during a lease", short_id(ref.engine_id));
        judge_->require(now - used.last >= settings_.sleep_after,
                        "an engine is put to sleep that was just used", short_id(ref.engine_id));
        const auto& last = answers_[ref.engine_id];
        judge_->require(!last.busy || last.at == now,
                        "an engine is put to sleep that says it is busy", short_id(ref.engine_id));
    }

    const std::shared_ptr<sim_timeline> timeline_;
    const std::shared_ptr<sim_judge> judge_;
    const std::shared_ptr<sim_ledger> ledger_;
    const std::shared_ptr<sim_machine> machine_;
    const settings settings_;
    std::uint64_t seen_ = 0;
    std::set<uuid> under_way_;
    std::size_t creates_ = 0;
    std::map<uuid, answer> answers_;
    std::map<uuid, use> uses_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
