#pragma once

#include <roundhouse/core/backoff.hpp>
#include <roundhouse/core/ceilings.hpp>
#include <roundhouse/core/engine_settings_check.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/core/settings_in_force.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/shell/reconciler.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Whether a commit failed because another one came first, so that it is to be decided again.
[[nodiscard]] inline bool lost_race(const error& cause) noexcept {
    return cause.code == errc::revision_conflict || cause.code == errc::engine_already_exists ||
           cause.code == errc::short_id_taken;
}

ROUNDHOUSE_DECL void reconciler::enqueue(const engine_owner& owner, mailbox_input input) {
    if (auto* const call = std::get_if<waiting_call>(&input)) {
        if (quiesced_.load()) return call->done(unexpected(going_away()));
        if (!waiting_.take(owner.product_id))
            return call->done(
                fail(errc::overloaded, "Too many calls are waiting. Try again later.", 1));
        call->counted_for = owner.product_id;
        if (call->waits_until && !call->is_late(services_.steady_now()))
            call->timer = call_timers_.add(*call->waits_until,
                                           [this, owner] { put(owner, wait_passed{}); });
    } else if (closed_.load() && std::holds_alternative<engine_event>(input)) {
        return;
    }
    put(owner, std::move(input));
}

ROUNDHOUSE_DECL void reconciler::enqueue_found(const engine_record& engine,
                                               std::optional<found_workload> found) {
    const engine_owner owner{engine.product_id, engine.user_id};
    unreconciled_.add(owner);
    enqueue(owner, engine_event{core::event::found{std::move(found)}});
}

ROUNDHOUSE_DECL void reconciler::quiesce() {
    quiesced_.store(true);
    for (const auto& owner : mailboxes_.owners()) put(owner, give_up{});
    states_.fail_all(going_away());
}

ROUNDHOUSE_DECL void reconciler::close() {
    closed_.store(true);
    timers_.close();
    quiesce();
    call_timers_.close();
}

ROUNDHOUSE_DECL void reconciler::put(const engine_owner& owner, mailbox_input input) {
    if (auto drains = mailboxes_.put(owner, std::move(input))) post_drain(std::move(drains));
}

ROUNDHOUSE_DECL void reconciler::post_drain(shared engine) {
    services_.tasks.run(drain(std::move(engine)));
}

ROUNDHOUSE_DECL asio::awaitable<void> reconciler::drain(shared engine) {
    while (auto input = mailboxes_.next(engine)) {
        auto handling = std::visit([&](auto& taken) { return handle(engine, std::move(taken)); },
                                   *input);
        co_await std::move(handling);
        preparer_.drop_unwanted(*engine);
    }
    if (auto next = mailboxes_.next_in_background()) post_drain(std::move(next));
}

// Calls

