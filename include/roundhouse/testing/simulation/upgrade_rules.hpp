#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/upgrade_state.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/engine_upgrade.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <variant>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Checks that an upgrade ends on one of its two versions (SPEC §3): on the new one if it is reported
/// as done; else on the old one, and on the data from before if that was copied.
class upgrade_rules {
public:
    upgrade_rules(violations& found, const machine& host) : violations_(found), machine_(host) {}

    /// Takes in a commit, with what the store returned for it.
    void committed(const change_set& set, const result<roundhouse::committed>& outcome) {
        if (!outcome) return;
        for (const auto& row : outcome->engines) {
            if (core::is_upgraded(*row)) goes_on(*row);
            else ended(*row, set);
            versions_[row->id] = present_version(*row);
        }
        for (const auto& change : set.changes)
            if (const auto* erased = std::get_if<erase_engine>(&change)) forget(*erased);
    }

private:
    struct begun {
        std::string from_version;
        std::string to_version;
        std::uint64_t data = 0; ///< What was copied; 0 if nothing was.
    };

    void goes_on(const engine_record& row) {
        const auto& upgrade = *row.upgrade;
        const auto [known, is_new] = begun_.try_emplace(row.id);
        auto& of = known->second;
        if (is_new) of = {versions_[row.id], upgrade.to_version, 0};
        if (upgrade.step == upgrade_step::boot && upgrade.has_copy && of.data == 0)
            of.data = data_of(row.id);
        owners_[{row.product_id, row.user_id}] = row.id;
        violations_.require(row.version == of.from_version || row.version == of.to_version,
                            "an upgrade has neither of its versions", short_id(row.id));
    }

    void ended(const engine_record& row, const change_set& set) {
        const auto known = begun_.find(row.id);
        if (known == begun_.end()) return;
        const auto of = known->second;
        begun_.erase(known);
        if (row.status == engine_status::destroying) return;
        const bool done = reports(set, audit_action::upgrade);
        violations_.require(row.version == (done ? of.to_version : of.from_version),
                            "an upgrade ends on another version than it is reported to",
                            short_id(row.id));
        const bool reverted = reports(set, audit_action::upgrade_reverted);
        violations_.require(done || reverted || row.status == engine_status::failed,
                            "the end of an upgrade is not reported", short_id(row.id));
        violations_.require(!reverted || of.data == 0 || data_of(row.id) == of.data,
                            "an upgrade is reverted to other data than were copied",
                            short_id(row.id));
    }

    void forget(const erase_engine& erased) {
        const auto known = owners_.find({erased.product_id, erased.user_id});
        if (known == owners_.end()) return;
        begun_.erase(known->second);
        owners_.erase(known);
    }

    static bool reports(const change_set& set, audit_action action) {
        return std::ranges::any_of(set.audit,
                                   [=](const audit_entry& row) { return row.action == action; });
    }

    [[nodiscard]] std::uint64_t data_of(const uuid& engine) const {
        const auto found = machine_.engines().find(engine);
        return found == machine_.engines().end() ? 0 : found->second.data;
    }

    violations& violations_;
    const machine& machine_;
    std::map<uuid, std::string> versions_; ///< Of each engine's workload, by its last commit.
    std::map<uuid, begun> begun_;
    std::map<engine_owner, uuid> owners_; ///< Of engines that were upgraded.
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
