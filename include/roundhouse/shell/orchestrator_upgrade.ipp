#pragma once

#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/names.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/engine_upgrade.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <optional>
#include <string>
#include <utility>

/// Upgrades of engines (SPEC §3). What a call leads to is the state machine's (core/upgrading.hpp),
/// once its version is prepared (shell/version_preparer.hpp).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Why an upgrade is not begun, whatever the engine is; nothing if it may be.
ROUNDHOUSE_DECL std::optional<error>
orchestrator_state::refusal(const product& product, const upgrade_options& options) const {
    const auto invalid = [](std::string message) {
        return error{errc::invalid_request, std::move(message)};
    };
    if (const auto fault = core::names::check_version(options.version))
        return invalid("engine_version: " + *fault);
    if (options.healthy_for < duration{0} || options.healthy_for > core::longest_watch_asked)
        return invalid("healthy_for_s: must be 0 to 600.");
    if (options.keep_copy.value_or(false) && !services.backend->has_data_copy())
        return invalid("keep_copy: the server's backend, " + std::string(services.backend->name()) +
                       ", cannot copy an engine's data. Leave it out, or set it to false.");
    if (auto allowed = core::may_use_version(product, options.version, services.settings); !allowed)
        return std::move(allowed.error());
    return std::nullopt;
}

ROUNDHOUSE_DECL void orchestrator_state::upgrade(product_ptr product, std::string user_id,
                                                 upgrade_options options,
                                                 completion<engine_view> done) {
    if (auto refused = refusal(*product, options)) return done(unexpected(std::move(*refused)));
    auto call = call_of(engine_call::upgrade{std::move(options)});
    auto upgraded = [self = shared_from_this(), product](const engine_ptr& engine) {
        return self->started_view(engine, *product);
    };
    through_mailbox<engine_view>(std::move(product), std::move(user_id), std::move(call),
                                 std::move(upgraded), std::move(done));
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