ROUNDHOUSE_DECL asio::awaitable<void> reconciler::handle(shared engine, waiting_call call) {
    if (quiesced_.load()) co_return answer(call, unexpected(going_away()));
    if (call.product) engine->product = call.product;
    if (auto refused = refusal(call)) co_return answer(call, unexpected(std::move(*refused)));
    // What has happened and could not be stored makes the row untrue: nothing is decided by it.
    // But an engine that only lacks a port can be stopped and destroyed.
    const bool ends = std::holds_alternative<core::call::destroy>(call.call) ||
                      std::holds_alternative<core::call::stop>(call.call);
    if (!engine->stalled.empty() && !(ends && engine->refusal.code == errc::port_exhaustion))
        co_return wait(*engine, std::move(call), core::verdict::deferred);
    for (int attempt = 0; attempt < services_.settings.commit_attempts; ++attempt) {
        auto reading = read(engine);
        const auto found = co_await std::move(reading);
        if (!found) co_return answer(call, unexpected(found.error()));
        const auto& record = *found;
        if (!record) {
            if (!call.create)
                co_return answer(call, fail(errc::engine_not_found,
                                            "User '" + engine->owner.user_id +
                                                "' has no engine. Provision one, or admit with "
                                                "auto_provision."));
            auto creating = create(engine, call);
            const auto created = co_await std::move(creating);
            if (created) co_return wait(*engine, std::move(call), core::verdict::joined);
            if (lost_race(created.error())) continue;
            co_return answer(call, unexpected(created.error()));
        }
        auto known = context(*engine, *record);
        known.caller = caller_of(call);
        auto decided = core::decide(call.call, *record, known);
        const auto verdict = decided.verdict;
        if (verdict == core::verdict::refused) {
            log_unheard(*engine, call, decided.refusal);
            co_return answer(call, unexpected(std::move(decided.refusal)));
        }
        if (needs_preparation(call, decided, *record)) {
            preparer_.begin(*engine, call, record);
            co_return wait(*engine, std::move(call), core::verdict::deferred);
        }
        auto carrying_out = carry_out(engine, std::move(decided), record);
        const auto after = co_await std::move(carrying_out);
        if (!after && lost_race(after.error())) continue;
        if (!after) {
            refusals_.note(engine->named(), after.error());
            co_return answer(call, unexpected(after.error()));
        }
        note_use(call, **after);
        const bool stalls = !engine->stalled.empty(); // but what it lacked it needs no more
        if (stalls) engine->refused_since.reset();
        if (verdict == core::verdict::answered) answer(call, *after);
        else wait(*engine, std::move(call), verdict);
        if (stalls) {
            auto taking_in = take_in_stalled(engine);
            co_await std::move(taking_in);
        }
        co_return;
    }
    answer(call, fail(errc::internal_error, "The engine's record kept changing. Try again."));
}

/// Why nothing is decided about a call of this product; nothing if it is.
ROUNDHOUSE_DECL std::optional<error> reconciler::refusal(const waiting_call& call) const {
    if (!call.product || std::holds_alternative<core::call::destroy>(call.call))
        return std::nullopt;
    return services_.ended.refusal(*call.product);
}

/// An admit or a lease that meets an engine which is being put to sleep keeps it awake, if that is
/// still possible.
ROUNDHOUSE_DECL void reconciler::note_use(const waiting_call& call,
                                          const engine_record& engine) const {
    if (engine.intent != intent::sleep) return;
    if (std::holds_alternative<core::call::lease>(call.call))
        running_.use(engine, services_.steady_now(), engine_use::activity);
    else if (std::holds_alternative<core::call::admit>(call.call))
        running_.use(engine, services_.steady_now(), engine_use::admit);
}

ROUNDHOUSE_DECL void reconciler::wait(mailbox& engine, waiting_call call, core::verdict verdict) {
    if (refused_too_long(engine)) return answer(call, unexpected(engine.refusal));
    // Its caller was answered: what goes on goes on without it.
    if (!call.done && verdict == core::verdict::joined) return answer(call, engine_ptr());
    if (engine.waiting.size() >= services_.settings.max_waiting_per_engine)
        return answer(call, fail(errc::overloaded,
                                 "Too many calls wait for this engine. Try again later.", 1));
    call.waits = verdict;
    if (call.is_late(services_.steady_now())) put(engine.owner, wait_passed{});
    engine.waiting.push_back(std::move(call));
    if (verdict == core::verdict::joined) scheduler_.hurry(engine);
}

ROUNDHOUSE_DECL void reconciler::answer(waiting_call& call, result<engine_ptr> outcome) {
    waiting_.give_back(call.counted_for);
    if (call.timer) call_timers_.remove(*call.timer);
    call.wants_prepared.reset();
    if (call.done) call.done(std::move(outcome));
}

