#pragma once

#include <roundhouse/core/backoff.hpp>
#include <roundhouse/core/notice.hpp>
#include <roundhouse/core/upgrade_state.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/shell/reconciler.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

/// How the reconciler reads and commits rows, and what it does while the store refuses to.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

// What the store refuses. An event must not be lost: it is tried again until the store takes it. The
// row is not true meanwhile, so nobody is admitted by it; and callers do not wait for it for longer
// than `settings::store_wait`.

ROUNDHOUSE_DECL void reconciler::stall(const shared& engine, core::event_variant event,
                                       const error& cause) {
    // A healthy probe changes nothing that callers see, and the next one reports the same.
    if (std::holds_alternative<core::event::probed_healthy>(event)) {
        if (engine->doubt) engine->doubt->of_event = false; // it is not kept
        return;
    }
    if (cause.code != errc::store_unavailable && cause.code != errc::port_exhaustion)
        return services_.log(log_level::error,
                             "what has happened to an engine is dropped: its record cannot be read "
                             "or changed. Check the store with --verify-store",
                             engine->named(), {{"reason", cause.message}});
    note_refusal(*engine, cause);
    unreconciled_.add(engine->owner);
    refusals_.note(engine->named(), cause);
    engine->stalled.push_back(std::move(event));
    retry_later(engine);
}

ROUNDHOUSE_DECL void reconciler::note_refusal(mailbox& engine, const error& cause) const {
    if (!engine.refused_since) engine.refused_since = services_.steady_now();
    engine.refusal = {cause.code, "What has happened to this engine cannot be stored at present, "
                                  "and is tried again. Try again later. " +
                                      cause.message};
}

ROUNDHOUSE_DECL bool reconciler::refused_too_long(const mailbox& engine) const {
    return engine.refused_since &&
           services_.steady_now() - *engine.refused_since >= services_.settings.store_wait;
}

/// The waits grow, but callers who wait are answered in time.
ROUNDHOUSE_DECL void reconciler::retry_later(const shared& engine) {
    if (std::exchange(engine->retrying, true)) return;
    const auto& settings = services_.settings;
    auto wait = core::backoff(++engine->refusals, settings.store_retry, settings.store_retry_max,
                              0);
    if (engine->refused_since && !engine->waiting.empty()) {
        const auto left = *engine->refused_since + settings.store_wait - services_.steady_now();
        wait = std::min(wait, std::max(left, duration{0}));
    }
    auto done = [this, owner = engine->owner](const std::exception_ptr&) {
        put(owner, retry_stalled{});
    };
    services_.tasks.spawn(services_.clock->wait_for(wait), std::move(done));
}

ROUNDHOUSE_DECL asio::awaitable<void> reconciler::handle(shared engine, retry_stalled) {
    engine->retrying = false;
    if (closed_.load()) co_return;
    auto reading = read(engine);
    const auto found = co_await std::move(reading);
    if (!found) {
        note_refusal(*engine, found.error());
        if (refused_too_long(*engine)) give_up_waiting(*engine);
        co_return retry_later(engine);
    }
    auto taking_in = take_in_stalled(engine);
    co_await std::move(taking_in);
}

ROUNDHOUSE_DECL asio::awaitable<void> reconciler::take_in_stalled(shared engine) {
    auto events = std::exchange(engine->stalled, {});
    while (!events.empty()) {
        auto happening = happen(engine, std::move(events.front()));
        events.pop_front();
        co_await std::move(happening);
    }
    if (engine->stalled.empty()) taken_in(*engine);
    else if (refused_too_long(*engine)) give_up_waiting(*engine);
}

/// Everything that has happened is stored: the row is true again, and calls that waited for that
/// are decided.
ROUNDHOUSE_DECL void reconciler::taken_in(mailbox& engine) {
    engine.refused_since.reset();
    engine.refusals = 0;
    unreconciled_.remove(engine.owner);
    std::vector<waiting_call> again;
    std::vector<waiting_call> joined;
    for (auto& call : std::exchange(engine.waiting, {}))
        (call.waits == core::verdict::deferred ? again : joined).push_back(std::move(call));
    engine.waiting = std::move(joined);
    mailboxes_.put_first(engine, std::move(again));
}

