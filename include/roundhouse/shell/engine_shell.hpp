#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/core/lifecycle.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/shell/alarms.hpp>
#include <roundhouse/shell/boot_queue.hpp>
#include <roundhouse/shell/command_runner.hpp>
#include <roundhouse/shell/held_engines.hpp>
#include <roundhouse/shell/slot.hpp>

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

namespace roundhouse::inline ROUNDHOUSE_ABI::detail {

/// What the shell works with; outlives it.
template <class Backend, class Store, class Clock> struct shell_parts {
    asio::any_io_executor executor;
    std::shared_ptr<Backend> backend;
    std::shared_ptr<Store> store;
    std::shared_ptr<Clock> clock;
    roundhouse::settings settings;
    crypto::key_ring keys;
    crypto::entropy entropy;
    log_sink log;
    /// Told of every audit row once it is durable.
    std::function<void(const audit_entry&)> audited;
    /// Told of every record that has changed; the second is null if it is gone.
    std::function<void(const engine_record&, const engine_record*)> changed;
    /// When the engine was last used; nothing if that is not known.
    std::function<std::optional<instant>(const uuid&)> last_used;
    /// Notes that an engine is wanted by somebody now.
    std::function<void(const uuid&)> used;
};

/// Never true but for a store that a test makes for it: then the backend is asked before the
/// commit, which a simulation has to find out.
template <class Store> inline constexpr bool submits_before_commit = false;

/// The thin shell around the state machine: feeds it calls and events, commits what it decides,
/// then submits what it asks. All work on one engine runs through that engine's slot, one input at
/// a time; engines do not wait for each other.
template <class Backend, class Store, class Clock>
class engine_shell : public std::enable_shared_from_this<engine_shell<Backend, Store, Clock>> {
public:
    using parts = shell_parts<Backend, Store, Clock>;

    explicit engine_shell(parts with)
        : with_(std::move(with)),
          tasks_(std::make_shared<task_group>()),
          boots_(with_.settings.boot_concurrency),
          alarms_(std::make_shared<alarms<Clock>>(with_.executor, with_.clock, tasks_)),
          runner_(with_.backend, with_.clock, with_.settings, with_.keys),
          slots_(with_.settings.background_slots) {}

    /// Connects it with the world; before anything else, once it is held by a shared pointer.
    void connect() {
        auto weak = this->weak_from_this();
        alarms_->on_ring([weak](const engine_key& key) {
            if (const auto self = weak.lock()) self->tell(key, core::event::deadline{});
        });
        with_.backend->on_exit([weak](const workload_exit& what) {
            if (const auto self = weak.lock()) self->tell_exit(what);
        });
    }

    [[nodiscard]] const parts& with() const noexcept { return with_; }
    [[nodiscard]] const std::shared_ptr<task_group>& tasks() const noexcept { return tasks_; }

    /// Takes a call on its way. Its completion is called exactly once, from the executor.
    void call(const engine_key& key, waiting_call what) {
        if (frozen_.load())
            return refuse(what, errc::shutting_down, "The orchestrator is shutting down.");
        if (waiting_.load() >= with_.settings.max_waiting)
            return refuse(what, errc::overloaded, "Too many calls are waiting. Try again later.");
        ++waiting_;
        put(key, std::move(what));
    }

    void tell(const engine_key& key, core::event_variant what) {
        if (!closed_.load()) put(key, told_event{std::move(what)});
    }

    /// Tells an engine at the start what the backend has of it. Until that is taken in the engine
    /// is held.
    void tell_found(const engine_key& key, core::event::found what) {
        held_.hold(key);
        tell(key, std::move(what));
    }

    [[nodiscard]] held_engines& held() noexcept { return held_; }

    void set_alarm(const engine_key& key, std::optional<instant> at) { alarms_->set(key, at); }

    /// Calls back once no engine has work in flight, from the executor or at once.
    void when_quiet(std::function<void()> quiet) { slots_.when_empty(std::move(quiet)); }

    /// From here on nothing is asked of the backend, and calls fail; what happens is still written
    /// down. Commands under way are cancelled.
    void freeze() {
        frozen_.store(true);
        slots_.for_each([this](const engine_key& key) { put(key, give_up{}); });
    }