ROUNDHOUSE_DECL engine_record reconciler::new_engine(const engine_owner& owner,
                                                     const waiting_call& call,
                                                     const product_defaults* defaults) const {
    const auto now = services_.now();
    const auto& settings = services_.settings;
    engine_record engine;
    engine.id = crypto::make_uuid(services_.entropy);
    engine.product_id = owner.product_id;
    engine.user_id = owner.user_id;
    engine.version = core::version_of_new(call.create->version, defaults, settings);
    engine.intent = intent::boot;
    engine.generation = 1;
    engine.created_at = engine.operation_started_at = engine.last_activity_at = now;
    engine.asked_by = caller_of(call);
    engine.settings = core::settings_of_new(call.create->settings, defaults);
    engine.defaults_revision = revision_of(defaults);
    engine.deadline = now + core::longest_boot(engine, settings, defaults);
    const auto key = crypto::make_engine_key(services_.entropy);
    engine.key_hash = crypto::sha256(key);
    engine.sealed_key = services_.keys.seal(key, now, services_.entropy);
    return engine;
}

/// The ceilings of the engine that a call creates, if the policy of its product allows that. A call
/// that is decided again takes no second place in the rate.
ROUNDHOUSE_DECL result<engine_limits> reconciler::allow_creation(waiting_call& call,
                                                                 const product_defaults* defaults) {
    const auto& product = *call.product;
    const auto& settings = services_.settings;
    const auto& backend = *services_.backend;
    const auto& given = call.create->settings ? *call.create->settings : no_settings();
    std::optional<std::string_view> version;
    if (call.create->version) version = *call.create->version;
    if (auto allowed = core::may_provision(product, version, settings); !allowed)
        return unexpected(std::move(allowed.error()));
    if (!given.env_names.empty())
        if (auto allowed = core::may_give_env(product, settings); !allowed)
            return unexpected(std::move(allowed.error()));
    const auto with_defaults = core::settings_of_new(call.create->settings, defaults);
    if (with_defaults)
        if (const auto fault = core::check_metadata(with_defaults->metadata))
            return fail(errc::invalid_request,
                        fault->member +
                            ", with that of the product's defaults: " + fault->complaint);
    auto limits = core::grant_limits(given.limits, product, defaults, backend.limits(),
                                     backend.name(), settings);
    if (!limits || std::exchange(call.creation_counted, true)) return limits;
    const auto rate = core::policy_of(product, settings).max_provisions_per_minute;
    if (const auto wait = creations_.take(product.id, rate, services_.steady_now()))
        return unexpected(core::over_rate(product, "max_provisions_per_minute", *rate, *wait));
    return limits;
}

ROUNDHOUSE_DECL asio::awaitable<result<void>> reconciler::create(shared engine,
                                                                 waiting_call& call) {
    // What is allowed by these defaults is made with them, though they may be changed meanwhile.
    const auto defaults = services_.defaults.of(engine->owner.product_id);
    const auto limits = allow_creation(call, defaults.get());
    if (!limits) co_return unexpected(limits.error());
    auto record = new_engine(engine->owner, call, defaults.get());
    record.reserved_memory_mb = limits->memory_mb.value_or(0);
    const auto id = record.id;
    core::decision made;
    made.made_at = services_.moment();
    made.row = core::row_change::update;
    made.command = core::command::boot;
    const auto& quotas = core::policy_of(*call.product, services_.settings);
    change_set changes;
    changes.changes.push_back(insert_engine{std::move(record), quotas.max_engines,
                                            services_.port_wanted(), quotas.max_total_memory_mb,
                                            true});
    if (call.create->once) {
        auto once = *call.create->once;
        once.engine_id = id;
        once.created_at = services_.now();
        changes.changes.push_back(put_idempotency{std::move(once), true});
    }
    auto committing = commit(std::move(changes));
    const auto done = co_await std::move(committing);
    if (!done) {
        refusals_.note(engine->named(), done.error());
        doubtful_commit doubted{std::move(made), nullptr, id};
        co_return doubt(engine, done.error(), std::move(doubted));
    }
    (void)follow(engine, made, nullptr, done->engines.front());
    co_return result<void>{};
}

// Events

