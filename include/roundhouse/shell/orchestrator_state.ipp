#pragma once

#include <roundhouse/core/admission.hpp>
#include <roundhouse/core/ceilings.hpp>
#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/failure.hpp>
#include <roundhouse/core/lifecycle.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/core/settings_in_force.hpp>
#include <roundhouse/core/sleep_state.hpp>
#include <roundhouse/core/upgrade_state.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL std::shared_ptr<orchestrator_state>
orchestrator_state::make(orchestrator_parts parts) {
    auto state = std::make_shared<orchestrator_state>(std::move(parts));
    const std::weak_ptr<orchestrator_state> weak = state;
    state->services.tasks.keep_alive(weak);
    state->services.backend->on_exit([weak](const workload_exit& exit) {
        if (const auto self = weak.lock())
            self->enqueue(exit.owner, engine_event{core::event::exited{exit}});
    });
    state->services.backend->on_pause([weak](const workload_pause& pause) {
        if (const auto self = weak.lock())
            self->enqueue(pause.owner, engine_event{core::event::paused_by_others{pause}});
    });
    return state;
}

ROUNDHOUSE_DECL void orchestrator_state::close() {
    draining.store(true);
    closed.store(true);
    prober.close();
    services.tasks.close();
    services.backend->on_exit(nullptr);
    services.backend->on_pause(nullptr);
    reconciler.close();
}

ROUNDHOUSE_DECL std::optional<error> orchestrator_state::refusal() const {
    if (starting())
        return error{errc::starting,
                     "The orchestrator is recovering its engines. Try again shortly.", 1};
    if (draining.load(std::memory_order_relaxed)) return going_away();
    return std::nullopt;
}

// Admits

/// Takes a place in the rate limit and answers from what is known of the engine, or from its record
/// as it is, or not: then the admit has to go through the engine's mailbox.
ROUNDHOUSE_DECL std::optional<result<admission>>
orchestrator_state::try_admit(const product_ptr& asking, std::string_view user_id,
                              const admit_options& options) {
    const auto& product = *asking;
    if (auto refused = refusal()) return unexpected(std::move(*refused));
    if (auto refused = services.ended.refusal(product)) return unexpected(std::move(*refused));
    const running_engine_owner owner(product.id, user_id);
    running.prefetch_place(owner.hash);
    const auto now = services.steady_now();
    running.prefetch_engine(owner.hash);
    const auto& limits = core::policy_of(product, services.settings);
    if (const auto refused = rates.take(product.id, limits, now)) {
        denials.count(product, "rate_limited");
        return unexpected(refused->of_burst
                              ? core::over_rate(product, "rate_limit_burst",
                                                *limits.rate_limit_burst, refused->wait)
                              : core::over_rate(product, "rate_limit_rpm", *limits.rate_limit_rpm,
                                                refused->wait));
    }
    if (reconciler.unreconciled().has(product.id, user_id)) return std::nullopt;
    if (auto known = use_known(owner, now)) return admission{std::move(known), {}};
    const auto row = running.row_of(owner);
    auto found = services.store->find_engine(product.id, user_id);
    if (!found) return unexpected(std::move(found.error()));
    if (!*found) {
        if (options.auto_provision) return std::nullopt;
        return deny(product, denial::engine_not_found);
    }
    const auto& engine = **found;
    if (core::admissible(engine)) {
        // The commit of one that the shell does not know to run yet is in doubt.
        if (!running.use(engine, now, engine_use::admit)) return std::nullopt;
        auto out = admitted(engine);
        if (!out) return unexpected(std::move(out.error()));
        if (row) running.keep(*row, engine, out->api_key());
        return admission{std::move(*out), {}};
    }
    // What the rest of the context tells only matters to an admit that waits, and such a one is
    // decided again in the mailbox.
    const auto context = context_of(engine);
    const auto decided = core::decide(core::call::admit{options.auto_wake}, engine, context);
    if (decided.verdict == core::verdict::refused) return unexpected(decided.refusal);
    if (decided.denied) return deny(product, *decided.denied, engine, context);
    return std::nullopt;
}

ROUNDHOUSE_DECL std::optional<rate_limit_status>
orchestrator_state::rate_limit(const product_ptr& product) {
    const auto& limits = core::policy_of(*product, services.settings);
    if (!limits.rate_limit_rpm)
        return std::nullopt; // saves the admits of others a look at the clock
    return rates.left(product->id, limits, services.steady_now());
}

ROUNDHOUSE_DECL result<admission>
orchestrator_state::admission_of(const product& product, const result<engine_ptr>& outcome) {
    if (outcome && core::admissible(**outcome)) {
        running.use(**outcome, services.steady_now(), engine_use::admit);
        auto out = admitted(**outcome);
        if (!out) return unexpected(std::move(out.error()));
        return admission{std::move(*out), {}};
    }
    if (outcome) {
        const auto& engine = **outcome;
        return deny(product, core::why_denied(engine), engine, context_of(engine));
    }
    const auto& failure = outcome.error();
    if (failure.code == errc::engine_not_found) return deny(product, denial::engine_not_found);
    if (failure.code == errc::quota_exceeded) denials.count(product, "quota_exceeded");
    if (failure.code == errc::policy_denied) denials.count(product, "policy_denied");
    if (failure.code == errc::rate_limited) denials.count(product, "rate_limited");
    return unexpected(failure);
}