    /// Ends everything: waiting calls fail, what the backend is doing is cancelled, engines stay as
    /// they are.
    void close() {
        closed_.store(true);
        alarms_->close();
        tasks_->close();
        with_.backend->on_exit(nullptr);
        freeze();
    }

    [[nodiscard]] core::context context(std::string_view product_slug) const {
        std::array<std::uint8_t, 4> drawn{};
        with_.entropy(drawn);
        const auto number = static_cast<double>((std::uint32_t{drawn[0]} << 16U) |
                                                (std::uint32_t{drawn[1]} << 8U) | drawn[2]);
        return {with_.clock->now(), with_.settings, product_slug, number / double{1U << 24U}};
    }

    void log(log_level level, std::string_view line) const {
        if (with_.log) with_.log(level, line);
    }

private:
    using shared = std::shared_ptr<slot>;

    void put(const engine_key& key, slot_input input) {
        if (auto to_drain = slots_.put(key, std::move(input))) post_drain(std::move(to_drain));
    }

    void post_drain(shared one) {
        asio::post(with_.executor,
                   [self = this->shared_from_this(), one = std::move(one)] { self->drain(one); });
    }

    void drain(const shared& one) {
        while (auto input = slots_.next(one))
            std::visit([&](auto& what) { handle(one, std::move(what)); }, *input);
        if (auto next = slots_.next_in_background()) post_drain(std::move(next));
    }

    void tell_exit(const workload_exit& what) {
        const auto engine = with_.store->find_engine_by_id(what.ref.engine_id);
        if (engine && *engine)
            tell({(*engine)->product_id, (*engine)->user_id}, core::event::exited{what});
    }

    // Calls

