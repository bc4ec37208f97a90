#pragma once

#include <roundhouse/core/settings_in_force.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/crypto/sealed_env.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/types.hpp>

#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What must not be shown of an engine's output: its keys, the values of its variables and of those of
/// its product's defaults, and what the program gives every engine. What no master key opens is left
/// out: no workload was made with it since.
[[nodiscard]] inline std::vector<std::string> secrets_of(const engine_record& engine,
                                                         const services& services) {
    auto secrets = services.redacted;
    secrets.push_back(to_hex(engine.key_hash));
    secrets.push_back(to_hex(engine.next_key_hash));
    for (const auto& sealed : {engine.sealed_key, engine.next_sealed_key})
        if (!sealed.empty())
            if (auto key = services.keys.unseal(sealed)) secrets.push_back(std::move(*key));
    const auto& settings = settings_of(engine);
    std::vector<std::string> envs{settings.sealed_env, settings.pending.sealed_env};
    if (const auto defaults = services.defaults.of(engine.product_id))
        for (auto& sealed : core::sealed_default_envs(engine, *defaults))
            envs.push_back(std::move(sealed));
    for (const auto& sealed : envs)
        if (const auto env = crypto::unseal_env(sealed, services.keys))
            for (const auto& [name, value] : *env) secrets.push_back(value);
    return secrets;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
