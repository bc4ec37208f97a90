#pragma once

#include <roundhouse/bounded_calls.hpp>
#include <roundhouse/core/admission.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

/// Calls whose callers choose how long they wait, and waits for states.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Why nobody waits for so long; nothing if that can be.
ROUNDHOUSE_DECL std::optional<error> orchestrator_state::refusal(duration wait) {
    if (wait >= duration{0} && wait <= longest_chosen_wait) return std::nullopt;
    return error{errc::invalid_request, "wait_s must be 0 to 600 seconds."};
}

// What goes through the mailbox, for callers who wait to the end and for those who do not.

ROUNDHOUSE_DECL result<waiting_call> orchestrator_state::call_of(engine_call::provision what) {
    if (auto refused = refusal(what.options)) return unexpected(std::move(*refused));
    waiting_call out;
    out.call = core::call::provision{};
    out.create = creation_of(std::move(what.options));
    return out;
}
ROUNDHOUSE_DECL waiting_call orchestrator_state::call_of(engine_call::start) {
    waiting_call out;
    out.call = core::call::start{};
    return out;
}
ROUNDHOUSE_DECL waiting_call orchestrator_state::call_of(engine_call::stop what) {
    waiting_call out;
    out.call = core::call::stop{what.force};
    return out;
}
ROUNDHOUSE_DECL waiting_call orchestrator_state::call_of(engine_call::sleep what) {
    waiting_call out;
    out.call = core::call::sleep_now{what.mode};
    return out;
}
ROUNDHOUSE_DECL waiting_call orchestrator_state::call_of(engine_call::wake) {
    waiting_call out;
    out.call = core::call::wake{};
    return out;
}
ROUNDHOUSE_DECL waiting_call orchestrator_state::call_of(engine_call::upgrade what) {
    waiting_call out;
    auto& options = what.options;
    out.call = core::call::upgrade{std::move(options.version), options.healthy_for,
                                   options.keep_copy, options.if_revision};
    return out;
}

ROUNDHOUSE_DECL waiting_call orchestrator_state::rotation(const std::string& key) {
    waiting_call out;
    out.call = core::call::rotate{crypto::sha256(key),
                                  services.keys.seal(key, services.now(), services.entropy)};
    return out;
}

/// What callers are told of an engine, of a rotation with its key.
ROUNDHOUSE_DECL orchestrator_state::make_progress
orchestrator_state::progress_of(product_ptr product, std::string key, bool shows_key) {
    return [self = shared_from_this(), product = std::move(product), key = std::move(key),
            shows_key](const engine_ptr& engine, bool ended) -> result<call_progress> {
        auto seen = shows_key ? self->started_view(engine, *product)
                              : self->view(engine, false, *product);
        if (!seen) return unexpected(std::move(seen.error()));
        return call_progress{ended, std::move(*seen), ended ? key : std::string()};
    };
}

ROUNDHOUSE_DECL void orchestrator_state::begin(product_ptr product, std::string user_id,
                                               engine_call_variant what, duration span,
                                               completion<call_progress> done) {
    if (auto refused = refusal(span)) return done(unexpected(std::move(*refused)));
    const auto until = services.steady_now() + span;
    if (const auto* const upgrade = std::get_if<engine_call::upgrade>(&what))
        if (auto refused = refusal(*product, upgrade->options))
            return done(unexpected(std::move(*refused)));
    std::string key;
    const auto prepare = [&](auto one) -> result<waiting_call> {
        if constexpr (std::is_same_v<decltype(one), engine_call::rotate_key>) {
            key = crypto::make_engine_key(services.entropy);
            return rotation(key);
        } else {
            return call_of(std::move(one));
        }
    };
    const bool shows_key = !std::holds_alternative<engine_call::sleep>(what);
    auto call = std::visit(prepare, std::move(what));
    if (!call) return done(unexpected(std::move(call.error())));
    auto progress = progress_of(product, key, shows_key);
    enqueue_bounded(std::move(product), std::move(user_id), std::move(*call), until,
                    std::move(progress), std::move(done));
}

