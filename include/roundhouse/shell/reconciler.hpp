#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/core/lifecycle.hpp>
#include <roundhouse/shell/boot_failure_log.hpp>
#include <roundhouse/shell/brakes.hpp>
#include <roundhouse/shell/call_timers.hpp>
#include <roundhouse/shell/command_scheduler.hpp>
#include <roundhouse/shell/deadline_timers.hpp>
#include <roundhouse/shell/mailbox.hpp>
#include <roundhouse/shell/metrics_book.hpp>
#include <roundhouse/shell/prober.hpp>
#include <roundhouse/shell/rate_gate.hpp>
#include <roundhouse/shell/refusal_log.hpp>
#include <roundhouse/shell/running_engines.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/shell/shared_places.hpp>
#include <roundhouse/shell/state_waiters.hpp>
#include <roundhouse/shell/undone_creations.hpp>
#include <roundhouse/shell/unreconciled_engines.hpp>
#include <roundhouse/shell/version_preparer.hpp>

#include <asio/awaitable.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Feeds the state machine with calls and events, commits what it decides, then starts the commands
/// that it asks for. All work on one engine runs through that engine's mailbox, one input at a time;
/// engines do not wait for each other.
class reconciler {
public:
    reconciler(services& services, running_engines& running, const class brakes& brakes,
               metrics_book& metrics, class prober& prober, engine_inbox& inbox)
        : services_(services),
          running_(running),
          brakes_(brakes),
          metrics_(metrics),
          prober_(prober),
          timers_(services, inbox),
          scheduler_(services, running, inbox),
          boot_failures_(services),
          refusals_(services),
          mailboxes_(services.settings.background_drains),
          waiting_(services.settings.max_waiting),
          call_timers_(services),
          preparer_(services, call_timers_, inbox),
          states_(services, waiting_, call_timers_) {}

    /// Thread-safe, and returns at once. The completion of a call is called exactly once.
    void enqueue(const engine_owner& owner, mailbox_input input);

    /// Hands an engine what recovery found of it. The engine is unreconciled until that is done.
    void enqueue_found(const engine_record& engine, std::optional<found_workload> found);

    /// Engines whose rows are not known to be true: nobody is admitted to one by its row alone.
    [[nodiscard]] unreconciled_engines& unreconciled() noexcept { return unreconciled_; }

    /// The times until which callers wait.
    [[nodiscard]] call_timers& timers_of_calls() noexcept { return call_timers_; }
    /// Callers who wait for states of engines.
    [[nodiscard]] state_waiters& states() noexcept { return states_; }
    /// What became of creations that were undone lately.
    [[nodiscard]] const undone_creations& undone() const noexcept { return undone_; }

    /// How far off the engine's planned restart is by the steady clock; nothing if none is waited for.
    [[nodiscard]] std::optional<duration> restart_in(const engine_owner& owner) const {
        return timers_.restart_in(owner);
    }

    /// Lets the present policy of a product hold for boots and upgrades that wait for turns.
    void policy_changed(const product& product) {
        scheduler_.policy_changed(product);
        preparer_.policy_changed(product);
    }

    /// Forgets what is kept of a product that is gone.
    void forget_product(const uuid& product) {
        creations_.forget(product);
        undone_.forget_product(product);
        states_.forget_product(product);
    }

    /// Calls back once no engine has work in flight, from the executor or at once.
    void when_quiet(std::function<void()> quiet) { mailboxes_.when_empty(std::move(quiet)); }

    /// From here on nothing is asked of the backend, and calls fail; what happens is still stored.
    /// Commands under way are cancelled.
    void quiesce();

    /// Ends everything: waiting calls fail, commands are cancelled, engines stay as they are.
    void close();

private:
    using shared = std::shared_ptr<mailbox>;

    void put(const engine_owner& owner, mailbox_input input);
    void post_drain(shared engine);
    asio::awaitable<void> drain(shared engine);

