#pragma once

#include <roundhouse/orchestrator_base.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <exception>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

ROUNDHOUSE_DECL orchestrator_base::orchestrator_base(detail::orchestrator_parts parts)
    : state_(detail::orchestrator_state::make(std::move(parts))), calls_(state_) {}

ROUNDHOUSE_DECL orchestrator_base::~orchestrator_base() { state_->close(); }

ROUNDHOUSE_DECL void orchestrator_base::recover(const state_ptr& state, completion<void> done) {
    auto ended = [state, done = std::move(done)](const std::exception_ptr& failure,
                                                 result<void> outcome) {
        if (failure) return done(fail(errc::shutting_down, "The recovery was cancelled."));
        if (outcome && !state->recovered.exchange(true)) {
            state->housekeeping.start();
            state->resume_deletions();
        }
        done(std::move(outcome));
    };
    const auto work = state->services.tasks.make_task();
    state->services.tasks.spawn(work, state->recovery.run(work), std::move(ended));
}

ROUNDHOUSE_DECL void orchestrator_base::stop_all(const state_ptr& state, completion<void> done) {
    state->services.tasks.run(state->stop_all(std::move(done)));
}

ROUNDHOUSE_DECL void orchestrator_base::close(const state_ptr& state, completion<void> done) {
    state->draining.store(true);
    state->reconciler.when_quiet([state, done = std::move(done)] {
        state->housekeeping.store_notes([done] { done(result<void>{}); });
    });
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
