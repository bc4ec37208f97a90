#pragma once

#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/types.hpp>

#include <optional>
#include <string>

namespace roundhouse::inline ROUNDHOUSE_ABI::testing {

/// What is not yet as it should be once nothing goes wrong any more and nobody calls; nothing if
/// all is.
class sim_quiet {
public:
    sim_quiet(const sim_ledger& ledger, sim_machine& machine, const settings& with)
        : ledger_(ledger), machine_(machine), settings_(with) {}

    [[nodiscard]] std::optional<std::string> missing() const {
        for (const auto& [id, known] : ledger_.rows())
            if (auto why = missing(*known.row)) return why;
        for (const auto& [id, one] : machine_.engines()) {
            if (one.orphan && one.alive()) return "a workload without a row still runs";
            if (one.ours && !one.orphan && !ledger_.find(id))
                return "data of " + short_id(id) + " has no row";
            if (!one.ours && !one.alive()) return "another installation's workload was ended";
        }
        return std::nullopt;
    }

private:
    [[nodiscard]] std::optional<std::string> missing(const engine_record& row) const {
        const auto name = short_id(row.id) + " of " + row.user_id + " (" +
                          std::string(name_of(row.status)) + "/" +
                          std::string(name_of(row.intent)) + ")";
        if (row.intent != intent::none) return name + " is under way";
        const auto* one = machine_.find(row.id);
        const auto state = one == nullptr ? workload_state::down : one->state;
        switch (row.status) {
        case engine_status::provisioning:
        case engine_status::destroying: return name + " is under way";
        case engine_status::running:
            if (state != workload_state::up) return name + " does not run";
            return missing_of_running(row, *one, name);
        case engine_status::sleeping:
            if (state != workload_state::paused) return name + " is not frozen";
            return std::nullopt;
        case engine_status::failed:
            if (row.restart_at) return name + " is to be restarted";
            if (row.restart_attempts < settings_.restart_max_attempts)
                return name + " has not given up, and is not restarted";
            [[fallthrough]];
        case engine_status::stopped:
            if (state != workload_state::down) return name + " is not down";
            return std::nullopt;
        }
        return name + " is nothing that is known";
    }

    static std::optional<std::string>
    missing_of_running(const engine_record& row, const sim_workload& one, const std::string& name) {
        if (one.ref.generation != row.generation) return name + " runs as another generation";
        if (one.ref.port != row.port) return name + " runs on another port";
        if (one.key_hash != row.key_hash) return name + " runs with another key";
        return std::nullopt;
    }

    const sim_ledger& ledger_;
    sim_machine& machine_;
    const settings settings_;
};

} // namespace roundhouse::inline ROUNDHOUSE_ABI::testing