ROUNDHOUSE_DECL void orchestrator_state::enqueue_bounded(product_ptr product, std::string user_id,
                                                         waiting_call call, duration until,
                                                         make_progress progress,
                                                         completion<call_progress> done) {
    call.waits_until = until;
    call.under_way = [progress, done](const result<engine_ptr>& row) {
        if (row) done(progress(*row, false));
        else done(unexpected(row.error()));
    };
    through_mailbox<call_progress>(
        std::move(product), std::move(user_id), std::move(call),
        [progress](const engine_ptr& engine) { return progress(engine, true); }, std::move(done));
}

// Admits

/// What an admit gets whose caller does not wait until the engine can be admitted to.
ROUNDHOUSE_DECL admission
orchestrator_state::starting_admission(const engine_record& engine) const {
    admission out{std::nullopt, denial::engine_starting};
    out.status = engine.status;
    out.retry_after_s = std::max(core::retry_after_s(engine, context_of(engine)), 1);
    return out;
}

ROUNDHOUSE_DECL void orchestrator_state::bound(waiting_call& call, duration wait,
                                               completion<admission> done) {
    call.waits_until = services.steady_now() + wait;
    call.under_way = [self = shared_from_this(),
                      done = std::move(done)](const result<engine_ptr>& row) {
        if (row) done(self->starting_admission(**row));
        else done(unexpected(row.error()));
    };
}

// States

/// The caller is taken in before the row is read: a commit between the two is seen by one of them.
ROUNDHOUSE_DECL void orchestrator_state::wait_for(product_ptr product, std::string user_id,
                                                  engine_statuses wanted, duration span,
                                                  completion<call_progress> done) {
    auto refused = refusal(user_id);
    if (!refused) refused = refusal(span);
    if (!refused && wanted.empty())
        refused = error{errc::invalid_request, "wait_for must name one state or more."};
    if (refused) return done(unexpected(std::move(*refused)));
    const engine_owner owner{product->id, user_id};
    auto told = [self = shared_from_this(), product, owner, wanted,
                 done](const state_wait_end& how) {
        self->end_wait(product, owner, wanted, how, done);
    };
    auto& states = reconciler.states();
    const auto waiter = states.add(owner, wanted, services.steady_now() + span, std::move(told));
    if (!waiter) return done(unexpected(waiter.error()));
    find_record(product, user_id,
                [self = shared_from_this(), owner, id = *waiter](const result<engine_ptr>& found) {
                    auto& waiting = self->reconciler.states();
                    if (found) return waiting.see(owner, id, *found);
                    waiting.end(owner, id, {state_wait_end::kind::failed, {}, found.error()});
                });
}

ROUNDHOUSE_DECL void orchestrator_state::end_wait(const product_ptr& product,
                                                  const engine_owner& owner, engine_statuses wanted,
                                                  const state_wait_end& how,
                                                  const completion<call_progress>& done) {
    const auto tell = [self = shared_from_this(), product, wanted,
                       done](const result<engine_ptr>& found) {
        if (!found) return done(unexpected(found.error()));
        auto seen = self->view(*found, true, *product);
        if (!seen) return done(unexpected(std::move(seen.error())));
        const bool reached = wanted.has((*found)->status);
        done(call_progress{reached, std::move(*seen)});
    };
    switch (how.how) {
    case state_wait_end::kind::reached: return tell(how.engine);
    case state_wait_end::kind::gone: return done(unexpected(no_engine(owner)));
    case state_wait_end::kind::timed_out: return find_record(product, owner.user_id, tell);
    case state_wait_end::kind::failed: return done(unexpected(*how.failure));
    }
}

// What is gone

ROUNDHOUSE_DECL error orchestrator_state::no_engine(const engine_owner& owner) const {
    error out{errc::engine_not_found, "User '" + owner.user_id + "' has no engine."};
    if (const auto undone = reconciler.undone().find(owner, services.steady_now())) {
        out.message += " Its creation was undone, because nothing could be started.";
        out.details = error_details{
            .cause = boot_failure::provision_failed, .reason = undone->reason, .at = undone->at};
    }
    return out;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
