#pragma once

#include <roundhouse/settings.hpp>
#include <roundhouse/testing/quiet.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/machine.hpp>
#include <roundhouse/types.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// What is not yet as it should be in a simulation; nothing if all is.
[[nodiscard]] inline std::optional<std::string>
missing_for_quiet(const sim_ledger& ledger, sim_machine& machine, const settings& with) {
    std::vector<engine_ptr> rows;
    for (const auto& [id, known] : ledger.rows()) rows.push_back(known.row);
    std::vector<found_workload> workloads;
    for (const auto& [id, one] : machine.engines()) {
        const bool healthy = !machine.hangs(one.ref) && machine.answer(one.ref);
        workloads.push_back({one.ref, one.state, healthy, one.key_hash, one.ours, one.orphan});
    }
    return quiet_check(std::move(rows), std::move(workloads), with).missing();
}

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
