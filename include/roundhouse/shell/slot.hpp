#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/detail/engine_key.hpp>
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

namespace roundhouse::inline ROUNDHOUSE_ABI::detail {

/// A call on its way through a slot.
struct waiting_call {
    core::call_variant what;
    product_ptr owner;
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

/// One command on its way to the backend. A newer one of the same slot supersedes it.
struct command_request {
    core::command what = core::command::none;
    std::uint64_t number = 0;
    engine_ptr record; ///< As committed with the decision that asked for it.
};

/// What a slot is told.
struct told_event {
    core::event_variant what;
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

using slot_input = std::variant<waiting_call, told_event, turn_came, command_went_on, command_ended,
                                retry_stalled, give_up>;

/// What somebody waits for, or what is under way already. Events from outside may come by the
/// thousand (a start, the end of a daemon), and are handled a few engines at a time.
[[nodiscard]] inline bool is_urgent(const slot_input& input) noexcept {
    return !std::holds_alternative<told_event>(input) &&
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
        const bool there = found && found->id == engine;
        if (decided.row != core::row_change::update) return !there;
        return there && (!before || found->revision != before->revision);
    }
};

/// Where the work on one engine is serialised. Exists only while there is some.
struct slot {
    explicit slot(engine_key names) : key(std::move(names)) {}

    const engine_key key;

    // Guarded by the table.
    enum class drain_state : std::uint8_t {
        none,
        waiting, ///< For its turn in the background.
        posted,  ///< Or running.
    };
    std::deque<slot_input> mailbox;
    drain_state drain = drain_state::none;
    bool in_background = false; ///< The drain that is posted takes a place there.

    // Touched by the drain only.
    std::vector<waiting_call> waiting;
    std::deque<core::event_variant>
        stalled; ///< Events whose commit the store refused for now, in order.
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

/// All slots. Thread-safe.
class slot_table {
public:
    /// Of slots with nothing urgent, at most `background` are drained at once.
    explicit slot_table(std::size_t background) : places_(background) {}

    /// Puts an input into an engine's mailbox. Returns the slot if a drain has to be posted for it.
    std::shared_ptr<slot> put(const engine_key& key, slot_input input) {
        const bool urgent = is_urgent(input);
        const std::lock_guard lock(mutex_);
        auto& known = slots_[key];
        if (!known) known = std::make_shared<slot>(key);
        known->mailbox.push_back(std::move(input));
        if (known->drain == slot::drain_state::posted) return nullptr;
        if (urgent) {
            known->drain = slot::drain_state::posted;
            return known; // if it waited, it is passed over when its turn comes
        }
        if (std::exchange(known->drain, slot::drain_state::waiting) == slot::drain_state::none)
            backlog_.push_back(known);
        return take_turn();
    }

    /// To be called when a drain has ended: the slot for which the next one has to be posted, if
    /// any.
    std::shared_ptr<slot> next_in_background() {
        const std::lock_guard lock(mutex_);
        return take_turn();
    }

    /// Puts calls that are to be decided afresh before everything else.
    void put_first(slot& into, std::vector<waiting_call> calls) {
        const std::lock_guard lock(mutex_);
        for (auto it = calls.rbegin(); it != calls.rend(); ++it)
            into.mailbox.emplace_front(std::move(*it));
    }

    /// The next input; nothing if there is none, and then the drain is over.
    std::optional<slot_input> next(const std::shared_ptr<slot>& from) {
        std::vector<std::function<void()>> told;
        std::optional<slot_input> input;
        {
            const std::lock_guard lock(mutex_);
            if (!from->mailbox.empty()) {
                input = std::move(from->mailbox.front());
                from->mailbox.pop_front();
                return input;
            }
            from->drain = slot::drain_state::none;
            if (std::exchange(from->in_background, false)) ++places_;
            if (from->idle()) slots_.erase(from->key);
            if (slots_.empty()) told.swap(when_empty_);
        }
        for (const auto& empty : told) empty();
        return input;
    }

    /// Calls back once no engine has work in flight: at once, or from the drain that ends last.
    void when_empty(std::function<void()> empty) {
        {
            const std::lock_guard lock(mutex_);
            if (!slots_.empty()) {
                when_empty_.push_back(std::move(empty));
                return;
            }
        }
        empty();
    }

    void for_each(const std::function<void(const engine_key&)>& visit) const {
        std::vector<engine_key> keys;
        {
            const std::lock_guard lock(mutex_);
            for (const auto& [key, one] : slots_) keys.push_back(key);
        }
        for (const auto& key : keys) visit(key);
    }

    [[nodiscard]] std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return slots_.size();
    }

private:
    /// Under the lock.
    std::shared_ptr<slot> take_turn() {
        while (places_ > 0 && !backlog_.empty()) {
            auto one = std::move(backlog_.front());
            backlog_.pop_front();
            if (one->drain != slot::drain_state::waiting) continue; // something urgent came
            one->drain = slot::drain_state::posted;
            one->in_background = true;
            --places_;
            return one;
        }
        return nullptr;
    }

    mutable std::mutex mutex_;
    std::size_t places_;
    std::deque<std::shared_ptr<slot>> backlog_; ///< In the order in which they came.
    std::unordered_map<engine_key, std::shared_ptr<slot>, engine_key_hash, engine_key_equal> slots_;
    std::vector<std::function<void()>> when_empty_;
};

} // namespace roundhouse::inline ROUNDHOUSE_ABI::detail
