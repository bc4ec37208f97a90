#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/core/lifecycle.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/shell/boot_failure_log.hpp>
#include <roundhouse/shell/command_scheduler.hpp>
#include <roundhouse/shell/deadline_timers.hpp>
#include <roundhouse/shell/mailbox.hpp>
#include <roundhouse/shell/shell_parts.hpp>
#include <roundhouse/shell/unreconciled_engines.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/post.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Never true but for a store that a test makes for it: then the backend is asked before the
/// commit, which a simulation has to find out.
template <class Store> inline constexpr bool submits_before_commit = false;

/// The thin shell around the state machine: feeds it calls and events, commits what it decides,
/// then submits what it asks. All work on one engine runs through that engine's mailbox, one input at
/// a time; engines do not wait for each other.
template <class Backend, class Store, class Clock>
class reconciler : public std::enable_shared_from_this<reconciler<Backend, Store, Clock>> {
public:
    using parts = shell_parts<Backend, Store, Clock>;

    explicit reconciler(parts with)
        : with_(std::move(with)),
          tasks_(std::make_shared<task_group>()),
          timers_(std::make_shared<deadline_timers<Clock>>(with_.executor, with_.clock, tasks_)),
          scheduler_(scheduler_surroundings(),
                     {with_.backend, with_.clock, with_.settings, with_.keys}),
          mailboxes_(with_.settings.background_drains) {}

    /// Connects it with the world; before anything else, once it is held by a shared pointer.
    void connect() {
        auto weak = this->weak_from_this();
        timers_->on_ring([weak](const engine_owner& key) {
            if (const auto self = weak.lock()) self->enqueue(key, core::event::deadline{});
        });
        with_.backend->on_exit([weak](const workload_exit& what) {
            if (const auto self = weak.lock())
                self->enqueue_by_id(what.ref.engine_id, core::event::exited{what});
        });
        if constexpr (reports_pauses<Backend>)
            with_.backend->on_pause([weak](const workload_pause& what) {
                if (const auto self = weak.lock())
                    self->enqueue_by_id(what.ref.engine_id, core::event::paused_by_others{what});
            });
    }

    [[nodiscard]] const parts& with() const noexcept { return with_; }
    [[nodiscard]] const std::shared_ptr<task_group>& tasks() const noexcept { return tasks_; }

    /// Takes a call on its way. Its completion is called exactly once, from the executor.
    void call(const engine_owner& key, waiting_call what) {
        if (quiesced_.load())
            return refuse(what, errc::shutting_down, "The orchestrator is shutting down.");
        if (waiting_.load() >= with_.settings.max_waiting)
            return refuse(what, errc::overloaded, "Too many calls are waiting. Try again later.");
        ++waiting_;
        put(key, std::move(what));
    }

    void enqueue(const engine_owner& key, core::event_variant what) {
        if (!closed_.load()) put(key, engine_event{std::move(what)});
    }

    /// Tells an engine at the start what the backend has of it. Until that is taken in the engine
    /// is held.
    void enqueue_found(const engine_owner& key, core::event::found what) {
        unreconciled_.hold(key);
        enqueue(key, std::move(what));
    }

    [[nodiscard]] unreconciled_engines& unreconciled() noexcept { return unreconciled_; }

    void set_deadline(const engine_owner& key, std::optional<instant> at) { timers_->set(key, at); }

    /// Calls back once no engine has work in flight, from the executor or at once.
    void when_quiet(std::function<void()> quiet) { mailboxes_.when_empty(std::move(quiet)); }

    /// From here on nothing is asked of the backend, and calls fail; what happens is still written
    /// down. Commands under way are cancelled.
    void quiesce() {
        quiesced_.store(true);
        mailboxes_.for_each([this](const engine_owner& key) { put(key, give_up{}); });
    }

