#pragma once

#include <roundhouse/core/shares.hpp>
#include <roundhouse/testing/simulation/backend_observer.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/scenario.hpp>
#include <roundhouse/testing/simulation/turns.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <algorithm>
#include <cstddef>
#include <map>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Checks how the turns to prepare a workload, for a boot or an upgrade, and to boot are shared out (SPEC §5): not more than
/// there are, and to no product those that are kept for products which hold none, nor more than its
/// policy allows. A boot holds its turn at least while the backend works for it.
class turn_rules {
public:
    turn_rules(violations& found, const ledger& rows, const scenario& scenario)
        : violations_(found), ledger_(rows), scenario_(scenario) {}

    void call_began(backend_operation operation, const workload_ref& ref) {
        const auto row = ledger_.find(ref.engine_id);
        const auto kind = turn_of(operation, row);
        if (kind == turn::none) return;
        const auto product = row ? row->product_id : uuid{};
        const auto turns = turns_of(kind);
        auto& held = held_[kind];
        held[ref.engine_id] = product;
        const bool boots = kind == turn::boot;
        violations_.require(held.size() <= turns, boots
                                                      ? "too many boots at once"
                                                      : "too many workloads are prepared at once");
        const auto of_product = std::ranges::count_if(
            held, [&](const auto& entry) { return entry.second == product; });
        violations_.require(static_cast<std::size_t>(of_product) <= most_of_a_product(turns),
                            boots ? "a product boots more engines at once than its share"
                                  : "a product prepares more workloads at once than its share");
    }
    void call_ended(backend_operation operation, const workload_ref& ref) {
        held_[turn_during(operation)].erase(ref.engine_id);
    }
    void process_ended() { held_.clear(); }

private:
    [[nodiscard]] std::size_t turns_of(turn kind) const {
        const auto& settings = scenario_.settings;
        return kind == turn::boot ? settings.boot_concurrency : settings.prepare_concurrency;
    }

    [[nodiscard]] std::size_t most_of_a_product(std::size_t turns) const {
        const auto share = turns == 1 ? 1 : turns - core::kept_turns(turns);
        return std::min<std::size_t>(share, scenario_.most_boots.value_or(share));
    }

    violations& violations_;
    const ledger& ledger_;
    const scenario& scenario_;
    std::map<turn, std::map<uuid, uuid>> held_; ///< The product of each engine.
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
