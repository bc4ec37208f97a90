#pragma once

#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/shell/command_scheduler.hpp>
#include <roundhouse/shell/turn_allowance.hpp>

#include <asio/error.hpp>

#include <initializer_list>
#include <optional>
#include <system_error>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL void command_scheduler::submit(mailbox& engine, core::command command,
                                               const engine_ptr& record) {
    auto& state = engine.command;
    withdraw(state);
    command_request request;
    request.command = command;
    request.step = services_.backend->has_prepare() ? boot_step::prepare : boot_step::start;
    request.number = ++state.last_number;
    request.record = record;
    request.product = engine.product;
    request.submitted = services_.steady_now();
    if (state.running) {
        state.running->cancel();
        state.pending = std::move(request);
    } else {
        start(engine, std::move(request));
    }
}

ROUNDHOUSE_DECL void command_scheduler::drop(mailbox& engine) {
    auto& state = engine.command;
    withdraw(state);
    state.pending.reset();
    if (state.running) state.running->cancel();
}

ROUNDHOUSE_DECL void command_scheduler::hurry(mailbox& engine) {
    const auto& state = engine.command;
    if (state.queued) turns_of(state.step).hurry(state.ticket);
}

ROUNDHOUSE_DECL turn_queue& command_scheduler::turns_of(boot_step step) noexcept {
    return step == boot_step::prepare ? preparations_ : boots_;
}

ROUNDHOUSE_DECL void command_scheduler::policy_changed(const product& product) {
    const auto allowed = allowance_of(product, services_.settings);
    for (const auto step : {boot_step::prepare, boot_step::start})
        announce(step, turns_of(step).change(product.id, allowed));
}

ROUNDHOUSE_DECL void command_scheduler::take_turn(mailbox& engine, const turn_came& came,
                                                  bool give_up) {
    auto& state = engine.command;
    if (!state.queued || state.queued->number != came.number || give_up)
        return leave_turn(engine, came.step);
    auto request = std::move(*state.queued);
    state.queued.reset();
    state.holds_turn = true;
    launch(engine, std::move(request));
}

ROUNDHOUSE_DECL std::optional<core::event_variant>
command_scheduler::take_end(mailbox& engine, command_ended ended) {
    auto& state = engine.command;
    // A workload that was prepared just before its boot was dropped is not started.
    const bool cancelled = state.running->cancelled();
    state.running.reset();
    if (std::exchange(state.holds_turn, false)) leave_turn(engine, state.step);
    auto next = std::exchange(state.pending, std::nullopt);
    if (!next && ended.next && !cancelled) next = std::move(ended.next);
    if (!next) return ended.number == state.last_number ? std::move(ended.outcome) : std::nullopt;
    start(engine, std::move(*next));
    return std::nullopt;
}

ROUNDHOUSE_DECL void command_scheduler::start(mailbox& engine, command_request request) {
    if (request.command != core::command::boot) return launch(engine, std::move(request));
    auto& state = engine.command;
    const auto defaults = services_.defaults.of(request.record->product_id);
    state.longest_boot = core::longest_boot(*request.record, services_.settings, defaults.get());
    state.step = request.step;
    const bool awaited = request.record->boot != boot_reason::restart &&
                         request.record->boot != boot_reason::recover;
    const bool waited_for = awaited || !engine.waiting.empty();
    const auto urgency = waited_for ? turn_queue::urgency::awaited
                                    : turn_queue::urgency::background;
    const auto allowed = engine.product ? allowance_of(*engine.product, services_.settings)
                                        : turn_queue::allowance{};
    const auto entered =
        turns_of(state.step).enter(urgency, {engine.owner, request.number}, allowed);
    announce(state.step, entered.begun);
    state.ticket = entered.place;
    state.began.reset();
    if (state.ticket != 0) {
        state.queued = std::move(request);
    } else {
        state.holds_turn = true;
        launch(engine, std::move(request));
    }
}

ROUNDHOUSE_DECL void command_scheduler::launch(mailbox& engine, command_request request) {
    auto& state = engine.command;
    if (request.command == core::command::boot && services_.sink)
        services_.log(log_level::debug,
                      request.step == boot_step::prepare ? "its turn has come to be prepared"
                                                         : "its turn has come to boot",
                      logged_engine(*request.record, engine.product_slug()));
    state.running = services_.tasks.make_task();
    state.began = services_.steady_now();
    state.probes = request.probes;
    auto ended = [this, owner = engine.owner, request](const std::exception_ptr& failure,
                                                       std::optional<core::event_variant> outcome) {
        command_ended end{request.number, std::move(outcome), std::nullopt};
        if (failure) {
            report(owner, failure);
        } else if (!end.outcome) {
            end.next = request;
            end.next->step = boot_step::start;
        }
        inbox_.enqueue(owner, std::move(end));
    };
    auto body = runner_.run(std::move(request), state.running);
    services_.tasks.spawn(state.running, std::move(body), std::move(ended));
}

ROUNDHOUSE_DECL void command_scheduler::withdraw(command_state& state) {
    // If its turn has come, `take_turn` finds nothing that waits for it.
    if (state.queued) (void)turns_of(state.step).withdraw(state.ticket);
    state.queued.reset();
}

ROUNDHOUSE_DECL void command_scheduler::leave_turn(const mailbox& engine, boot_step step) {
    announce(step, turns_of(step).leave(engine.owner.product_id));
}

ROUNDHOUSE_DECL void command_scheduler::announce(boot_step step,
                                                 const std::vector<turn_queue::command>& begun) {
    for (const auto& boot : begun) inbox_.enqueue(boot.owner, turn_came{step, boot.number});
}

/// A cancelled command is no news; anything else that a backend throws is.
ROUNDHOUSE_DECL void command_scheduler::report(const engine_owner& owner,
                                               const std::exception_ptr& failure) const {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& cause) {
        const auto* const known = dynamic_cast<const std::system_error*>(&cause);
        if (known != nullptr && known->code() == asio::error::operation_aborted) return;
        services_.log(log_level::error,
                      "the backend threw an exception; the engine's deadline moves it on. Check "
                      "memory and open files, and report it",
                      logged_engine(owner), {{"reason", cause.what()}});
    }
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