    /// Ends everything: waiting calls fail, what the backend is doing is cancelled, engines stay as
    /// they are.
    void close() {
        closed_.store(true);
        timers_->close();
        tasks_->close();
        with_.backend->on_exit(nullptr);
        if constexpr (reports_pauses<Backend>) with_.backend->on_pause(nullptr);
        quiesce();
    }

    [[nodiscard]] core::context context(std::string_view product_slug) const {
        std::array<std::uint8_t, 4> drawn{};
        with_.entropy(drawn);
        const auto number = static_cast<double>((std::uint32_t{drawn[0]} << 16U) |
                                                (std::uint32_t{drawn[1]} << 8U) | drawn[2]);
        return {with_.clock->now(), with_.settings, product_slug, number / double{1U << 24U},
                with_.backend->trouble().has_value()};
    }

    void log(log_level level, std::string_view line) const { with_.log_line(level, line); }

private:
    using shared = std::shared_ptr<mailbox>;
    using scheduler = command_scheduler<Backend, Clock>;

    /// For the time in which this object lives.
    [[nodiscard]] typename scheduler::surroundings scheduler_surroundings() {
        return {with_.executor,
                tasks_,
                with_.settings.boot_concurrency,
                [this]() -> typename scheduler::inbox {
                    return [self = this->shared_from_this()](const engine_owner& key,
                                                             mailbox_input input) {
                        self->put(key, std::move(input));
                    };
                },
                [this](const engine_record& record) { return used_since(record); },
                [this](std::string_view what) { log(log_level::error, what); }};
    }

    void put(const engine_owner& key, mailbox_input input) {
        if (auto to_drain = mailboxes_.put(key, std::move(input))) post_drain(std::move(to_drain));
    }

    void post_drain(shared one) {
        asio::post(with_.executor,
                   [self = this->shared_from_this(), one = std::move(one)] { self->drain(one); });
    }

    void drain(const shared& one) {
        while (auto input = mailboxes_.next(one))
            std::visit([&](auto& what) { handle(one, std::move(what)); }, *input);
        if (auto next = mailboxes_.next_in_background()) post_drain(std::move(next));
    }

    void enqueue_by_id(const uuid& id, core::event_variant what) {
        const auto engine = with_.store->find_engine_by_id(id);
        if (engine && *engine)
            enqueue({(*engine)->product_id, (*engine)->user_id}, std::move(what));
    }

    // Calls

    void handle(const shared& one, waiting_call&& call) {
        if (quiesced_.load())
            return answer(call, fail(errc::shutting_down, "The orchestrator is shutting down.", 1));
        if (call.product) one->product_slug = call.product->slug;
        for (int attempt = 0; attempt < with_.settings.commit_attempts; ++attempt) {
            const auto found = read(one);
            if (!found) return answer(call, unexpected(found.error()));
            const auto& engine = *found;
            if (!engine) {
                if (!call.create)
                    return answer(call,
                                  fail(errc::engine_not_found, no_engine(one->owner.user_id)));
                const auto created = create(one, call);
                if (created) return wait(one, std::move(call), core::verdict::joined);
                if (lost_race(created.error())) continue;
                return answer(call, unexpected(created.error()));
            }
            auto decided = core::decide(call.call, *engine, context(one->product_slug));
            const auto verdict = decided.verdict;
            if (verdict == core::verdict::refused)
                return answer(call, unexpected(std::move(decided.refusal)));
            const auto after = carry_out(one, std::move(decided), engine);
            if (!after && lost_race(after.error())) continue;
            if (!after) return answer(call, unexpected(after.error()));
            if (verdict == core::verdict::answered) return answer(call, *after);
            if (engine->intent == intent::sleep) keep_awake(call, *engine);
            return wait(one, std::move(call), verdict);
        }
        answer(call, fail(errc::internal_error, "The engine's record kept changing. Try again."));
    }

