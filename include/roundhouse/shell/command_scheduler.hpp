#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/shell/command_runner.hpp>
#include <roundhouse/shell/mailbox.hpp>
#include <roundhouse/shell/services.hpp>
#include <roundhouse/shell/turn_queue.hpp>
#include <roundhouse/types.hpp>

#include <exception>
#include <optional>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Runs at most one command per engine. A new command cancels and replaces the running one. Each
/// step of a boot waits for a turn in a queue of its own, so a boot whose workload is being prepared
/// holds no turn to boot. Called from the drain of the engine's mailbox, into which the outcome
/// goes.
class command_scheduler {
public:
    command_scheduler(services& services, running_engines& running, engine_inbox& inbox)
        : services_(services),
          inbox_(inbox),
          preparations_(services.settings.prepare_concurrency),
          boots_(services.settings.boot_concurrency),
          runner_(services, running, inbox) {}

    void submit(mailbox& engine, core::command command, const engine_ptr& record);

    /// Cancels the command that runs or waits.
    void drop(mailbox& engine);

    /// A boot that a caller waits for goes before those of its product that nobody waits for
    /// (SPEC §5).
    void hurry(mailbox& engine);

    /// Lets the present policy of a product hold for boots that wait.
    void policy_changed(const product& product);

    /// Takes the turn of a boot's step that waited, unless it was superseded or `give_up` is set.
    void take_turn(mailbox& engine, const turn_came& came, bool give_up);

    /// Takes the end of a command, and starts the next one, or the next step of the same boot.
    /// Returns what came of it unless it was superseded.
    std::optional<core::event_variant> take_end(mailbox& engine, command_ended ended);

private:
    void start(mailbox& engine, command_request request);
    void launch(mailbox& engine, command_request request);
    void withdraw(command_state& state);
    void leave_turn(const mailbox& engine, boot_step step);
    [[nodiscard]] turn_queue& turns_of(boot_step step) noexcept;
    void announce(boot_step step, const std::vector<turn_queue::command>& begun);
    void report(const engine_owner& owner, const std::exception_ptr& failure) const;

    services& services_;
    engine_inbox& inbox_;
    turn_queue preparations_;
    turn_queue boots_;
    command_runner runner_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/command_scheduler.ipp>
#endif