ROUNDHOUSE_DECL void reconciler::give_up_waiting(mailbox& engine) {
    for (auto& call : std::exchange(engine.waiting, {})) answer(call, unexpected(engine.refusal));
}

// A store that fails in the last step of a commit may have made it all the same. Then what follows
// from it is still to be done, and what comes next is to be decided on what it made.

/// Keeps a decision whose commit failed, if it may have been made; the failure itself.
ROUNDHOUSE_DECL result<void> reconciler::doubt(const shared& engine, const error& cause,
                                               doubtful_commit what) {
    if (cause.code == errc::store_unavailable) {
        engine->doubt = std::move(what);
        retry_later(engine);
    }
    return unexpected(cause);
}

/// The engine's row, with nothing in doubt about it.
ROUNDHOUSE_DECL asio::awaitable<result<engine_ptr>> reconciler::read(shared engine) {
    pending_result<engine_ptr> pending;
    services_.store->read_engine(engine->owner, pending.complete());
    auto reading = pending.wait();
    auto found = co_await std::move(reading);
    if (!found || !engine->doubt) co_return found;
    const auto last = std::move(*engine->doubt);
    engine->doubt.reset();
    if (!last.made(*found)) co_return found;
    if (last.of_event) engine->stalled.pop_front();
    (void)follow(engine, last.decided, last.before, *found);
    co_return found;
}

ROUNDHOUSE_DECL asio::awaitable<void> reconciler::learn_product(shared engine, uuid product) {
    pending_result<product_ptr> pending;
    services_.store->read_product(to_string(product), pending.complete());
    auto reading = pending.wait();
    const auto found = co_await std::move(reading);
    if (found) engine->product = *found; // without it the row has no actor
}

ROUNDHOUSE_DECL core::context reconciler::context(const mailbox& engine,
                                                  const engine_record& record) const {
    std::array<std::uint8_t, 4> drawn{};
    services_.entropy(drawn);
    const auto number = static_cast<double>((std::uint32_t{drawn[0]} << 16U) |
                                            (std::uint32_t{drawn[1]} << 8U) | drawn[2]);
    core::context out{services_.now(), services_.settings, {}};
    out.defaults = services_.defaults.of(record.product_id);
    if (engine.product) out.product_slug = engine.product->slug;
    out.steady_now = services_.steady_now();
    out.jitter = number / double{1U << 24U};
    out.backend_away = services_.backend->trouble().has_value();
    out.brake = brakes_.state_of(record);
    const auto now = out.steady_now;
    if (const auto until = running_.leased_until(record))
        out.lease_left = std::max(*until - now, duration{0});
    if (engine.command.began) out.elapsed = std::max(now - *engine.command.began, duration{0});
    out.healthy_for = running_.healthy_for(record, now);
    out.since_health_row = running_.since_health_row(record, now);
    if (record.restart_at) out.restart_in = timers_.restart_in(engine.owner);
    if (engine.command.probes) out.last_probe = engine.command.probes->last_failure();
    return out;
}

// Commit, then submit, then answer

ROUNDHOUSE_DECL asio::awaitable<result<engine_ptr>>
reconciler::carry_out(shared engine, core::decision decided, engine_ptr before) {
    if (decided.row == core::row_change::none) co_return follow(engine, decided, before, before);
    if (services_.submits_before_commit && decided.command != core::command::none)
        scheduler_.submit(*engine, std::exchange(decided.command, core::command::none),
                          std::make_shared<const engine_record>(decided.next));
    auto committing = commit(decided, *before);
    const auto stored = co_await std::move(committing);
    if (stored) co_return follow(engine, decided, before, *stored);
    doubtful_commit doubted{std::move(decided), before, before->id};
    co_return unexpected(doubt(engine, stored.error(), std::move(doubted)).error());
}

