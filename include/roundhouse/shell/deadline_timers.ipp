#pragma once

#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/shell/deadline_timers.hpp>

#include <algorithm>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL void deadline_timers::follow(const engine_record& engine) {
    const engine_owner owner{engine.product_id, engine.user_id};
    const std::lock_guard lock(mutex_);
    if (!engine.deadline) return erase(owner);
    const auto known = by_owner_.find(owner);
    if (known != by_owner_.end() && known->second.deadline == *engine.deadline) return;
    const auto longest = core::longest_wait(engine, services_.settings);
    set(owner, *engine.deadline,
        std::clamp(*engine.deadline - services_.now(), duration{0}, longest));
}

ROUNDHOUSE_DECL void deadline_timers::forget(const engine_owner& owner) {
    const std::lock_guard lock(mutex_);
    erase(owner);
}

ROUNDHOUSE_DECL void deadline_timers::change_wait(const engine_owner& owner, duration wait) {
    const std::lock_guard lock(mutex_);
    if (const auto known = by_owner_.find(owner); known != by_owner_.end())
        set(owner, known->second.deadline, wait);
}

ROUNDHOUSE_DECL std::optional<duration> deadline_timers::left(const engine_owner& owner) const {
    const std::lock_guard lock(mutex_);
    const auto known = by_owner_.find(owner);
    if (known == by_owner_.end()) return std::nullopt;
    return known->second.due - services_.steady_now();
}

ROUNDHOUSE_DECL void deadline_timers::close() {
    timer_.close();
    const std::lock_guard lock(mutex_);
    closed_ = true;
    by_owner_.clear();
    by_time_.clear();
}

ROUNDHOUSE_DECL void deadline_timers::set(const engine_owner& owner, instant deadline,
                                          duration wait) {
    erase(owner);
    if (closed_) return;
    const auto due = services_.steady_now() + wait;
    by_owner_.emplace(owner, timer{deadline, due});
    by_time_.emplace(due, owner);
    timer_.ask(due);
}

ROUNDHOUSE_DECL void deadline_timers::erase(const engine_owner& owner) {
    const auto known = by_owner_.find(owner);
    if (known == by_owner_.end()) return;
    by_time_.erase({known->second.due, owner});
    by_owner_.erase(known);
}

ROUNDHOUSE_DECL void deadline_timers::deliver_due() {
    std::vector<std::pair<engine_owner, instant>> passed;
    {
        const std::lock_guard lock(mutex_);
        const auto now = services_.steady_now();
        while (!by_time_.empty() && by_time_.begin()->first <= now) {
            const auto owner = by_time_.begin()->second;
            passed.emplace_back(owner, by_owner_.at(owner).deadline);
            // It stays known, so that `change_wait` can wait for it again.
            by_time_.erase(by_time_.begin());
        }
        if (!by_time_.empty()) timer_.ask(by_time_.begin()->first);
    }
    for (const auto& [owner, deadline] : passed)
        inbox_.enqueue(owner, engine_event{core::event::deadline{deadline}});
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
