#pragma once

#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/names.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/core/upgrade_state.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/engine_upgrade.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

/// Upgrades of engines (SPEC §3). The new version is prepared while the old one serves; what follows
/// is the state machine's (core/upgrading.hpp).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Whether the new version has to be there before the old one is ended. An engine that does not run
/// gets it with its next boot, and one that is upgraded to it already has it.
[[nodiscard]] inline bool needs_version(const engine_record& engine, const std::string& version) {
    const bool boots_on = engine.status == engine_status::running ||
                          engine.status == engine_status::provisioning;
    return boots_on && !core::is_upgraded(engine) && present_version(engine) != version;
}

/// The failure of an upgrade whose new version cannot be prepared.
[[nodiscard]] inline error not_prepared(const engine_record& engine, const std::string& version,
                                        const error& cause) {
    error out{errc::upgrade_failed, "The upgrade of the engine of user '" + engine.user_id +
                                        "' to version '" + version +
                                        "' has failed: it cannot be prepared: " + cause.message};
    if (!cause.message.ends_with('.')) out.message += '.';
    out.message += " Nothing was changed.";
    out.details = error_details{boot_failure::prepare, {}, true};
    return out;
}

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
    if (auto refused = refusal(user_id)) return done(unexpected(std::move(*refused)));
    if (auto refused = refusal(*product, options)) return done(unexpected(std::move(*refused)));
    find_record(product, user_id,
                [self = shared_from_this(), product, user_id, options,
                 done = std::move(done)](const result<engine_ptr>& found) {
                    if (!found) return done(unexpected(found.error()));
                    self->prepare_upgrade(product, *found, options, done);
                });
}

/// Prepares the new version if that is needed, then asks the engine's mailbox for the upgrade.
ROUNDHOUSE_DECL void orchestrator_state::prepare_upgrade(product_ptr product, engine_ptr engine,
                                                         upgrade_options options,
                                                         completion<engine_view> done) {
    const auto revision = settings_of(*engine).revision;
    const bool needed = needs_version(*engine, options.version);
    if (needed && options.if_revision && *options.if_revision != revision)
        return done(unexpected(changed_meanwhile(engine->user_id, revision)));
    if (!needed || !services.backend->has_prepare())
        return enqueue_upgrade(std::move(product), engine->user_id, std::move(options),
                               std::move(done));
    const engine_owner owner{engine->product_id, engine->user_id};
    auto begin = [self = shared_from_this(), product, engine, options,
                  done = std::move(done)](const result<void>&) {
        auto ended = [self, product, engine, options, done](const std::exception_ptr& failure,
                                                            const result<void>& prepared) {
            self->upgrade_preparations.leave(engine->product_id);
            if (failure) return done(unexpected(going_away()));
            if (!prepared)
                return done(unexpected(not_prepared(*engine, options.version, prepared.error())));
            self->enqueue_upgrade(product, engine->user_id, options, done);
        };
        auto body = self->prepare_version(product, engine, options.version);
        self->services.tasks.spawn(std::move(body), std::move(ended));
    };
    upgrade_preparations.enter(owner, allowance_of(*product, services.settings), std::move(begin));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
orchestrator_state::prepare_version(product_ptr product, engine_ptr engine, std::string version) {
    workload wanted{.ref = ref_of(*engine),
                    .owner = {engine->product_id, engine->user_id},
                    .version = std::move(version),
                    .key_hash = engine->key_hash,
                    .product_slug = product->slug};
    auto prepared = co_await services.backend->prepare(wanted);
    co_return prepared;
}

ROUNDHOUSE_DECL void orchestrator_state::enqueue_upgrade(product_ptr product, std::string user_id,
                                                         upgrade_options options,
                                                         completion<engine_view> done) {
    waiting_call call;
    call.call = core::call::upgrade{std::move(options.version), options.healthy_for,
                                    options.keep_copy, options.if_revision};
    auto upgraded = [self = shared_from_this(), product](const engine_ptr& engine) {
        return self->started_view(engine, *product);
    };
    through_mailbox<engine_view>(std::move(product), std::move(user_id), std::move(call),
                                 std::move(upgraded), std::move(done));
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
