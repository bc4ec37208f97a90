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
namespace testing::sim::detail {

/// Why a simulated fleet is not at rest; nothing if it is.
[[nodiscard]] inline std::optional<std::string> reason_for_unrest(const ledger& rows, machine& host,
                                                                  const settings& settings) {
    std::vector<engine_ptr> engines;
    for (const auto& [id, known] : rows.rows()) engines.push_back(known.row);
    std::vector<observed_workload> workloads;
    for (const auto& [id, engine] : host.engines()) {
        const bool healthy = !host.hangs(engine.ref) && host.answer(engine.ref);
        const auto row = rows.find(id);
        if (engine.copy != 0 && row && !row->upgrade)
            return "a copy of the data of " + short_id(id) + " is left";
        workloads.push_back(
            {engine.ref, engine.state, healthy, engine.key_hash, engine.ours, engine.orphan});
    }
    return quiet_check(std::move(engines), std::move(workloads), settings).failure();
}

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
