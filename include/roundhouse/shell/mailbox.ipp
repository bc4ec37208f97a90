#pragma once

#include <roundhouse/shell/mailbox.hpp>

#include <algorithm>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL std::shared_ptr<mailbox> mailbox_table::put(const engine_owner& owner,
                                                            mailbox_input input) {
    const bool urgent = is_urgent(input);
    const std::lock_guard lock(mutex_);
    auto& known = mailboxes_[owner];
    if (!known) known = std::make_shared<mailbox>(owner);
    known->inputs.push_back(std::move(input));
    if (known->drain == mailbox::drain_state::posted) return nullptr;
    if (urgent) {
        // If it waited in the background, it is passed over when its turn comes.
        known->drain = mailbox::drain_state::posted;
        return known;
    }
    if (std::exchange(known->drain, mailbox::drain_state::waiting) == mailbox::drain_state::none)
        backlog_.push(owner.product_id, known);
    return take_turn();
}

ROUNDHOUSE_DECL std::shared_ptr<mailbox> mailbox_table::next_in_background() {
    const std::lock_guard lock(mutex_);
    return take_turn();
}

ROUNDHOUSE_DECL void mailbox_table::put_first(mailbox& into, std::vector<waiting_call> calls) {
    const std::lock_guard lock(mutex_);
    for (auto call = calls.rbegin(); call != calls.rend(); ++call)
        into.inputs.emplace_front(std::move(*call));
}

ROUNDHOUSE_DECL std::optional<mailbox_input>
mailbox_table::next(const std::shared_ptr<mailbox>& from) {
    std::vector<std::function<void()>> callbacks;
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
        if (mailboxes_.empty()) callbacks.swap(when_empty_);
    }
    for (const auto& empty : callbacks) empty();
    return input;
}

ROUNDHOUSE_DECL void mailbox_table::when_empty(std::function<void()> empty) {
    {
        const std::lock_guard lock(mutex_);
        if (!mailboxes_.empty()) {
            when_empty_.push_back(std::move(empty));
            return;
        }
    }
    empty();
}

ROUNDHOUSE_DECL std::vector<engine_owner> mailbox_table::owners() const {
    const std::lock_guard lock(mutex_);
    std::vector<engine_owner> out;
    for (const auto& [owner, known] : mailboxes_) out.push_back(owner);
    std::ranges::sort(out);
    return out;
}

ROUNDHOUSE_DECL std::size_t mailbox_table::size() const {
    const std::lock_guard lock(mutex_);
    return mailboxes_.size();
}

ROUNDHOUSE_DECL std::shared_ptr<mailbox> mailbox_table::take_turn() {
    while (places_ > 0 && !backlog_.empty()) {
        auto next = *backlog_.pop();
        if (next->drain != mailbox::drain_state::waiting) continue; // something urgent came
        next->drain = mailbox::drain_state::posted;
        next->in_background = true;
        --places_;
        return next;
    }
    return nullptr;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
