#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/detail/task.hpp>
#include <roundhouse/shell/boot_queue.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// A call on its way through a mailbox.
struct waiting_call {
    core::call_variant call;
    product_ptr product;
    /// Set if the call creates the engine where there is none: the version that was asked for, or
    /// the default.
    struct creation {
        std::optional<std::string> version;
    };
    std::optional<creation> create;
    completion<engine_ptr>
        done; ///< Gets the record that answers it; the last one, of an engine that is gone.
    core::verdict waits = core::verdict::none;
};

/// One command on its way to the backend. A newer one of the same mailbox supersedes it.
struct command_request {
    core::command command = core::command::none;
    std::uint64_t number = 0;
    engine_ptr record; ///< As committed with the decision that asked for it.
};

/// What a mailbox is told.
struct engine_event {
    core::event_variant event;
};
struct turn_came {
    std::uint64_t number = 0;
};
/// The command under way has come so far.
struct command_went_on {
    std::uint64_t number = 0;
    core::event_variant how_far;
};
struct command_ended {
    std::uint64_t number = 0;
    std::optional<core::event_variant> outcome; ///< None if it was cancelled.
};
struct retry_stalled {};
struct give_up {
}; ///< The orchestrator goes away: waiting calls fail, and nothing more is asked of the backend.

using mailbox_input = std::variant<waiting_call, engine_event, turn_came, command_went_on,
                                   command_ended, retry_stalled, give_up>;

/// What somebody waits for, or what is under way already. Events from outside may come by the
/// thousand (a start, the end of a daemon), and are handled a few engines at a time.
[[nodiscard]] inline bool is_urgent(const mailbox_input& input) noexcept {
    return !std::holds_alternative<engine_event>(input) &&
           !std::holds_alternative<retry_stalled>(input);
}

/// A decision owner commit failed in a way that does not tell whether it was made.
struct doubtful_commit {
    core::decision decided;
    engine_ptr before; ///< Null if it made the row.
    uuid engine;
    bool of_event = false; ///< Of the first of the stalled events, and not of a call.

    /// Whether it was made after all. Nobody else changes the row meanwhile.
    [[nodiscard]] bool made(const engine_ptr& found) const noexcept {
        const bool there = found && found->id == engine;
        if (decided.row != core::row_change::update) return !there;
        return there && (!before || found->revision != before->revision);
    }
};

/// Where the work on one engine is serialised. Exists only while there is some.
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
    bool in_background = false; ///< The drain that is posted takes a place there.

    // Touched by the drain only.
    std::vector<waiting_call> waiting;
    std::deque<core::event_variant>
        stalled; ///< Events owner commit the store refused for now, in order.
    std::optional<doubtful_commit> doubt; ///< To be cleared before anything else is decided.
    bool retrying = false;                ///< A `retry_stalled` is on its way.
    std::string product_slug;
    std::uint64_t last_number = 0;
    std::shared_ptr<task> running;          ///< The command that is being carried out.
    std::optional<command_request> pending; ///< The one that superseded it, if any.
    std::optional<command_request> queued;  ///< A boot that waits for its turn.
    boot_queue::turn turn = 0;
    boot_queue::urgency queue = boot_queue::urgency::awaited; ///< Where the boot waits.
    bool holds_turn = false;

    [[nodiscard]] bool idle() const noexcept {
        return waiting.empty() && stalled.empty() && !doubt && !running && !pending && !queued;
    }
};

/// All mailboxes. Thread-safe.
class mailbox_table {
public:
    /// Of mailboxes with nothing urgent, at most `background` are drained at once.
    explicit mailbox_table(std::size_t background) : places_(background) {}

    /// Puts an input into an engine's inputs. Returns the mailbox if a drain has to be posted for it.
    std::shared_ptr<mailbox> put(const engine_owner& owner, mailbox_input input) {
        const bool urgent = is_urgent(input);
        const std::lock_guard lock(mutex_);
        auto& known = mailboxes_[owner];
        if (!known) known = std::make_shared<mailbox>(owner);
        known->inputs.push_back(std::move(input));
        if (known->drain == mailbox::drain_state::posted) return nullptr;
        if (urgent) {
            known->drain = mailbox::drain_state::posted;
            return known; // if it waited, it is passed over when its turn comes
        }
        if (std::exchange(known->drain, mailbox::drain_state::waiting) ==
            mailbox::drain_state::none)
            backlog_.push_back(known);
        return take_turn();
    }

    /// To be called when a drain has ended: the mailbox for which the next one has to be posted, if
    /// any.
    std::shared_ptr<mailbox> next_in_background() {
        const std::lock_guard lock(mutex_);
        return take_turn();
    }

    /// Puts calls that are to be decided afresh before everything else.
    void put_first(mailbox& into, std::vector<waiting_call> calls) {
        const std::lock_guard lock(mutex_);
        for (auto it = calls.rbegin(); it != calls.rend(); ++it)
            into.inputs.emplace_front(std::move(*it));
    }

    /// The next input; nothing if there is none, and then the drain is over.
    std::optional<mailbox_input> next(const std::shared_ptr<mailbox>& from) {
        std::vector<std::function<void()>> told;
        std::optional<mailbox_input> input;
        {
            const std::lock_guard lock(mutex_);
            if (!from->inputs.empty()) {
                input = std::move(from->inputs.front());
                from->inputs.pop_front();
                return input;
            }
            from->drain = mailbox::drain_state::none;
            if (std::exchange(from->in_background, false)) ++places_;
            if (from->idle()) mailboxes_.erase(from->owner);
            if (mailboxes_.empty()) told.swap(when_empty_);
        }
        for (const auto& empty : told) empty();
        return input;
    }

    /// Calls back once no engine has work in flight: at once, or from the drain that ends last.
    void when_empty(std::function<void()> empty) {
        {
            const std::lock_guard lock(mutex_);
            if (!mailboxes_.empty()) {
                when_empty_.push_back(std::move(empty));
                return;
            }
        }
        empty();
    }

    void for_each(const std::function<void(const engine_owner&)>& visit) const {
        std::vector<engine_owner> owners;
        {
            const std::lock_guard lock(mutex_);
            for (const auto& [owner, entry] : mailboxes_) owners.push_back(owner);
        }
        for (const auto& owner : owners) visit(owner);
    }

    [[nodiscard]] std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return mailboxes_.size();
    }

private:
    /// Under the lock.
    std::shared_ptr<mailbox> take_turn() {
        while (places_ > 0 && !backlog_.empty()) {
            auto one = std::move(backlog_.front());
            backlog_.pop_front();
            if (one->drain != mailbox::drain_state::waiting) continue; // something urgent came
            one->drain = mailbox::drain_state::posted;
            one->in_background = true;
            --places_;
            return one;
        }
        return nullptr;
    }

    mutable std::mutex mutex_;
    std::size_t places_;
    std::deque<std::shared_ptr<mailbox>> backlog_; ///< In the order in which they came.
    std::unordered_map<engine_owner, std::shared_ptr<mailbox>, engine_owner_hash,
                       engine_owner_equal>
        mailboxes_;
    std::vector<std::function<void()>> when_empty_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
