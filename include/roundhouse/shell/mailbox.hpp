#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/detail/task.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/shell/call_ticket.hpp>
#include <roundhouse/shell/logged_engine.hpp>
#include <roundhouse/shell/product_rounds.hpp>
#include <roundhouse/shell/turn_queue.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Held by the calls that want a version to be prepared: that goes on while one of them does.
struct preparation_wanted {};

/// A call on its way through a mailbox.
struct waiting_call {
    core::call_variant call;
    product_ptr product;
    /// Set if the call creates the engine where there is none: the version that was asked for, or
    /// the default, and its settings.
    struct creation {
        std::optional<std::string> version;
        std::shared_ptr<const engine_settings> settings;
        /// Stored with the engine, if the call has an idempotency key.
        std::optional<idempotency_record> once = {};
    };
    std::optional<creation> create;
    bool creation_counted = false; ///< Against `max_provisions_per_minute`.
    /// Set while the version of an upgrade is prepared for the call.
    std::shared_ptr<const preparation_wanted> wants_prepared = {};
    bool prepared = false; ///< That is done.
    /// Gets the record that answers the call; the last one of an engine that is gone.
    completion<engine_ptr> done;
    core::verdict waits = core::verdict::none;
    uuid counted_for; ///< The product among whose waiting calls it counts.

    // If its caller does not wait to the end:
    std::optional<duration> waits_until = {}; ///< Steady time.
    /// Gets the row as it is once the time has come and the call has been accepted, in place of
    /// `done`. The call goes on.
    completion<engine_ptr> under_way = {};
    std::optional<call_ticket> timer = {};

    [[nodiscard]] bool is_late(duration steady_now) const noexcept {
        return waits_until && *waits_until <= steady_now;
    }
};

/// Who makes a call; empty for the product itself, and for the server.
[[nodiscard]] inline std::string_view caller_of(const waiting_call& call) noexcept {
    return call.product ? std::string_view(call.product->called_by) : std::string_view();
}

/// What the probes of a boot or a wake have got so far. Thread-safe.
class probe_note {
public:
    void set(std::string failure) {
        const std::lock_guard lock(mutex_);
        last_failure_ = std::move(failure);
    }
    [[nodiscard]] std::string last_failure() const {
        const std::lock_guard lock(mutex_);
        return last_failure_;
    }

private:
    mutable std::mutex mutex_;
    std::string last_failure_;
};

/// The steps of a boot, one after the other. Each needs a turn of its own.
enum class boot_step : std::uint8_t {
    prepare, ///< The backend fetches what the workload needs. Left out if it has no `prepare`.
    start,   ///< The workload is created, and probed until it is healthy.
};

/// One command on its way to the backend. A newer one of the same engine supersedes it.
struct command_request {
    core::command command = core::command::none;
    boot_step step = boot_step::start; ///< Of a boot.
    std::uint64_t number = 0;
    engine_ptr record;    ///< As committed with the decision that asked for it.
    product_ptr product;  ///< Of the engine; null if it could not be read.
    duration submitted{}; ///< Steady time.
    std::shared_ptr<probe_note> probes = std::make_shared<probe_note>();
};

/// A version that is prepared for upgrades of an engine. Touched by the preparer only.
struct version_preparation {
    std::uint64_t number = 0;
    std::string version;
    engine_ptr record; ///< As it was when this began.
    std::weak_ptr<const preparation_wanted> wanted;
    turn_queue::ticket ticket = 0;         ///< Its place while it waits for its turn.
    std::shared_ptr<task> running;         ///< Null until its turn has come.
    duration until{};                      ///< Steady time at which it is late.
    std::optional<call_ticket> timer = {}; ///< For that.
    bool dropped = false;                  ///< Nobody wants it any more, and its end follows.
};

// What a mailbox takes.

struct engine_event {
    core::event_variant event;
};
/// The turn of a step of a boot has come.
struct turn_came {
    boot_step step = boot_step::start;
    std::uint64_t number = 0;
};
/// The workload of a boot has been started: its time to become healthy runs from now.
struct workload_started {
    std::uint64_t number = 0;
};
struct command_ended {
    std::uint64_t number = 0;
    /// None if it was cancelled, or has only prepared a workload.
    std::optional<core::event_variant> outcome;
    std::optional<command_request> next; ///< The next step of a boot whose workload is prepared.
};
/// The turn to prepare a version for an upgrade has come.
struct preparation_turn_came {
    std::uint64_t number = 0;
};
struct preparation_ended {
    result<void> outcome;
    std::exception_ptr failure; ///< What it ended with instead, as when it was cancelled.
};
/// The store may take now what it refused.
struct retry_stalled {};
/// Callers have waited for as long as they chose.
struct wait_passed {};
/// The orchestrator goes away: waiting calls fail, and nothing more is asked of the backend.
struct give_up {};

using mailbox_input =
    std::variant<waiting_call, engine_event, turn_came, workload_started, command_ended,
                 preparation_turn_came, preparation_ended, retry_stalled, wait_passed, give_up>;