/// What follows once a decision is durable. `before` is null if the engine has just been created.
ROUNDHOUSE_DECL engine_ptr reconciler::follow(const shared& engine, const core::decision& decided,
                                              const engine_ptr& before, const engine_ptr& after) {
    if (before && decided.row != core::row_change::none)
        publish(engine, decided, *before, after.get());
    if (after) timers_.follow(*after, decided.made_at);
    else timers_.forget(engine->owner);
    follow_for_callers(engine->owner, decided, before, after);
    // No operation is under way any more: whatever still runs for one is of no use.
    if (!after || after->intent == intent::none) scheduler_.drop(*engine);
    if (decided.command != core::command::none && !quiesced_.load()) {
        scheduler_.submit(*engine, decided.command, after);
        if (decided.command == core::command::boot) limit_creation(*engine);
    }
    if (decided.settled) settle(engine, *decided.settled, before, after);
    return after ? after : before;
}

/// Null if the row is gone.
ROUNDHOUSE_DECL asio::awaitable<result<engine_ptr>>
reconciler::commit(core::decision& decided, const engine_record& before) {
    change_set changes;
    if (decided.row == core::row_change::update)
        changes.changes.push_back(update_engine{
            std::move(decided.next), decided.choose_port ? services_.port_wanted() : std::nullopt,
            decided.max_total_memory_mb});
    else
        changes.changes.push_back(erase_engine{before.product_id, before.user_id, before.revision,
                                               decided.row == core::row_change::undo});
    changes.audit = decided.audit;
    const running_engines::changing row(running_, before);
    auto committing = commit(std::move(changes));
    auto done = co_await std::move(committing);
    if (!done) co_return unexpected(std::move(done.error()));
    co_return done->engines.empty() ? nullptr : done->engines.front();
}

ROUNDHOUSE_DECL asio::awaitable<result<committed>> reconciler::commit(change_set changes) {
    pending_result<committed> pending;
    services_.store->commit(std::move(changes), pending.complete());
    auto committing = pending.wait();
    auto done = co_await std::move(committing);
    co_return done;
}

/// Makes a change known to whatever follows the rows.
ROUNDHOUSE_DECL void reconciler::publish(const shared& engine, const core::decision& decided,
                                         const engine_record& before, const engine_record* after) {
    for (const auto& row : decided.audit) metrics_.add(row);
    prober_.follow(before, after, decided.made_at);
    if (!services_.sink) return;
    const auto& settled = decided.settled;
    const auto failure = settled ? settled->failure : std::nullopt;
    const logged_engine named(before, engine->product_slug());
    const bool timed_out = failure && failure->code == errc::boot_timeout;
    const bool given_up = after != nullptr && core::gives_up_upgrade(before, *after);
    if (before.intent == intent::boot && (timed_out || given_up)) boot_failures_.log(before, named);
    const auto notice = core::notice_of(decided, before.status, after);
    std::string message(decided.why);
    if (!notice.remedy.empty()) message.append(". ").append(notice.remedy);
    const bool has_intent = after != nullptr && after->intent != intent::none;
    std::string reason = after != nullptr ? after->reason : std::string();
    if (failure && (reason.empty() || failure->code == errc::port_exhaustion))
        reason = failure->message;
    services_.log(notice.level, message, named,
                  {{"from", name_of(before.status)},
                   {"to", after != nullptr ? name_of(after->status) : "gone"},
                   {"intent", has_intent ? name_of(after->intent) : ""},
                   {"reason", reason}});
}

ROUNDHOUSE_DECL void reconciler::settle(const shared& engine, const core::settlement& settled,
                                        const engine_ptr& before, const engine_ptr& after) {
    std::vector<waiting_call> again;
    for (auto& call : std::exchange(engine->waiting, {})) {
        const auto outcome = core::outcome(call.call, call.waits, settled, after.get());
        if (!outcome) again.push_back(std::move(call));
        else if (*outcome) answer(call, after ? after : before);
        else answer(call, unexpected(outcome->error()));
    }
    mailboxes_.put_first(*engine, std::move(again));
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
