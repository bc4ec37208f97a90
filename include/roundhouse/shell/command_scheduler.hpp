#pragma once

#include <roundhouse/core/events.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/detail/task.hpp>
#include <roundhouse/shell/boot_queue.hpp>
#include <roundhouse/shell/command_runner.hpp>
#include <roundhouse/shell/mailbox.hpp>
#include <roundhouse/types.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/error.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Has the commands of engines carried out: one at a time for each engine, of which a newer one
/// supersedes the one under way, and boots in their turn. Called from the drain of the engine's
/// mailbox; what comes of it goes into that mailbox.
template <class Backend, class Clock> class command_scheduler {
public:
    /// Takes what is for a mailbox, and keeps its owner alive.
    using inbox = std::function<void(const engine_owner&, mailbox_input)>;

    struct surroundings {
        asio::any_io_executor executor;
        std::shared_ptr<task_group> tasks;
        std::size_t boots_at_once = 1;
        std::function<inbox()> open_inbox;
        /// Whether an engine has been used since its sleep was decided.
        std::function<bool(const engine_record&)> in_use;
        /// Told what a backend threw.
        std::function<void(std::string_view)> complain;
    };

    command_scheduler(surroundings around, command_runner<Backend, Clock> runner)
        : around_(std::move(around)), boots_(around_.boots_at_once), runner_(std::move(runner)) {}

    void submit(mailbox& one, core::command what, const engine_ptr& record) {
        withdraw(one);
        command_request request{what, ++one.last_number, record};
        if (one.running) {
            one.running->cancel();
            one.pending = std::move(request);
        } else {
            start(one, std::move(request));
        }
    }

    /// Whatever is under way or waits is of no use any more.
    void drop(mailbox& one) {
        withdraw(one);
        one.pending.reset();
        if (one.running) one.running->cancel();
    }

    /// A boot that somebody waits for goes before those that nobody does (SPEC §5).
    void hurry(mailbox& one) {
        if (!one.queued || one.queue != boot_queue::urgency::background) return;
        if (!boots_.withdraw(one.turn)) return; // its turn has come
        enter_queue(one, boot_queue::urgency::awaited);
    }

    /// The turn of a boot has come. Nobody takes it if `give_up`.
    void take_turn(mailbox& one, const turn_came& came, bool give_up) {
        if (!one.queued || one.queued->number != came.number || give_up) return boots_.leave();
        auto request = std::move(*one.queued);
        one.queued.reset();
        one.turn = 0;
        one.holds_turn = true;
        launch(one, std::move(request));
    }

    /// A command has ended, and the next one begins. Returns what came of it, if that is still of
    /// interest.
    std::optional<core::event_variant> take_end(mailbox& one, command_ended&& ended) {
        one.running.reset();
        if (std::exchange(one.holds_turn, false)) boots_.leave();
        if (!one.pending)
            return ended.number == one.last_number ? std::move(ended.outcome) : std::nullopt;
        auto request = std::move(*one.pending);
        one.pending.reset();
        start(one, std::move(request));
        return std::nullopt;
    }

private:
    void withdraw(mailbox& one) {
        if (one.queued && boots_.withdraw(one.turn)) one.turn = 0;
        one.queued.reset();
    }

    void start(mailbox& one, command_request request) {
        if (request.command != core::command::boot) return launch(one, std::move(request));
        const bool awaited = request.record->boot != boot_reason::restart &&
                             request.record->boot != boot_reason::recover;
        one.queued = std::move(request);
        enter_queue(one, awaited ? boot_queue::urgency::awaited : boot_queue::urgency::background);
    }

    void enter_queue(mailbox& one, boot_queue::urgency how) {
        auto begin = [put = around_.open_inbox(), key = one.owner, number = one.queued->number] {
            put(key, turn_came{number});
        };
        one.queue = how;
        one.turn = boots_.enter(how, std::move(begin));
    }

    void launch(mailbox& one, command_request request) {
        auto put = around_.open_inbox();
        auto key = one.owner;
        one.running = std::make_shared<task>(around_.executor);
        const auto number = request.number;
        auto went_on = [put, key, number](core::event_variant how_far) {
            put(key, command_went_on{number, std::move(how_far)});
        };
        auto in_use = [this, put, record = request.record] { return around_.in_use(*record); };
        auto ended = [this, put, key, number](std::exception_ptr failure,
                                              core::event_variant outcome) {
            command_ended what{number, std::nullopt};
            if (!failure) what.outcome = std::move(outcome);
            else report(failure);
            put(key, std::move(what));
        };
        around_.tasks->spawn(
            one.running,
            runner_.run(std::move(request), one.running, std::move(went_on), std::move(in_use)),
            std::move(ended));
    }

    /// A cancelled command is no news; anything else that a backend throws is.
    void report(const std::exception_ptr& failure) const {
        try {
            std::rethrow_exception(failure);
        } catch (const std::system_error& cause) {
            if (cause.code() != asio::error::operation_aborted) around_.complain(cause.what());
        } catch (const std::exception& cause) {
            around_.complain(cause.what());
        }
    }

    const surroundings around_;
    boot_queue boots_;
    command_runner<Backend, Clock> runner_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