/// Takes inputs for engines. Thread-safe; returns at once.
class engine_inbox {
public:
    virtual void enqueue(const engine_owner& owner, mailbox_input input) = 0;

protected:
    ~engine_inbox() = default;
};

/// Whether a caller waits for an input, or an operation that is under way does. Other events may
/// come by the thousand (a start, the end of a daemon), and are handled a few engines at a time.
[[nodiscard]] inline bool is_urgent(const mailbox_input& input) noexcept {
    return !std::holds_alternative<engine_event>(input) &&
           !std::holds_alternative<retry_stalled>(input);
}

/// A decision whose commit failed in a way that does not tell whether it was made.
struct doubtful_commit {
    core::decision decided;
    engine_ptr before; ///< Null if it made the row.
    uuid engine;
    bool of_event = false; ///< Of the first of the stalled events, and not of a call.

    /// Whether it was made after all. Nobody else changes the row meanwhile.
    [[nodiscard]] bool made(const engine_ptr& found) const noexcept {
        const bool exists = found && found->id == engine;
        if (decided.row != core::row_change::update) return !exists;
        return exists && (!before || found->revision != before->revision);
    }
};

/// The command of one engine. Touched by the scheduler only.
struct command_state {
    std::uint64_t last_number = 0;
    std::shared_ptr<task> running;
    std::optional<command_request> pending; ///< It superseded the running one.
    std::optional<command_request> queued;  ///< A boot that waits for a turn.
    turn_queue::ticket ticket = 0;
    boot_step step = boot_step::start; ///< Whose turn the boot holds or waits for.
    bool holds_turn = false;
    duration longest_boot{}; ///< `core::longest_boot` of the last boot.
    /// Steady time at which the command began, for a boot the turn of its step.
    std::optional<duration> began;
    std::shared_ptr<const probe_note> probes; ///< Of the command that runs.

    [[nodiscard]] bool idle() const noexcept { return !running && !pending && !queued; }
};

/// Where the work on one engine is serialised. It exists only while there is some.
struct mailbox {
    explicit mailbox(engine_owner of) : owner(std::move(of)) {}

    const engine_owner owner;

    // Guarded by the table.
    enum class drain_state : std::uint8_t {
        none,
        waiting, ///< For its turn in the background.
        posted,  ///< Or running.
    };
    std::deque<mailbox_input> inputs;
    drain_state drain = drain_state::none;
    bool in_background = false; ///< The drain takes a place among those in the background.

    // Touched by the drain only.
    std::vector<waiting_call> waiting;
    /// Events whose commit the store refuses at present, in order.
    std::deque<core::event_variant> stalled;
    std::optional<duration> refused_since; ///< Steady time from which on the store has refused.
    std::uint32_t refusals = 0;
    error refusal;                        ///< What callers are told meanwhile.
    std::optional<doubtful_commit> doubt; ///< To be cleared before anything else is decided.
    bool retrying = false;                ///< A `retry_stalled` is on its way.
    product_ptr product;                  ///< As last seen; null if it was not.
    command_state command;
    std::optional<version_preparation> preparation;
    std::uint64_t last_preparation = 0;

    /// The engine in the log, as far as it is known without its record.
    [[nodiscard]] logged_engine named() const { return logged_engine(owner, product_slug()); }
    [[nodiscard]] std::string_view product_slug() const noexcept {
        return product ? std::string_view(product->slug) : std::string_view();
    }

    [[nodiscard]] bool idle() const noexcept {
        return waiting.empty() && stalled.empty() && !doubt && command.idle() && !preparation;
    }
};

/// All mailboxes. Thread-safe.
class mailbox_table {
public:
    /// Of mailboxes with nothing urgent, at most `background` are drained at once. Products take
    /// turns.
    explicit mailbox_table(std::size_t background) : places_(background) {}

    /// Puts an input into an engine's mailbox. Returns the mailbox if a drain has to be posted.
    std::shared_ptr<mailbox> put(const engine_owner& owner, mailbox_input input);

    /// To be called when a drain has ended: the mailbox for which the next one has to be posted.
    std::shared_ptr<mailbox> next_in_background();

    /// Puts calls that are to be decided again before everything else.
    void put_first(mailbox& into, std::vector<waiting_call> calls);

    /// The next input; nothing if there is none, and then the drain is over.
    std::optional<mailbox_input> next(const std::shared_ptr<mailbox>& from);

    /// Calls back once no engine has work in flight: at once, or from the drain that ends last.
    void when_empty(std::function<void()> empty);

    [[nodiscard]] std::vector<engine_owner> owners() const;
    [[nodiscard]] std::size_t size() const;

private:
    std::shared_ptr<mailbox> take_turn(); ///< Under the lock.

    mutable std::mutex mutex_;
    std::size_t places_;
    product_rounds<std::shared_ptr<mailbox>> backlog_;
    std::unordered_map<engine_owner, std::shared_ptr<mailbox>, engine_owner_hash,
                       engine_owner_equal>
        mailboxes_;
    std::vector<std::function<void()>> when_empty_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/shell/mailbox.ipp>
#endif
