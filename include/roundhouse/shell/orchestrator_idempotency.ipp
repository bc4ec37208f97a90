#pragma once

#include <roundhouse/core/names.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>
#include <roundhouse/shell/provision_once.hpp>

#include <optional>
#include <string>
#include <utility>

/// Calls with an idempotency key. The commit that makes the engine stores the record of the key, and
/// a later one the answer: a call that is repeated after a crash between the two finds the record
/// without an answer, and is answered by the engine.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Whether the engine of a provision stays after it, so that the answer is kept.
[[nodiscard]] inline bool engine_stays(const result<engine_view>& outcome) noexcept {
    return outcome || outcome.error().code == errc::boot_timeout;
}

ROUNDHOUSE_DECL void orchestrator_state::provision_once(product_ptr product, std::string user_id,
                                                        provision_options options,
                                                        idempotent_call once,
                                                        completion<std::string> done) {
    if (const auto fault = core::names::check_idempotency_key(once.key))
        return done(fail(errc::invalid_request, "Idempotency-Key: " + *fault));
    if (auto refused = refusal(user_id)) return done(unexpected(std::move(*refused)));
    if (auto refused = services.ended.refusal(*product))
        return done(unexpected(std::move(*refused)));
    if (auto refused = refusal(options)) return done(unexpected(std::move(*refused)));
    const idempotency_id id{product->id, crypto::sha256(once.key)};
    if (!idempotent.begin(id, once.request, std::move(done))) return;
    engine_once wanted{std::move(product), std::move(user_id), std::move(options), std::move(once),
                       id};
    services.tasks.run(make_once(std::move(wanted)));
}

ROUNDHOUSE_DECL void orchestrator_state::provision_once(product_ptr product, std::string user_id,
                                                        provision_options options, std::string key,
                                                        completion<engine_view> done) {
    detail::provision_once(shared_from_this(), std::move(product), std::move(user_id),
                           std::move(options), std::move(key), std::move(done));
}

ROUNDHOUSE_DECL asio::awaitable<void> orchestrator_state::make_once(engine_once wanted) {
    const auto id = wanted.id;
    auto making = answer_once(std::move(wanted));
    const auto answer = co_await std::move(making);
    idempotent.end(id, answer);
}

/// Makes the engine, or with `kept` waits for the one that was made before.
ROUNDHOUSE_DECL void orchestrator_state::provision_recorded(engine_once wanted,
                                                            const idempotency_ptr& kept,
                                                            completion<engine_view> done) {
    waiting_call call;
    if (kept) {
        call.call = core::call::provision{kept->engine_id};
    } else {
        call.call = core::call::provision{};
        call.create = creation_of(std::move(wanted.options));
        call.create->once = idempotency_record{wanted.id, wanted.once.request};
    }
    auto made = [self = shared_from_this(), product = wanted.product](const engine_ptr& engine) {
        return self->view(engine, true, *product);
    };
    through_mailbox<engine_view>(std::move(wanted.product), std::move(wanted.user_id),
                                 std::move(call), std::move(made), std::move(done));
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>>
orchestrator_state::answer_once(engine_once wanted) {
    auto reading = read_kept(wanted.id);
    const auto found = co_await std::move(reading);
    if (!found) co_return unexpected(found.error());
    const auto& kept = *found;
    if (kept && kept->request != wanted.once.request) co_return unexpected(idempotency_mismatch());
    if (kept && !kept->sealed_answer.empty()) co_return services.keys.unseal(kept->sealed_answer);

    pending_result<engine_view> pending;
    provision_recorded(wanted, kept, pending.complete());
    auto provisioning = pending.wait();
    const auto outcome = co_await std::move(provisioning);
    if (!engine_stays(outcome)) co_return unexpected(outcome.error());
    auto answer = wanted.once.write_answer(outcome);
    auto keeping = keep_answer(wanted.id, wanted.once.request, answer);
    co_await std::move(keeping);
    co_return answer;
}

/// The record of a key that is in force and says that something was made.
ROUNDHOUSE_DECL asio::awaitable<result<idempotency_ptr>>
orchestrator_state::read_kept(idempotency_id id) {
    pending_result<idempotency_ptr> pending;
    services.store->find_idempotency(id, pending.complete());
    auto reading = pending.wait();
    auto found = co_await std::move(reading);
    if (!found || !*found) co_return found;
    const auto kept = *found;
    if (!is_in_force(*kept, services.now())) co_return idempotency_ptr();
    if (!kept->sealed_answer.empty()) co_return found;
    pending_result<engine_ptr> engine;
    services.store->read_engine(kept->engine_id, engine.complete());
    auto looking = engine.wait();
    const auto exists = co_await std::move(looking);
    if (!exists) co_return unexpected(exists.error());
    if (*exists) co_return found;
    auto asking = was_destroyed(kept);
    const auto destroyed = co_await std::move(asking);
    if (!destroyed) co_return unexpected(destroyed.error());
    co_return *destroyed ? kept : idempotency_ptr();
}

ROUNDHOUSE_DECL asio::awaitable<result<bool>>
orchestrator_state::was_destroyed(idempotency_ptr kept) {
    audit_query query;
    query.product_id = kept->id.product_id;
    query.engine_id = kept->engine_id;
    query.action = audit_action::destroy;
    query.limit = 1;
    pending_result<audit_page> pending;
    services.store->audit(query, pending.complete());
    auto asking = pending.wait();
    const auto rows = co_await std::move(asking);
    if (!rows) co_return unexpected(rows.error());
    co_return !rows->entries.empty();
}

/// What is answered is answered, also if it cannot be kept: then the engine answers the next call.
ROUNDHOUSE_DECL asio::awaitable<void>
orchestrator_state::keep_answer(idempotency_id id, sha256_digest request, std::string answer) {
    auto reading = read_kept(id);
    const auto kept = co_await std::move(reading);
    if (!kept || !*kept || (*kept)->request != request) co_return;
    auto record = **kept;
    record.sealed_answer = services.keys.seal(answer, services.now(), services.entropy);
    change_set changes;
    changes.changes.push_back(put_idempotency{std::move(record), true});
    pending_result<committed> pending;
    services.store->commit(std::move(changes), pending.complete());
    auto committing = pending.wait();
    (void)co_await std::move(committing);
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
