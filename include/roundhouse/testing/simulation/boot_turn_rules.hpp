#pragma once

#include <roundhouse/core/shares.hpp>
#include <roundhouse/testing/simulation/backend_observer.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/scenario.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <algorithm>
#include <cstddef>
#include <map>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Checks how the turns to boot are shared out (SPEC §5): not more than there are, and to no product
/// those that are kept for products which hold none, nor more than its policy allows. A boot holds its turn at least while the backend
/// prepares or creates its workload.
class boot_turn_rules {
public:
    boot_turn_rules(violations& found, const ledger& rows, const scenario& scenario)
        : violations_(found), ledger_(rows), scenario_(scenario) {}

    void call_began(backend_operation operation, const workload_ref& ref) {
        if (!boots(operation)) return;
        const auto row = ledger_.find(ref.engine_id);
        const auto product = row ? row->product_id : uuid{};
        under_way_[ref.engine_id] = product;
        violations_.require(under_way_.size() <= scenario_.settings.boot_concurrency,
                            "too many boots at once");
        const auto of_product = std::ranges::count_if(
            under_way_, [&](const auto& entry) { return entry.second == product; });
        violations_.require(static_cast<std::size_t>(of_product) <= most_of_a_product(),
                            "a product boots more engines at once than its share");
    }
    void call_ended(backend_operation operation, const workload_ref& ref) {
        if (boots(operation)) under_way_.erase(ref.engine_id);
    }
    void process_ended() { under_way_.clear(); }

private:
    static bool boots(backend_operation operation) {
        return operation == backend_operation::prepare || operation == backend_operation::create;
    }

    [[nodiscard]] std::size_t most_of_a_product() const {
        const auto turns = scenario_.settings.boot_concurrency;
        const auto share = turns == 1 ? 1 : turns - core::kept_turns(turns);
        return std::min<std::size_t>(share, scenario_.most_boots.value_or(share));
    }

    violations& violations_;
    const ledger& ledger_;
    const scenario& scenario_;
    std::map<uuid, uuid> under_way_; ///< The product of each engine.
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
