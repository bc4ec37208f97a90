#pragma once

#include <roundhouse/core/ceilings.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/core/settings_change.hpp>
#include <roundhouse/crypto/sealed_env.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>

/// Changes of the settings of engines.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The variables of an engine in clear, if a change needs them: to remove them all nothing has to be
/// known of them. A variable whose value is not known has one that none can have.
ROUNDHOUSE_DECL result<named_texts> orchestrator_state::env_for(const settings_change& wanted,
                                                                const engine_record& engine) const {
    if (!wanted.env.any()) return named_texts{};
    const auto& settings = settings_of(engine);
    auto env = crypto::unseal_env(settings.sealed_env, services.keys);
    if (env) return std::move(*env);
    if (!wanted.env.remove_all)
        return fail(errc::internal_error,
                    "The variables of engine " + to_string(engine.id) +
                        " cannot be read: none of the master keys fits. Remove all of them with "
                        "{\"env\":null}, then set them anew.");
    named_texts unknown;
    for (const auto& name : settings.env_names) unknown[name] = std::string(1, '\0');
    return unknown;
}

/// The call that changes an engine's settings as they are now; one that changes nothing has an empty
/// list of what is changed.
ROUNDHOUSE_DECL result<core::call::change_settings>
orchestrator_state::change_of(const settings_change& wanted, const engine_record& engine,
                              const product& of) const {
    auto env = env_for(wanted, engine);
    if (!env) return unexpected(std::move(env.error()));
    const auto& before = settings_of(engine);
    const auto was = core::options_of(before, std::move(*env));
    auto after = core::changed(was, wanted);
    core::call::change_settings out;
    out.revision = before.revision;
    out.reserved_memory_mb = engine.reserved_memory_mb;
    out.changed = core::differing_members(was, after);
    if (out.changed.empty()) return out;
    if (auto refused = refusal(after)) return unexpected(std::move(*refused));
    if (after.limits != was.limits) { // what an engine has it may keep
        const auto& backend = *services.backend;
        const auto defaults = services.defaults.of(of.id);
        const auto asked = core::asked_beside(
            was.limits, after.limits, core::policy_of(of, services.settings), backend.limits());
        const auto granted = core::grant_limits(asked, of, defaults.get(), backend.limits(),
                                                backend.name(), services.settings);
        if (!granted) return unexpected(granted.error());
        out.reserved_memory_mb = granted->memory_mb.value_or(0);
        out.max_total_memory_mb = core::policy_of(of, services.settings).max_total_memory_mb;
    }
    std::string sealed_env;
    if (after.env != was.env && !after.env.empty())
        if (auto allowed = core::may_give_env(of, services.settings); !allowed)
            return unexpected(std::move(allowed.error()));
    if (after.env != was.env)
        sealed_env = crypto::seal_env(after.env, services.keys, services.now(), services.entropy);
    out.settings = std::make_shared<const engine_settings>(
        core::changed_settings(before, was, after, std::move(sealed_env)));
    return out;
}

ROUNDHOUSE_DECL void orchestrator_state::change_settings(product_ptr product, std::string user_id,
                                                         settings_change wanted,
                                                         change_options options,
                                                         completion<engine_view> done) {
    if (auto refused = refusal(user_id)) return done(unexpected(std::move(*refused)));
    if (auto refused = services.ended.refusal(*product))
        return done(unexpected(std::move(*refused)));
    services.tasks.run(replace_settings(std::move(product), std::move(user_id), std::move(wanted),
                                        options, std::move(done)));
}

/// Another change of the same engine may come between its reading and its commit: then the change is
/// made anew of what that has left. Each time another change has been made, so that all are.
ROUNDHOUSE_DECL asio::awaitable<void>
orchestrator_state::replace_settings(product_ptr product, std::string user_id,
                                     settings_change wanted, change_options options,
                                     completion<engine_view> done) {
    for (;;) {
        pending_result<engine_ptr> pending;
        find_record(product, user_id, pending.complete());
        auto reading = pending.wait();
        const auto found = co_await std::move(reading);
        if (!found) co_return done(unexpected(found.error()));
        if ((*found)->status == engine_status::destroying)
            co_return done(unexpected(no_engine({product->id, user_id})));
        const auto revision = settings_of(**found).revision;
        if (options.if_revision && *options.if_revision != revision)
            co_return done(unexpected(changed_meanwhile(user_id, revision)));
        auto call = change_of(wanted, **found, *product);
        if (!call) co_return done(unexpected(std::move(call.error())));
        if (call->changed.empty() && !options.restart)
            co_return done(started_view(*found, *product));
        call->restart = options.restart;
        pending_result<engine_view> changing;
        enqueue_change(product, user_id, std::move(*call), changing.complete());
        auto waiting = changing.wait();
        auto changed = co_await std::move(waiting);
        if (changed || changed.error().code != errc::revision_conflict)
            co_return done(std::move(changed));
    }
}

ROUNDHOUSE_DECL error orchestrator_state::changed_meanwhile(const std::string& user_id,
                                                            std::uint64_t revision) {
    return {errc::precondition_failed,
            "If-Match names another settings_revision than that of the engine of user '" + user_id +
                "' (" + std::to_string(revision) + "). Read the engine again, and decide anew."};
}

ROUNDHOUSE_DECL void orchestrator_state::enqueue_change(product_ptr product, std::string user_id,
                                                        core::call::change_settings asked,
                                                        completion<engine_view> done) {
    waiting_call call;
    call.call = std::move(asked);
    through_mailbox<engine_view>(
        product, std::move(user_id), std::move(call),
        [self = shared_from_this(), product](const engine_ptr& engine) {
            return self->started_view(engine, *product);
        },
        std::move(done));
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