    void handle(const shared& one, waiting_call&& call) {
        if (frozen_.load())
            return answer(call, fail(errc::shutting_down, "The orchestrator is shutting down.", 1));
        if (call.owner) one->product_slug = call.owner->slug;
        for (int attempt = 0; attempt < with_.settings.commit_attempts; ++attempt) {
            const auto found = read(one);
            if (!found) return answer(call, unexpected(found.error()));
            const auto& engine = *found;
            if (!engine) {
                if (!call.create)
                    return answer(call, fail(errc::engine_not_found, no_engine(one->key.user)));
                const auto created = create(one, call);
                if (created) return wait(one, std::move(call), core::verdict::joined);
                if (lost_race(created.error())) continue;
                return answer(call, unexpected(created.error()));
            }
            auto decided = core::decide(call.what, *engine, context(one->product_slug));
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
        const bool wants = std::holds_alternative<core::call::admit>(call.what) ||
                           std::holds_alternative<core::call::lease>(call.what);
        if (wants && with_.used) with_.used(engine.id);
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
        if (how == core::verdict::joined) hurry(one);
    }

    /// A boot that somebody waits for goes before those that nobody does (SPEC §5).
    void hurry(const shared& one) {
        if (!one->queued || one->queue != boot_queue::urgency::background) return;
        if (!boots_.withdraw(one->turn)) return; // its turn has come
        enter_queue(one, boot_queue::urgency::awaited);
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
        if (auto allowed = core::may_provision(*call.owner, asked, s.default_version); !allowed)
            return allowed;
        const auto now = with_.clock->now();
        engine_record record;
        record.id = crypto::make_uuid(with_.entropy);
        record.product_id = one->key.product;
        record.user_id = one->key.user;
        record.version = call.create->version.value_or(s.default_version);
        record.intent = intent::boot;
        record.generation = 1;
        record.created_at = record.operation_started_at = record.last_activity_at = now;
        const auto key = crypto::make_engine_key(with_.entropy);
        record.key_hash = crypto::sha256(key);
        record.sealed_key = with_.keys.seal(key, now, with_.entropy);
        const auto id = record.id;
        change_set set;
        set.changes.push_back(
            insert_engine{std::move(record), call.owner->policy.max_engines, port_wanted()});
        const auto done = with_.store->commit(set);
        core::decision made;
        made.row = core::row_change::update;
        made.what = core::command::boot;
        if (!done) return doubt(one, done.error(), {std::move(made), nullptr, id});
        submit(one, made.what, done->engines.front());
        return {};
    }

    [[nodiscard]] std::optional<port_request> port_wanted() const {
        if (!with_.backend->needs_port()) return std::nullopt;
        return port_request{
            with_.settings.port_min, with_.settings.port_max,
            [backend = with_.backend](std::uint16_t port) { return backend->port_usable(port); }};
    }

    // Events

    void handle(const shared& one, told_event&& told) {
        const bool found = std::holds_alternative<core::event::found>(told.what);
        happen(one, std::move(told.what));
        if (found && one->stalled.empty()) held_.release(one->key);
    }

    void handle(const shared& one, turn_came&& came) {
        if (!one->queued || one->queued->number != came.number || frozen_.load())
            return boots_.leave();
        auto request = std::move(*one->queued);
        one->queued.reset();
        one->turn = 0;
        one->holds_turn = true;
        launch(one, std::move(request));
    }

    void handle(const shared& one, boot_began&& began) {
        if (began.number == one->last_number) happen(one, core::event::boot_begun{});
    }

    void handle(const shared& one, command_ended&& ended) {
        one->running.reset();
        if (std::exchange(one->holds_turn, false)) boots_.leave();
        if (one->pending) {
            auto request = std::move(*one->pending);
            one->pending.reset();
            start(one, std::move(request));
        } else if (ended.outcome && ended.number == one->last_number) {
            happen(one, std::move(*ended.outcome));
        }
    }

    void handle(const shared& one, retry_stalled&&) {
        one->retrying = false;
        if (closed_.load()) return;
        if (!read(one)) return retry_later(one);
        auto events = std::exchange(one->stalled, {});
        for (auto& event : events) happen(one, std::move(event));
        if (one->stalled.empty()) held_.release(one->key);
    }

    void handle(const shared& one, give_up&&) {
        drop_commands(one);
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
            // An alarm that rang too early, by a clock that was set back, rings again.
            if (after && *after && std::holds_alternative<core::event::deadline>(what))
                alarms_->set(one->key, (*after)->deadline);
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

    [[nodiscard]] bool restart_is_due(const engine_record& engine) const {
        return engine.status == engine_status::failed && engine.restart_at &&
               *engine.restart_at <= with_.clock->now();
    }

    /// An event must not be lost: it is tried again when the store may take it. One of an engine
    /// whose record cannot be read can never be taken in.
    void stall(const shared& one, core::event_variant what, const error& cause) {
        if (cause.code != errc::store_unavailable && cause.code != errc::port_exhaustion)
            return log(log_level::error,
                       "engine of user '" + one->key.user + "': " + cause.message);
        log(log_level::warning,
            "engine of user '" + one->key.user + "': a transition waits: " + cause.message);
        one->stalled.push_back(std::move(what));
        retry_later(one);
    }

    void retry_later(const shared& one) {
        if (std::exchange(one->retrying, true)) return;
        auto self = this->shared_from_this();
        auto key = one->key;
        auto waits = std::make_shared<task>(with_.executor);
        auto done = [self, key](std::exception_ptr) { self->put(key, retry_stalled{}); };
        tasks_->spawn(waits, pause(self, with_.settings.store_retry), std::move(done));
    }

    static asio::awaitable<void> pause(std::shared_ptr<engine_shell> self, duration how_long) {
        const auto until = self->with_.clock->now() + how_long;
        co_await self->with_.clock->wait_until(until);
    }

    // A store that fails in the last step of a commit may have made it all the same. Then what
    // follows from it is still to be done, and what comes next is to be decided on what it made.

    /// Keeps a decision whose commit failed, if it may have been made; the failure itself.
    result<void> doubt(const shared& one, const error& cause, doubtful_commit what) {
        if (cause.code == errc::store_unavailable) {
            one->doubt = std::move(what);
            retry_later(one);
        }
        return unexpected(cause);
    }

    /// The engine's row, with nothing in doubt about it.
    result<engine_ptr> read(const shared& one) {
        const auto found = with_.store->find_engine(one->key.product, one->key.user);
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
            if (const auto what = std::exchange(decided.what, core::command::none);
                what != core::command::none)
                submit(one, what, std::make_shared<const engine_record>(decided.next));
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
        if (!after || after->intent == intent::none) drop_commands(one);
        if (decided.what != core::command::none && !frozen_.load())
            submit(one, decided.what, after);
        if (decided.settled) settle(one, *decided.settled, before, after);
        return after ? after : before;
    }

    /// Null if the row is gone.
    result<engine_ptr> commit(core::decision& decided, const engine_record& before) {
        change_set set;
        if (decided.row == core::row_change::update)
            set.changes.push_back(update_engine{
                std::move(decided.next), decided.choose_port ? port_wanted() : std::nullopt});
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
        alarms_->set(one->key, after != nullptr ? after->deadline : std::nullopt);
        if (with_.audited)
            for (const auto& row : decided.audit) with_.audited(row);
        if (with_.changed) with_.changed(before, after);
        if (!with_.log) return;
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
            const auto outcome = core::outcome(call.what, call.waits, settled, after.get());
            if (!outcome) again.push_back(std::move(call));
            else if (*outcome) answer(call, after ? after : before);
            else answer(call, unexpected(outcome->error()));
        }
        slots_.put_first(*one, std::move(again));
    }

    // Commands

    void submit(const shared& one, core::command what, const engine_ptr& record) {
        if (one->queued) {
            one->queued.reset();
            if (boots_.withdraw(one->turn)) one->turn = 0;
        }
        command_request request{what, ++one->last_number, record};
        if (one->running) {
            one->running->cancel();
            one->pending = std::move(request);
        } else {
            start(one, std::move(request));
        }
    }

    void drop_commands(const shared& one) {
        if (one->queued && boots_.withdraw(one->turn)) one->turn = 0;
        one->queued.reset();
        one->pending.reset();
        if (one->running) one->running->cancel();
    }

    void start(const shared& one, command_request request) {
        if (request.what != core::command::boot) return launch(one, std::move(request));
        const bool awaited = request.record->boot != boot_reason::restart &&
                             request.record->boot != boot_reason::recover;
        one->queued = std::move(request);
        enter_queue(one, awaited ? boot_queue::urgency::awaited : boot_queue::urgency::background);
    }

    void enter_queue(const shared& one, boot_queue::urgency how) {
        auto self = this->shared_from_this();
        auto begin = [self, key = one->key, number = one->queued->number] {
            self->put(key, turn_came{number});
        };
        one->queue = how;
        one->turn = boots_.enter(how, std::move(begin));
    }

    void launch(const shared& one, command_request request) {
        auto self = this->shared_from_this();
        auto key = one->key;
        one->running = std::make_shared<task>(with_.executor);
        const auto number = request.number;
        auto began = [self, key, number] { self->put(key, boot_began{number}); };
        auto in_use = [self, record = request.record] { return self->used_since(*record); };
        auto ended = [self, key, number](std::exception_ptr failure, core::event_variant outcome) {
            command_ended what{number, std::nullopt};
            if (!failure) what.outcome = std::move(outcome);
            else self->report(failure);
            self->put(key, std::move(what));
        };
        tasks_->spawn(
            one->running,
            runner_.run(std::move(request), one->running, std::move(began), std::move(in_use)),
            std::move(ended));
    }

    [[nodiscard]] bool used_since(const engine_record& record) const {
        const auto used = with_.last_used ? with_.last_used(record.id) : std::nullopt;
        return used && *used + with_.settings.sleep_after > record.operation_started_at;
    }

    /// A cancelled command is no news; anything else that a backend throws is.
    void report(const std::exception_ptr& failure) const {
        try {
            std::rethrow_exception(failure);
        } catch (const std::system_error& cause) {
            if (cause.code() != asio::error::operation_aborted) log(log_level::error, cause.what());
        } catch (const std::exception& cause) {
            log(log_level::error, cause.what());
        }
    }

    const parts with_;
    const std::shared_ptr<task_group> tasks_;
    boot_queue boots_;
    const std::shared_ptr<alarms<Clock>> alarms_;
    command_runner<Backend, Clock> runner_;
    slot_table slots_;
    held_engines held_;
    std::atomic<std::size_t> waiting_ = 0;
    std::atomic<bool> frozen_ = false;
    std::atomic<bool> closed_ = false;
};

} // namespace roundhouse::inline ROUNDHOUSE_ABI::detail
