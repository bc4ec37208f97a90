#pragma once

#include <roundhouse/core/admission.hpp>
#include <roundhouse/core/lifecycle.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <chrono>
#include <cstdint>
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

/// Takes a place in the rate limit and answers from the record as it is, or not: then the admit has
/// to go through the engine's mailbox.
ROUNDHOUSE_DECL std::optional<result<admission>>
orchestrator_state::try_admit(const product_ptr& asking, std::string_view user_id,
                              admit_options options) {
    const auto& product = *asking;
    if (auto refused = refusal()) return unexpected(std::move(*refused));
    const auto hash = engine_owner_hash::mix(product.id, user_id);
    running.prefetch_place(hash);
    services.store->prefetch(product.id, user_id);
    const auto now = services.steady_now();
    if (const auto wait = rates.take(product, now)) {
        denials.count(product, "rate_limited");
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(*wait).count();
        return fail(errc::rate_limited,
                    "Product '" + product.slug + "' is over its rate_limit_rpm (" +
                        std::to_string(*product.policy.rate_limit_rpm) + "). Try again in " +
                        std::to_string(seconds) + " s.",
                    static_cast<int>(seconds));
    }
    if (reconciler.unreconciled().has(product.id, user_id)) return std::nullopt;
    running.prefetch_engine(hash);
    auto found = services.store->find_engine(product.id, user_id);
    if (!found) return unexpected(std::move(found.error()));
    if (!*found) {
        if (options.auto_provision) return std::nullopt;
        return deny(product, denial::engine_not_found);
    }
    if (core::admissible(**found)) {
        // The commit of one that the shell does not know to run yet is in doubt.
        auto used = use(std::move(*found), hash, now);
        if (!used) return std::nullopt;
        if (!*used) return unexpected(std::move(used->error()));
        return admission{std::move(**used), {}};
    }
    // What the rest of the context tells only matters to an admit that waits, and such a one is
    // decided again in the mailbox.
    core::context context{services.now(), services.settings, {}};
    if ((*found)->restart_at)
        context.restart_in = reconciler.restart_in({product.id, std::string(user_id)});
    const auto decided = core::decide(core::call::admit{options.auto_wake}, **found, context);
    if (decided.verdict == core::verdict::refused) return unexpected(decided.refusal);
    if (decided.denied) return deny(product, *decided.denied);
    return std::nullopt;
}

ROUNDHOUSE_DECL result<admission>
orchestrator_state::admission_of(const product& product, const result<engine_ptr>& outcome) {
    if (outcome && core::admissible(**outcome)) {
        const auto hash = running_engine_ref::of(**outcome).hash;
        auto used = use(*outcome, hash, services.steady_now());
        auto seen = used ? std::move(*used) : view(*outcome, true);
        if (!seen) return unexpected(std::move(seen.error()));
        return admission{std::move(*seen), {}};
    }
    if (outcome) return deny(product, core::why_denied(**outcome));
    const auto& failure = outcome.error();
    if (failure.code == errc::engine_not_found) return deny(product, denial::engine_not_found);
    if (failure.code == errc::quota_exceeded) denials.count(product, "quota_exceeded");
    if (failure.code == errc::policy_denied) denials.count(product, "policy_denied");
    return unexpected(failure);
}

ROUNDHOUSE_DECL result<admission> orchestrator_state::deny(const product& product, denial reason) {
    denials.count(product, name_of(reason));
    return admission{std::nullopt, reason};
}

// Views

ROUNDHOUSE_DECL engine_view orchestrator_state::view_without_key(engine_ptr engine) const {
    auto url = services.backend->url(engine->id, engine->port);
    return {std::move(engine), std::move(url), {}, {}};
}

ROUNDHOUSE_DECL result<engine_view> orchestrator_state::view(engine_ptr engine,
                                                             bool with_key) const {
    result<engine_view> out(view_without_key(std::move(engine)));
    const bool runs = running.visit(*out->record, [&](const running_engine& known) {
        out->last_health_at = known.last_health();
        if (with_key) known.key.append_to(out->api_key, out->record->key_hash);
    });
    if (!runs) out->last_health_at = out->record->last_health_at;
    if (with_key && out->api_key.empty()) unseal_key(out, runs);
    return out;
}

/// Admits to an engine, whose owner has this hash, and notes the use. Nothing if it is not known to
/// run.
ROUNDHOUSE_DECL std::optional<result<engine_view>>
orchestrator_state::use(engine_ptr engine, std::uint64_t hash, duration steady_now) const {
    std::optional<result<engine_view>> out(view_without_key(std::move(engine)));
    auto& view = **out;
    const running_engine_ref ref{hash, view.record->id};
    const bool runs = running.visit(ref, [&](running_engine& known) {
        known.use(steady_now);
        view.last_health_at = known.last_health();
        known.key.append_to(view.api_key, view.record->key_hash);
    });
    if (!runs) out.reset();
    else if (view.api_key.empty()) unseal_key(*out, true);
    return out;
}

/// The key is kept for the next time if the engine runs.
ROUNDHOUSE_DECL void orchestrator_state::unseal_key(result<engine_view>& out, bool runs) const {
    const auto& engine = *out->record;
    auto key = services.keys.unseal(engine.sealed_key);
    if (!key) {
        out = fail(errc::internal_error, "The key of engine " + to_string(engine.id) +
                                             " cannot be read: none of the master keys fits.");
        return;
    }
    if (runs) running.cache_key(engine, *key);
    out->api_key = std::move(*key);
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