ROUNDHOUSE_DECL result<admission> orchestrator_state::deny(const product& product, denial reason) {
    denials.count(product, name_of(reason));
    return admission{std::nullopt, reason};
}

ROUNDHOUSE_DECL result<admission> orchestrator_state::deny(const product& product, denial reason,
                                                           const engine_record& engine,
                                                           const core::context& context) {
    auto out = deny(product, reason);
    out->status = engine.status;
    out->retry_after_s = core::retry_after_s(engine, context);
    return out;
}

ROUNDHOUSE_DECL core::context orchestrator_state::context_of(const engine_record& engine) const {
    core::context out{services.now(), services.settings, {}};
    out.defaults = services.defaults.of(engine.product_id);
    if (engine.restart_at)
        out.restart_in = reconciler.restart_in({engine.product_id, engine.user_id});
    return out;
}

ROUNDHOUSE_DECL std::optional<admitted_engine>
orchestrator_state::use_known(const running_engine_owner& owner, duration steady_now) const {
    std::optional<admitted_engine> out;
    std::uint16_t port = 0;
    running.visit_known(owner, [&](running_engine& engine) {
        engine.use(steady_now, engine_use::admit);
        const auto key = engine.key().text();
        out.emplace(engine.id, owner.user_id, engine.kind.version,
                    std::string_view(key.data(), key.size()));
        out->created_at = engine.created_at;
        out->last_health_at = engine.last_health();
        port = engine.port();
    });
    if (out) out->url = services.backend->url(out->id, port);
    return out;
}

ROUNDHOUSE_DECL result<admitted_engine>
orchestrator_state::admitted(const engine_record& engine) const {
    auto key = key_of(engine);
    if (!key) return unexpected(std::move(key.error()));
    admitted_engine out(engine.id, engine.user_id, engine.version, *key);
    out.url = services.backend->url(engine.id, engine.port);
    out.created_at = engine.created_at;
    out.last_health_at = running.last_health(engine);
    return out;
}

// Views

ROUNDHOUSE_DECL result<engine_view> orchestrator_state::view(engine_ptr engine, bool with_key,
                                                             const product& of) const {
    engine_view out;
    out.product = of.slug;
    out.url = services.backend->url(engine->id, engine->port);
    out.last_health_at = running.last_health(*engine);
    const auto& own = settings_of(*engine);
    const auto defaults = services.defaults.of(engine->product_id);
    const auto settings = core::merged(own, defaults.get());
    out.limits = core::limits_in_force(settings.limits, core::policy_of(of, services.settings),
                                       services.backend->limits());
    out.stop_grace = settings.stop_grace.value_or(services.settings.stop_grace);
    out.sleep_after = settings.sleep.after.value_or(services.settings.sleep_after);
    out.deep_sleep_after = settings.sleep.deep_after.value_or(services.settings.deep_sleep_after);
    out.pinned = settings.sleep.pinned.value_or(false);
    out.env_names = core::merged_env_names(own, defaults.get());
    out.pending = core::pending_of(*engine, defaults.get());
    if (core::is_upgraded(*engine)) out.upgrade = engine->upgrade;
    if (with_key) {
        auto key = key_of(*engine);
        if (!key) return unexpected(std::move(key.error()));
        out.api_key = std::move(*key);
    }
    out.failure = core::failure_of(*engine);
    out.sleeps_at = sleeps_at(*engine);
    out.busy_until = busy_until(*engine);
    out.booted_at = core::booted_at(*engine);
    out.restarts = engine->restarts;
    out.sleep_mode = core::sleep_mode_of(*engine);
    if (out.sleep_mode) out.sleeping_since = core::sleeping_since_of(*engine);
    out.record = std::move(engine);
    return out;
}

ROUNDHOUSE_DECL std::optional<instant>
orchestrator_state::sleeps_at(const engine_record& engine) const {
    if (engine.status != engine_status::running) return std::nullopt;
    const auto now = services.steady_now();
    const auto sleeps = prober.sleeps_at(engine, now);
    if (!sleeps) return std::nullopt;
    return services.wall_time_of(std::max(*sleeps, now));
}

ROUNDHOUSE_DECL std::optional<instant>
orchestrator_state::busy_until(const engine_record& engine) const {
    if (engine.status != engine_status::running) return std::nullopt;
    const auto until = running.leased_until(engine);
    if (!until || *until <= services.steady_now()) return std::nullopt;
    return services.wall_time_of(*until);
}

ROUNDHOUSE_DECL result<std::string> orchestrator_state::key_of(const engine_record& engine) const {
    auto key = services.keys.unseal(engine.sealed_key);
    if (!key)
        return fail(errc::internal_error, "The key of engine " + to_string(engine.id) +
                                              " cannot be read: none of the master keys fits.");
    return std::move(*key);
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