ROUNDHOUSE_DECL asio::awaitable<void> reconciler::handle(shared engine, engine_event input) {
    const auto* const passed = std::get_if<core::event::deadline>(&input.event);
    // The wait was changed while the event was on its way.
    if (passed != nullptr && timers_.waits(engine->owner)) co_return;
    if (passed != nullptr && engine->command.queued) {
        // The boot still waits for its turn, which is no fault of the engine's.
        const auto& boot = *engine->command.queued->record;
        const auto defaults = services_.defaults.of(boot.product_id);
        timers_.change_wait(engine->owner,
                            core::longest_boot(boot, services_.settings, defaults.get()));
        co_return;
    }
    const bool found = std::holds_alternative<core::event::found>(input.event);
    auto happening = happen(engine, std::move(input.event));
    co_await std::move(happening);
    if (found && engine->stalled.empty()) unreconciled_.remove(engine->owner);
}

ROUNDHOUSE_DECL asio::awaitable<void> reconciler::handle(shared engine, turn_came came) {
    scheduler_.take_turn(*engine, came, quiesced_.load());
    limit_creation(*engine);
    co_return;
}

/// A boot whose turn has come must have prepared or started its workload in time; what is stored is
/// the limit for the whole boot.
ROUNDHOUSE_DECL void reconciler::limit_creation(const mailbox& engine) {
    const auto& state = engine.command;
    if (!state.holds_turn || state.pending) return;
    timers_.change_wait(engine.owner, state.longest_boot - services_.settings.boot_timeout);
}

ROUNDHOUSE_DECL asio::awaitable<void> reconciler::handle(shared engine, workload_started started) {
    if (started.number == engine->command.last_number)
        timers_.change_wait(engine->owner, services_.settings.boot_timeout);
    co_return;
}

ROUNDHOUSE_DECL asio::awaitable<void> reconciler::handle(shared engine, command_ended ended) {
    if (quiesced_.load()) scheduler_.drop(*engine); // nothing more is asked of the backend
    auto outcome = scheduler_.take_end(*engine, std::move(ended));
    limit_creation(*engine);
    if (!outcome) co_return;
    auto happening = happen(engine, std::move(*outcome));
    co_await std::move(happening);
}

ROUNDHOUSE_DECL asio::awaitable<void> reconciler::handle(shared engine, give_up) {
    scheduler_.drop(*engine);
    engine->stalled.clear();
    engine->doubt.reset();
    for (auto& call : std::exchange(engine->waiting, {})) answer(call, unexpected(going_away()));
    co_return;
}

ROUNDHOUSE_DECL asio::awaitable<void> reconciler::happen(shared engine, core::event_variant event) {
    if (closed_.load()) co_return;
    if (!engine->stalled.empty()) {
        engine->stalled.push_back(std::move(event));
        co_return;
    }
    for (int attempt = 0; attempt < services_.settings.commit_attempts; ++attempt) {
        auto reading = read(engine);
        const auto found = co_await std::move(reading);
        if (!found) co_return stall(engine, std::move(event), found.error());
        const auto& record = *found;
        if (!record) co_return;
        if (!engine->product) {
            auto learning = learn_product(engine, record->product_id);
            co_await std::move(learning);
        }
        auto decided = core::decide(event, *record, context(*engine, *record));
        auto carrying_out = carry_out(engine, std::move(decided), record);
        const auto after = co_await std::move(carrying_out);
        if (after) {
            const auto* const passed = std::get_if<core::event::deadline>(&event);
            // Nothing came of a deadline that still holds, because the backend is away.
            if (passed != nullptr && *after && (*after)->deadline == passed->deadline)
                timers_.change_wait(engine->owner, services_.settings.retry_base);
            co_return;
        }
        if (engine->doubt) engine->doubt->of_event = true;
        if (after.error().code == errc::port_exhaustion &&
            record->status == engine_status::failed && record->restart_at) {
            refusals_.note(engine->named(), after.error());
            event = core::event::restart_without_port{after.error()};
            continue;
        }
        if (!lost_race(after.error())) co_return stall(engine, std::move(event), after.error());
    }
    const error changing{errc::store_unavailable, "The engine's record kept changing."};
    stall(engine, std::move(event), changing);
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
