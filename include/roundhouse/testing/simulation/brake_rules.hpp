#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/changes.hpp>
#include <roundhouse/core/brake.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/timeline.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/types.hpp>

#include <map>
#include <optional>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Checks what a brake keeps from happening (SPEC §5): while it is on, failed probes fail an engine
/// only as a trial, after the longest time of the brake, and one at a time.
class brake_rules {
public:
    brake_rules(const timeline& time, violations& found, const ledger& rows,
                const settings& settings)
        : time_(time), violations_(found), ledger_(rows), settings_(settings) {}

    /// Takes in how a product's brake stands. To be called after every event.
    void saw(const uuid& product, const std::optional<brake_status>& brake) {
        if (!brake) {
            brakes_.erase(product);
            return;
        }
        auto& tried = brakes_.try_emplace(product, braked{time_.now(), {}}).first->second.tried;
        if (tried && !restarts(*tried)) tried.reset();
        violations_.require(settings_.brake_percent > 0, "a brake is on that is switched off");
        violations_.require(brake->failing <= brake->running, "more engines fail than run");
    }

    /// Takes in an audit row when it is committed, with how its product's brake stands.
    void committed(const audit_entry& row, const std::optional<brake_status>& brake) {
        if (row.action != audit_action::health_failed || !row.engine_id) return;
        if (has(row, "trial")) return check_trial(row, brake);
        violations_.require(!brake || !has(row, "failures"),
                            "an engine is failed by its probes while the brake is on",
                            short_id(*row.engine_id));
    }

    /// A brake is kept in memory only.
    void process_ended() { brakes_.clear(); }

private:
    struct braked {
        instant since{};           ///< In virtual time.
        std::optional<uuid> tried; ///< The engine that is restarted as a trial.
    };

    [[nodiscard]] bool restarts(const uuid& engine) const {
        const auto row = ledger_.find(engine);
        return row && row->status != engine_status::running && core::comes_back(*row);
    }

    static bool has(const audit_entry& row, std::string_view name) {
        for (const auto& [key, value] : row.metadata)
            if (key == name) return true;
        return false;
    }

    void check_trial(const audit_entry& row, const std::optional<brake_status>& brake) {
        const auto subject = short_id(*row.engine_id);
        const auto known = brakes_.find(*row.product_id);
        if (!brake || known == brakes_.end())
            return violations_.add("an engine is tried while the brake is off: " + subject);
        auto& [since, tried] = known->second;
        violations_.require(time_.now() - since >= settings_.brake_max,
                            "an engine is tried before the longest time of the brake", subject);
        violations_.require(!tried, "two engines are tried at once", subject);
        tried = row.engine_id;
    }

    const timeline& time_;
    violations& violations_;
    const ledger& ledger_;
    const settings& settings_;
    std::map<uuid, braked> brakes_; ///< Those that are on.
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
