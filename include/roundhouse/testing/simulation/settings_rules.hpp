#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/changes.hpp>
#include <roundhouse/core/ceilings.hpp>
#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/core/settings_change.hpp>
#include <roundhouse/core/settings_in_force.hpp>
#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/crypto/sealed_env.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/testing/simulation/ledger.hpp>
#include <roundhouse/testing/simulation/violations.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::sim::detail {

/// Checks that each engine is made and stopped with what it and its product's defaults were given
/// (SPEC §3), and made with the ceilings of its product's policy (SPEC §4).
class settings_rules {
public:
    settings_rules(violations& found, const ledger& rows, const crypto::key_ring& keys,
                   const settings& settings, std::function<product_ptr(const uuid&)> product_of)
        : violations_(found),
          ledger_(rows),
          keys_(keys),
          settings_(settings),
          product_of_(std::move(product_of)) {}

    /// A workload is asked for.
    void asked_for(const workload& request) {
        const auto row = ledger_.find(request.ref.engine_id);
        if (!row) return; // another rule's
        const auto& settings = settings_of(*row);
        violations_.require(request.version == row->version,
                            "a workload gets another version than its row has", short_id(row->id));
        // What has been changed since the boot was begun comes with the next one.
        const auto product = product_of_(row->product_id);
        const auto* const defaults = product->defaults.get();
        const auto wanted = core::limits_in_force(core::merged(present_limits(settings), defaults),
                                                  core::policy_of(*product, settings_), {});
        violations_.require(request.limits == wanted,
                            "a workload gets other ceilings than its row and its policy have",
                            short_id(row->id));
        const auto own = crypto::unseal_env(present_sealed_env(settings), keys_);
        const auto given = crypto::unseal_env(
            defaults != nullptr ? defaults->settings.sealed_env : std::string(), keys_);
        violations_.require(
            own && given && core::merged(*own, *given) == request.env,
            "a workload gets another environment than its row and the defaults have",
            short_id(row->id));
    }

    /// A workload is asked to end.
    void asked_to_stop(const workload_ref& ref, duration grace) {
        const auto row = ledger_.find(ref.engine_id);
        if (!row || (row->intent != intent::stop && row->intent != intent::deep_sleep)) return;
        const auto product = product_of_(row->product_id);
        violations_.require(grace == core::stop_grace_of(*row, settings_, product->defaults.get()),
                            "an engine is stopped with another grace than its own",
                            short_id(row->id));
    }

    /// A provision with these options was answered with this engine.
    void provisioned(const uuid& engine, const provision_options& options) {
        const auto row = ledger_.find(engine);
        if (!row) return; // destroyed meanwhile
        const auto& settings = settings_of(*row);
        if (settings.revision != 1) return; // changed meanwhile
        const bool has_metadata = std::ranges::all_of(options.metadata, [&](const auto& member) {
            const auto found = settings.metadata.find(member.first);
            return found != settings.metadata.end() && found->second == member.second;
        }); // beside those of the defaults
        violations_.require(
            has_metadata && settings.limits == options.limits &&
                settings.stop_grace == options.stop_grace && settings.sleep == options.sleep,
            "an engine has other settings than its product gave it", short_id(engine));
        violations_.require(crypto::unseal_env(settings.sealed_env, keys_) == options.env,
                            "an engine has another environment than its product gave it",
                            short_id(engine));
    }

    /// A change was answered with this engine. `others`: it was not the only one
    /// meanwhile.
    void changed(const uuid& engine, const settings_change& change, bool others) {
        const auto row = ledger_.find(engine);
        if (!row || others) return;
        const auto env = crypto::unseal_env(settings_of(*row).sealed_env, keys_);
        const auto after = core::options_of(settings_of(*row), env.value_or(named_texts{}));
        violations_.require(core::differing_members(after, core::changed(after, change)).empty(),
                            "a change was answered that was not made", short_id(engine));
    }

private:
    violations& violations_;
    const ledger& ledger_;
    const crypto::key_ring& keys_;
    const settings& settings_;
    const std::function<product_ptr(const uuid&)> product_of_;
};

} // namespace testing::sim::detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