    /// Who wants an engine that is being put to sleep keeps it awake, if that can still be.
    void keep_awake(const waiting_call& call, const engine_record& engine) const {
        const bool wants = std::holds_alternative<core::call::admit>(call.call) ||
                           std::holds_alternative<core::call::lease>(call.call);
        if (wants && with_.used) with_.used(engine);
    }

    static std::string no_engine(const std::string& user) {
        return "User '" + user + "' has no engine. Provision one, or admit with auto_provision.";
    }

    static bool lost_race(const error& what) noexcept {
        return what.code == errc::revision_conflict || what.code == errc::engine_already_exists ||
               what.code == errc::short_id_taken;
    }

    void wait(const shared& one, waiting_call&& call, core::verdict how) {
        if (one->waiting.size() >= with_.settings.max_waiting_per_engine)
            return answer(call, fail(errc::overloaded,
                                     "Too many calls wait for this engine. Try again later.", 1));
        call.waits = how;
        one->waiting.push_back(std::move(call));
        if (how == core::verdict::joined) scheduler_.hurry(*one);
    }

    void answer(waiting_call& call, result<engine_ptr> what) {
        --waiting_;
        call.done(std::move(what));
    }

    void refuse(waiting_call& call, errc code, std::string message) {
        call.done(fail(code, std::move(message), 1));
    }

    result<void> create(const shared& one, const waiting_call& call) {
        const auto& s = with_.settings;
        std::optional<std::string_view> asked;
        if (call.create->version) asked = *call.create->version;
        if (auto allowed = core::may_provision(*call.product, asked, s.default_version); !allowed)
            return allowed;
        auto record = with_.new_engine(one->owner, call.create->version);
        const auto id = record.id;
        change_set set;
        set.changes.push_back(insert_engine{std::move(record), call.product->policy.max_engines,
                                            with_.port_wanted()});
        const auto done = with_.store->commit(set);
        core::decision made;
        made.row = core::row_change::update;
        made.command = core::command::boot;
        if (!done) return doubt(one, done.error(), {std::move(made), nullptr, id});
        scheduler_.submit(*one, made.command, done->engines.front());
        return {};
    }

    // Events

    void handle(const shared& one, engine_event&& input) {
        const bool found = std::holds_alternative<core::event::found>(input.event);
        happen(one, std::move(input.event));
        if (found && one->stalled.empty()) unreconciled_.release(one->owner);
    }

    void handle(const shared& one, turn_came&& came) {
        scheduler_.take_turn(*one, came, quiesced_.load());
    }

    void handle(const shared& one, command_went_on&& what) {
        if (what.number == one->last_number) happen(one, std::move(what.how_far));
    }

    void handle(const shared& one, command_ended&& ended) {
        if (auto outcome = scheduler_.take_end(*one, std::move(ended)))
            happen(one, std::move(*outcome));
    }

    void handle(const shared& one, retry_stalled&&) {
        one->retrying = false;
        if (closed_.load()) return;
        if (!read(one)) return retry_later(one);
        auto events = std::exchange(one->stalled, {});
        for (auto& event : events) happen(one, std::move(event));
        if (one->stalled.empty()) unreconciled_.release(one->owner);
    }

    void handle(const shared& one, give_up&&) {
        scheduler_.drop(*one);
        one->stalled.clear();
        one->doubt.reset();
        for (auto& call : std::exchange(one->waiting, {}))
            answer(call, fail(errc::shutting_down, "The orchestrator is shutting down.", 1));
    }

