#pragma once

#include <roundhouse/core/upgrade_state.hpp>
#include <roundhouse/shell/reconciler.hpp>

#include <utility>
#include <variant>
#include <vector>

/// What comes before an upgrade: its version is prepared while the old one serves.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Whether a call begins an upgrade whose new version is to be prepared first, while the old one
/// serves.
ROUNDHOUSE_DECL bool reconciler::needs_preparation(const waiting_call& call,
                                                   const core::decision& decided,
                                                   const engine_record& record) const {
    return decided.row == core::row_change::update && core::begins_upgrade(record, decided.next) &&
           !call.prepared && services_.backend->has_prepare();
}

ROUNDHOUSE_DECL asio::awaitable<void> reconciler::handle(shared engine,
                                                         preparation_turn_came came) {
    preparer_.take_turn(*engine, came, quiesced_.load());
    co_return;
}

/// Upgrades whose version is prepared are decided again, and so are those that wait to have another
/// version prepared.
ROUNDHOUSE_DECL asio::awaitable<void> reconciler::handle(shared engine, preparation_ended ended) {
    const auto outcome = preparer_.take_end(*engine, ended);
    std::vector<waiting_call> again;
    std::vector<waiting_call> staying;
    for (auto& call : std::exchange(engine->waiting, {})) {
        const bool waited = std::exchange(call.wants_prepared, nullptr) != nullptr;
        if (waited && !outcome) {
            log_unheard(*engine, call, outcome.error());
            answer(call, unexpected(outcome.error()));
            continue;
        }
        call.prepared = call.prepared || waited;
        const bool upgrades = std::holds_alternative<core::call::upgrade>(call.call) &&
                              call.waits == core::verdict::deferred;
        (upgrades ? again : staying).push_back(std::move(call));
    }
    engine->waiting = std::move(staying);
    mailboxes_.put_first(*engine, std::move(again));
    co_return;
}

/// Logs why an upgrade is not begun whose caller was answered before.
ROUNDHOUSE_DECL void reconciler::log_unheard(const mailbox& engine, const waiting_call& call,
                                             const error& cause) const {
    if (call.done || !std::holds_alternative<core::call::upgrade>(call.call)) return;
    services_.log(
        log_level::warning,
        "an upgrade that nobody waits for any more was not begun; the engine is as it was",
        engine.named(), {{"reason", cause.message}});
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
