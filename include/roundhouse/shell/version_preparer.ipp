#pragma once

#include <roundhouse/core/events.hpp>
#include <roundhouse/shell/turn_allowance.hpp>
#include <roundhouse/shell/version_preparer.hpp>

#include <asio/error.hpp>

#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The failure of an upgrade whose new version cannot be prepared.
[[nodiscard]] inline error not_prepared(const version_preparation& what, const error& cause) {
    error out{errc::upgrade_failed, "The upgrade of the engine of user '" + what.record->user_id +
                                        "' to version '" + what.version +
                                        "' has failed: it cannot be prepared: " + cause.message};
    if (!cause.message.ends_with('.')) out.message += '.';
    out.message += " Nothing was changed.";
    out.details = error_details{boot_failure::prepare, {}, true};
    return out;
}

ROUNDHOUSE_DECL void version_preparer::begin(mailbox& engine, waiting_call& call,
                                             const engine_ptr& record) {
    const auto& version = std::get<core::call::upgrade>(call.call).version;
    auto& known = engine.preparation;
    if (known) {
        if (known->version == version) call.wants_prepared = known->wanted.lock();
        return;
    }
    call.wants_prepared = std::make_shared<const preparation_wanted>();
    known.emplace();
    known->number = ++engine.last_preparation;
    known->version = version;
    known->record = record;
    known->wanted = call.wants_prepared;
    const auto allowed = engine.product ? allowance_of(*engine.product, services_.settings)
                                        : turn_queue::allowance{};
    const auto entered = turns_.enter(turn_queue::urgency::awaited, {engine.owner, known->number},
                                      allowed);
    announce(entered.begun);
    known->ticket = entered.place;
    if (known->ticket == 0) launch(engine);
}

ROUNDHOUSE_DECL void version_preparer::take_turn(mailbox& engine, const preparation_turn_came& came,
                                                 bool give_up) {
    const auto& known = engine.preparation;
    const bool waits = known && known->number == came.number && !known->running && !known->dropped;
    if (!waits || give_up) return announce(turns_.leave(engine.owner.product_id));
    launch(engine);
}

ROUNDHOUSE_DECL void version_preparer::launch(mailbox& engine) {
    auto& begun = *engine.preparation;
    const auto& record = *begun.record;
    workload wanted{.ref = ref_of(record),
                    .owner = engine.owner,
                    .version = begun.version,
                    .key_hash = record.key_hash,
                    .product_slug = std::string(engine.product_slug())};
    begun.running = services_.tasks.make_task();
    begun.until = services_.steady_now() + services_.settings.create_timeout;
    begun.timer = timers_.add(begun.until, [running = begun.running] { running->cancel(); });
    auto ended = [this, owner = engine.owner](const std::exception_ptr& failure,
                                              const result<void>& outcome) {
        inbox_.enqueue(owner, preparation_ended{outcome, failure});
    };
    auto body = prepare(std::move(wanted));
    services_.tasks.spawn(begun.running, std::move(body), std::move(ended));
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> version_preparer::prepare(workload wanted) {
    auto preparing = services_.backend->prepare(wanted);
    auto prepared = co_await std::move(preparing);
    co_return prepared;
}

ROUNDHOUSE_DECL result<void> version_preparer::take_end(mailbox& engine,
                                                        const preparation_ended& ended) {
    const auto over = std::move(*engine.preparation);
    engine.preparation.reset();
    if (over.timer) timers_.remove(*over.timer);
    if (over.running) announce(turns_.leave(engine.owner.product_id));
    if (ended.failure) {
        auto cause = why_cancelled(engine, ended.failure, over.until);
        if (cause.code == errc::shutting_down) return unexpected(std::move(cause));
        return unexpected(not_prepared(over, cause));
    }
    if (!ended.outcome) return unexpected(not_prepared(over, ended.outcome.error()));
    return {};
}

/// A cancelled preparation is no news; anything else that a backend throws is.
ROUNDHOUSE_DECL error version_preparer::why_cancelled(const mailbox& engine,
                                                      const std::exception_ptr& failure,
                                                      duration until) const {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& cause) {
        const auto* const known = dynamic_cast<const std::system_error*>(&cause);
        const bool cancelled = known != nullptr && known->code() == asio::error::operation_aborted;
        if (cancelled && services_.steady_now() < until) return going_away();
        if (cancelled) return {errc::backend_error, "The backend has not done it in time."};
        services_.log(log_level::error,
                      "the backend threw an exception; the upgrade is not begun. Check memory and "
                      "open files, and report it",
                      engine.named(), {{"reason", cause.what()}});
        return {errc::backend_error, "The backend has failed. The server's log says why."};
    }
}

ROUNDHOUSE_DECL void version_preparer::drop_unwanted(mailbox& engine) {
    auto& known = engine.preparation;
    if (!known || known->dropped || !known->wanted.expired()) return;
    known->dropped = true;
    if (known->running) return known->running->cancel();
    // If its turn has come, `take_turn` finds nothing that waits for it.
    (void)turns_.withdraw(known->ticket);
    inbox_.enqueue(engine.owner, preparation_ended{{}, nullptr});
}

ROUNDHOUSE_DECL void version_preparer::policy_changed(const product& product) {
    announce(turns_.change(product.id, allowance_of(product, services_.settings)));
}

ROUNDHOUSE_DECL void version_preparer::announce(const std::vector<turn_queue::command>& begun) {
    for (const auto& one : begun) inbox_.enqueue(one.owner, preparation_turn_came{one.number});
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
