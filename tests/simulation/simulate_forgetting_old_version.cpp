#include "simulate.hpp"

#include <roundhouse/engine_upgrade.hpp>
#include <roundhouse/testing/simulation/world.hpp>

#include <memory>
#include <utility>
#include <variant>

namespace {

/// A store that does not keep which version an upgrade came from, as if the state machine had
/// forgotten it.
class forgetful_store : public roundhouse::memory_store {
public:
    roundhouse::result<roundhouse::committed> commit(const roundhouse::change_set& set) {
        auto kept = set;
        for (auto& change : kept.changes) {
            auto* const updated = std::get_if<roundhouse::update_engine>(&change);
            if (updated == nullptr || !updated->record.upgrade) continue;
            auto upgrade = *updated->record.upgrade;
            upgrade.from_version = upgrade.to_version;
            updated->record.upgrade = std::make_shared<const roundhouse::engine_upgrade>(
                std::move(upgrade));
        }
        return memory_store::commit(kept);
    }
};

} // namespace

namespace roundhouse_tests {

roundhouse::testing::sim::run_report
simulate_forgetting_old_version(const roundhouse::testing::sim::run_options& options) {
    return roundhouse::testing::sim::world<forgetful_store>(options).run();
}

} // namespace roundhouse_tests