    void happen(const shared& one, core::event_variant what) {
        if (closed_.load()) return;
        if (!one->stalled.empty()) return one->stalled.push_back(std::move(what));
        for (int attempt = 0; attempt < with_.settings.commit_attempts; ++attempt) {
            const auto found = read(one);
            if (!found) return stall(one, std::move(what), found.error());
            if (!*found) return;
            know_owner(one, **found);
            auto decided = core::decide(what, **found, context(one->product_slug));
            const auto after = carry_out(one, std::move(decided), *found);
            if (after && *after && std::holds_alternative<core::event::deadline>(what))
                ring_again(one, **after);
            if (after) return;
            if (one->doubt) one->doubt->of_event = true;
            if (after.error().code == errc::port_exhaustion && restart_is_due(**found)) {
                what = core::event::restart_without_port{after.error()};
                continue;
            }
            if (!lost_race(after.error())) return stall(one, std::move(what), after.error());
        }
        stall(one, std::move(what),
              {errc::store_unavailable, "The engine's record kept changing."});
    }

    /// An alarm that rang too early, by a clock that was set back, rings again; and one that
    /// nothing came of, because the backend is away, in a while.
    void ring_again(const shared& one, const engine_record& engine) {
        const auto now = with_.clock->now();
        const bool passed = engine.deadline && *engine.deadline <= now;
        timers_->set(one->owner, passed ? now + with_.settings.retry_base : engine.deadline);
    }

    [[nodiscard]] bool restart_is_due(const engine_record& engine) const {
        return engine.status == engine_status::failed && engine.restart_at &&
               *engine.restart_at <= with_.clock->now();
    }

    /// An event must not be lost: it is tried again when the store may take it. One of an engine
    /// owner record cannot be read can never be taken in.
    void stall(const shared& one, core::event_variant what, const error& cause) {
        if (cause.code != errc::store_unavailable && cause.code != errc::port_exhaustion)
            return log(log_level::error,
                       "engine of user '" + one->owner.user_id + "': " + cause.message);
        log(log_level::warning,
            "engine of user '" + one->owner.user_id + "': a transition waits: " + cause.message);
        one->stalled.push_back(std::move(what));
        retry_later(one);
    }

    void retry_later(const shared& one) {
        if (std::exchange(one->retrying, true)) return;
        auto self = this->shared_from_this();
        auto key = one->owner;
        auto waits = std::make_shared<task>(with_.executor);
        auto done = [self, key](std::exception_ptr) { self->put(key, retry_stalled{}); };
        tasks_->spawn(waits, pause(self, with_.settings.store_retry), std::move(done));
    }

    static asio::awaitable<void> pause(std::shared_ptr<reconciler> self, duration how_long) {
        const auto until = self->with_.clock->now() + how_long;
        co_await self->with_.clock->wait_until(until);
    }

    // A store that fails in the last step of a commit may have made it all the same. Then what
    // follows from it is still to be done, and what comes next is to be decided on what it made.

    /// Keeps a decision owner commit failed, if it may have been made; the failure itself.
    result<void> doubt(const shared& one, const error& cause, doubtful_commit what) {
        if (cause.code == errc::store_unavailable) {
            one->doubt = std::move(what);
            retry_later(one);
        }
        return unexpected(cause);
    }

    /// The engine's row, with nothing in doubt about it.
    result<engine_ptr> read(const shared& one) {
        const auto found = with_.store->find_engine(one->owner.product_id, one->owner.user_id);
        if (!found || !one->doubt) return found;
        const auto last = std::move(*one->doubt);
        one->doubt.reset();
        if (!last.made(*found)) return found;
        if (last.of_event) one->stalled.pop_front();
        follow(one, last.decided, last.before, *found);
        return found;
    }

    void know_owner(const shared& one, const engine_record& engine) {
        if (!one->product_slug.empty()) return;
        const auto owner = with_.store->find_product_named(to_string(engine.product_id));
        if (owner && *owner) one->product_slug = (*owner)->slug;
    }

    // Commit, then submit, then tell

    result<engine_ptr> carry_out(const shared& one, core::decision decided,
                                 const engine_ptr& before) {
        if (decided.row == core::row_change::none) return follow(one, decided, before, before);
        if constexpr (submits_before_commit<Store>)
            if (const auto what = std::exchange(decided.command, core::command::none);
                what != core::command::none)
                scheduler_.submit(*one, what, std::make_shared<const engine_record>(decided.next));
        auto stored = commit(decided, *before);
        if (stored) return follow(one, decided, before, *stored);
        auto failure = doubt(one, stored.error(), {std::move(decided), before, before->id});
        return unexpected(std::move(failure.error()));
    }

