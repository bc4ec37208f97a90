#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/settings_in_force.hpp>
#include <roundhouse/core/sleep_state.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/testing/simulation/backend_observer.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/testing/simulation/wall_clock.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Checks the rules of SPEC §2 and §5 that relate rows, workloads and backend calls.
class workload_rules {
public:
    workload_rules(const timeline& time, const wall_clock& wall, violations& found,
                   const ledger& rows, const machine& host, const settings& settings,
                   std::function<product_ptr(const uuid&)> product_of)
        : time_(time),
          wall_(wall),
          violations_(found),
          ledger_(rows),
          machine_(host),
          settings_(settings),
          product_of_(std::move(product_of)) {}

    /// Checks every workload against its row, if rows or workloads have changed since the last
    /// call. To be called after every event.
    void check() {
        const auto version = ledger_.version() + machine_.version();
        if (version == checked_version_) return;
        checked_version_ = version;
        std::set<std::uint16_t> ports;
        for (const auto& [id, engine] : machine_.engines()) {
            if (!engine.ours || engine.orphan || !engine.alive()) continue;
            const auto row = ledger_.find(id);
            violations_.require(row != nullptr, "a workload runs that has no row", short_id(id));
            violations_.require(!row || row->intent != intent::none || !core::sleeps_deeply(*row),
                                "an engine has a workload that sleeps without one", short_id(id));
            violations_.require(!row || engine.ref.generation <= row->generation,
                                "a workload of a generation that was never committed",
                                short_id(id));
            violations_.require(!row || engine.ref.generation != row->generation ||
                                    engine.version == present_version(*row),
                                "an engine runs another version than its row says", short_id(id));
            violations_.require(!ledger_.destroyed().contains(id), "a destroyed engine runs",
                                short_id(id));
            violations_.require(engine.ref.port == 0 || ports.insert(engine.ref.port).second,
                                "two workloads on one port", std::to_string(engine.ref.port));
        }
    }

    /// Checks that data is removed only for a row in `destroying` (rule 5).
    void check_removal(const uuid& engine) {
        const auto row = ledger_.find(engine);
        violations_.require(row && row->status == engine_status::destroying,
                            "data is removed of an engine that is not being destroyed",
                            short_id(engine));
    }

    void call_began(backend_operation operation, const workload_ref& ref) {
        if (operation == backend_operation::list || operation == backend_operation::prepare_upgrade)
            return;
        violations_.require(under_way_.insert(ref.engine_id).second,
                            "two backend calls for one engine at once",
                            std::string(name_of(operation)));
        if (operation == backend_operation::pause) check_pause(ref);
    }
    void call_ended(const workload_ref& ref) { under_way_.erase(ref.engine_id); }
    void probed(const workload_ref& ref, const health& answer) {
        auto& last = answers_[ref.engine_id];
        // Of two answers at the same time, it is not known which the orchestrator gets first.
        if (last.at == time_.now() && !answer.busy) return;
        last = {time_.now(), answer.busy};
    }
    /// The engine was admitted to, or its activity was noted, at that time.
    void used(const uuid& engine, instant at) {
        auto& use = uses_[engine];
        use.last = std::max(use.last, at);
    }
    void leased(const uuid& engine, instant until) {
        auto& use = uses_[engine];
        if (until <= use.leased_until) return;
        use.leased_until = until;
        use.leased_shifts = wall_.shifts();
        use.leased_before_crash = false;
    }
    /// Forgets what the process kept in memory only.
    void process_ended() {
        for (auto& [id, use] : uses_) {
            use.last = {};
            use.leased_before_crash = true;
        }
        answers_.clear();
        under_way_.clear();
    }

    /// The number of backend calls under way.
    [[nodiscard]] std::size_t under_way() const noexcept { return under_way_.size(); }

private:
    struct probe_answer {
        instant at{};
        bool busy = false;
    };
    struct engine_use {
        instant leased_until{};           ///< In virtual time.
        std::uint64_t leased_shifts = 0;  ///< How often the wall clock had been set then.
        bool leased_before_crash = false; ///< The process has died since.
        instant last{};
    };

    /// Checks that an engine in use is not put to sleep (SPEC §5).
    void check_pause(const workload_ref& ref) {
        const auto row = ledger_.find(ref.engine_id);
        if (!row) return violations_.add("an engine without a row is paused");
        // A wake that failed leaves the workload paused, whatever its use.
        if (row->status != engine_status::running) return;
        const auto now = time_.now();
        const auto& use = uses_[ref.engine_id];
        // A process that begins knows the end of a lease only by the wall clock.
        const bool lease_known = !use.leased_before_crash || use.leased_shifts == wall_.shifts();
        violations_.require(!lease_known || use.leased_until <= now,
                            "an engine is put to sleep during a lease", short_id(ref.engine_id));
        violations_.require(wall_.shifts() > 0 || row->busy_until <= now,
                            "an engine is put to sleep while its row is busy",
                            short_id(ref.engine_id));
        const auto product = product_of_(row->product_id);
        const auto* const defaults = product->defaults.get();
        violations_.require(!core::is_pinned(*row, defaults), "a pinned engine is put to sleep",
                            short_id(ref.engine_id));
        violations_.require(core::sleeps_for_a_call(*row) ||
                                now - use.last >= core::sleep_after_of(*row, settings_, defaults),
                            "an engine is put to sleep that was just used",
                            short_id(ref.engine_id));
        const auto& last = answers_[ref.engine_id];
        violations_.require(!last.busy || last.at == now,
                            "an engine is put to sleep that says it is busy",
                            short_id(ref.engine_id));
    }

    const timeline& time_;
    const wall_clock& wall_;
    violations& violations_;
    const ledger& ledger_;
    const machine& machine_;
    const settings& settings_;
    const std::function<product_ptr(const uuid&)> product_of_;
    std::uint64_t checked_version_ = 0;
    std::set<uuid> under_way_;
    std::map<uuid, probe_answer> answers_;
    std::map<uuid, engine_use> uses_;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
