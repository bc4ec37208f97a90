#pragma once

#include <roundhouse/shell/reconciler.hpp>

#include <algorithm>
#include <utility>
#include <vector>

/// Callers who do not wait to the end, and those who wait for a state.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The time has come for callers of an engine. Without a row they are answered in a moment: what they
/// wait for has ended, or cannot be stored.
ROUNDHOUSE_DECL asio::awaitable<void> reconciler::handle(shared engine, wait_passed) {
    if (!some_are_late(*engine)) co_return;
    auto reading = read(engine);
    const auto row = co_await std::move(reading);
    if (!row || *row) answer_late(*engine, row);
}

ROUNDHOUSE_DECL bool reconciler::some_are_late(const mailbox& engine) const {
    const auto now = services_.steady_now();
    return std::ranges::any_of(engine.waiting,
                               [now](const waiting_call& call) { return call.is_late(now); });
}

/// Answers the calls whose callers have waited for as long as they chose.
ROUNDHOUSE_DECL void reconciler::answer_late(mailbox& engine, const result<engine_ptr>& row) {
    const auto now = services_.steady_now();
    std::vector<waiting_call> staying;
    for (auto& call : std::exchange(engine.waiting, {})) {
        if (call.is_late(now)) answer_late(call, row);
        // What it has joined goes on without it; what it waits to begin does not.
        if (!call.done && call.waits == core::verdict::joined) answer(call, engine_ptr());
        else staying.push_back(std::move(call));
    }
    engine.waiting = std::move(staying);
}

ROUNDHOUSE_DECL void reconciler::answer_late(waiting_call& call, const result<engine_ptr>& row) {
    call.done = nullptr;
    call.waits_until.reset();
    const auto tell = std::exchange(call.under_way, nullptr);
    tell(row);
}

/// Tells callers who wait for a state, and keeps why a creation was undone for those who ask later.
ROUNDHOUSE_DECL void reconciler::follow_for_callers(const engine_owner& owner,
                                                    const core::decision& decided,
                                                    const engine_ptr& before,
                                                    const engine_ptr& after) {
    if (decided.row == core::row_change::none) return;
    if (!before) undone_.forget(owner);
    if (decided.row == core::row_change::undo && decided.settled && decided.settled->failure)
        undone_.note(owner, {decided.settled->failure->message, decided.made_at.wall},
                     services_.steady_now());
    states_.follow(owner, after);
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