    /// What follows once a decision is durable.
    engine_ptr follow(const shared& one, const core::decision& decided, const engine_ptr& before,
                      const engine_ptr& after) {
        if (before && decided.row != core::row_change::none)
            note(one, decided, *before, after.get());
        // No operation is under way any more: whatever still runs for one is of no use.
        if (!after || after->intent == intent::none) scheduler_.drop(*one);
        if (decided.command != core::command::none && !quiesced_.load())
            scheduler_.submit(*one, decided.command, after);
        if (decided.settled) settle(one, *decided.settled, before, after);
        return after ? after : before;
    }

    /// Null if the row is gone.
    result<engine_ptr> commit(core::decision& decided, const engine_record& before) {
        change_set set;
        if (decided.row == core::row_change::update)
            set.changes.push_back(update_engine{
                std::move(decided.next), decided.choose_port ? with_.port_wanted() : std::nullopt});
        else
            set.changes.push_back(erase_engine{before.product_id, before.user_id, before.revision,
                                               decided.row == core::row_change::undo});
        set.audit = decided.audit;
        const auto done = with_.store->commit(set);
        if (!done) return unexpected(done.error());
        return done->engines.empty() ? nullptr : done->engines.front();
    }

    void note(const shared& one, const core::decision& decided, const engine_record& before,
              const engine_record* after) {
        timers_->set(one->owner, after != nullptr ? after->deadline : std::nullopt);
        if (with_.audited)
            for (const auto& row : decided.audit) with_.audited(row);
        if (with_.changed) with_.changed(before, after);
        if (!with_.log) return;
        const bool boot_failed = before.intent == intent::boot && decided.settled &&
                                 decided.settled->failure &&
                                 decided.settled->failure->code == errc::boot_timeout;
        if (boot_failed)
            log_boot_failure(std::shared_ptr<const parts>(this->shared_from_this(), &with_),
                             *tasks_, before);
        const auto now = after != nullptr ? std::string(name_of(after->status)) + "/" +
                                                std::string(name_of(after->intent))
                                          : std::string("gone");
        log(log_level::info,
            "engine " + to_string(before.id) + " of user '" + before.user_id + "': " +
                std::string(name_of(before.status)) + "/" + std::string(name_of(before.intent)) +
                " -> " + now + ": " + std::string(decided.why) +
                (after != nullptr && !after->reason.empty() ? " (" + after->reason + ")" : ""));
    }

    void settle(const shared& one, const core::settlement& settled, const engine_ptr& before,
                const engine_ptr& after) {
        std::vector<waiting_call> again;
        for (auto& call : std::exchange(one->waiting, {})) {
            const auto outcome = core::outcome(call.call, call.waits, settled, after.get());
            if (!outcome) again.push_back(std::move(call));
            else if (*outcome) answer(call, after ? after : before);
            else answer(call, unexpected(outcome->error()));
        }
        mailboxes_.put_first(*one, std::move(again));
    }

    [[nodiscard]] bool used_since(const engine_record& record) const {
        const auto used = with_.last_used ? with_.last_used(record) : std::nullopt;
        return used && *used + with_.settings.sleep_after > record.operation_started_at;
    }

    const parts with_;
    const std::shared_ptr<task_group> tasks_;
    const std::shared_ptr<deadline_timers<Clock>> timers_;
    scheduler scheduler_;
    mailbox_table mailboxes_;
    unreconciled_engines unreconciled_;
    std::atomic<std::size_t> waiting_ = 0;
    std::atomic<bool> quiesced_ = false;
    std::atomic<bool> closed_ = false;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