    // Inputs
    asio::awaitable<void> handle(shared engine, waiting_call call);
    asio::awaitable<void> handle(shared engine, engine_event input);
    asio::awaitable<void> handle(shared engine, turn_came came);
    asio::awaitable<void> handle(shared engine, workload_started started);
    asio::awaitable<void> handle(shared engine, command_ended ended);
    asio::awaitable<void> handle(shared engine, preparation_turn_came came);
    asio::awaitable<void> handle(shared engine, preparation_ended ended);
    asio::awaitable<void> handle(shared engine, retry_stalled retry);
    asio::awaitable<void> handle(shared engine, wait_passed passed);
    asio::awaitable<void> handle(shared engine, give_up end);

    void limit_creation(const mailbox& engine);

    // Calls
    [[nodiscard]] std::optional<error> refusal(const waiting_call& call) const;
    [[nodiscard]] bool needs_preparation(const waiting_call& call, const core::decision& decided,
                                         const engine_record& record) const;
    void log_unheard(const mailbox& engine, const waiting_call& call, const error& cause) const;
    asio::awaitable<result<void>> create(shared engine, waiting_call& call);
    // The defaults are those of the engine's product, null if it has none.
    [[nodiscard]] result<engine_limits> allow_creation(waiting_call& call,
                                                       const product_defaults* defaults);
    [[nodiscard]] engine_record new_engine(const engine_owner& owner, const waiting_call& call,
                                           const product_defaults* defaults) const;
    void wait(mailbox& engine, waiting_call call, core::verdict verdict);
    void note_use(const waiting_call& call, const engine_record& engine) const;
    void answer(waiting_call& call, result<engine_ptr> outcome);
    [[nodiscard]] bool some_are_late(const mailbox& engine) const;
    void answer_late(mailbox& engine, const result<engine_ptr>& row);
    static void answer_late(waiting_call& call, const result<engine_ptr>& row);

    // Events
    asio::awaitable<void> happen(shared engine, core::event_variant event);
    asio::awaitable<void> take_in_stalled(shared engine);
    void stall(const shared& engine, core::event_variant event, const error& cause);
    void retry_later(const shared& engine);
    void give_up_waiting(mailbox& engine);
    void note_refusal(mailbox& engine, const error& cause) const;
    [[nodiscard]] bool refused_too_long(const mailbox& engine) const;
    void taken_in(mailbox& engine);

    // The row
    asio::awaitable<result<engine_ptr>> read(shared engine);
    asio::awaitable<void> learn_product(shared engine, uuid product);
    [[nodiscard]] core::context context(const mailbox& engine, const engine_record& record) const;
    result<void> doubt(const shared& engine, const error& cause, doubtful_commit what);

    // Commit, then submit, then answer
    asio::awaitable<result<engine_ptr>> carry_out(shared engine, core::decision decided,
                                                  engine_ptr before);
    asio::awaitable<result<engine_ptr>> commit(core::decision& decided,
                                               const engine_record& before);
    asio::awaitable<result<committed>> commit(change_set changes);
    engine_ptr follow(const shared& engine, const core::decision& decided, const engine_ptr& before,
                      const engine_ptr& after);
    void follow_for_callers(const engine_owner& owner, const core::decision& decided,
                            const engine_ptr& before, const engine_ptr& after);
    void publish(const shared& engine, const core::decision& decided, const engine_record& before,
                 const engine_record* after);
    void settle(const shared& engine, const core::settlement& settled, const engine_ptr& before,
                const engine_ptr& after);

    services& services_;
    running_engines& running_;
    const class brakes& brakes_;
    metrics_book& metrics_;
    class prober& prober_;
    deadline_timers timers_;
    command_scheduler scheduler_;
    boot_failure_log boot_failures_;
    refusal_log refusals_;
    mailbox_table mailboxes_;
    unreconciled_engines unreconciled_;
    shared_places waiting_; ///< Of calls that wait.
    call_timers call_timers_;
    version_preparer preparer_;
    state_waiters states_;
    undone_creations undone_;
    rate_gate creations_;
    std::atomic<bool> quiesced_ = false;
    std::atomic<bool> closed_ = false;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/reconciler.ipp>
#include <roundhouse/shell/reconciler_commits.ipp>
#include <roundhouse/shell/reconciler_upgrades.ipp>
#include <roundhouse/shell/reconciler_waits.ipp>
#endif
