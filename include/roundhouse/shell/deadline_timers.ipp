#pragma once

#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/shell/deadline_timers.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL void deadline_timers::follow(const engine_record& engine,
                                             const core::moment& then) {
    const engine_owner owner{engine.product_id, engine.user_id};
    const std::lock_guard lock(mutex_);
    if (!engine.deadline) return erase(owner);
    const auto known = by_owner_.find(owner);
    if (known != by_owner_.end() && known->second.deadline.at == *engine.deadline) return;
    const auto measure = [&](instant at, duration longest) {
        return measured{at, std::clamp(then.steady_at(at), then.steady, then.steady + longest)};
    };
    const auto defaults = services_.defaults.of(engine.product_id);
    timer wanted{
        measure(*engine.deadline, core::longest_wait(engine, services_.settings, defaults.get())),
        {}};
    if (engine.restart_at) {
        const bool measured_already = known != by_owner_.end() && known->second.restart &&
                                      known->second.restart->at == *engine.restart_at;
        const auto longest = core::longest_restart_wait(engine, services_.settings);
        wanted.restart = measured_already ? known->second.restart
                                          : measure(*engine.restart_at, longest);
        if (engine.deadline == engine.restart_at) wanted.deadline = *wanted.restart;
    }
    set(owner, std::move(wanted));
}

ROUNDHOUSE_DECL void deadline_timers::forget(const engine_owner& owner) {
    const std::lock_guard lock(mutex_);
    erase(owner);
}

ROUNDHOUSE_DECL void deadline_timers::change_wait(const engine_owner& owner, duration wait) {
    const std::lock_guard lock(mutex_);
    const auto known = by_owner_.find(owner);
    if (known == by_owner_.end()) return;
    auto wanted = known->second;
    wanted.deadline.due = services_.steady_now() + wait;
    if (wanted.restart && wanted.restart->at == wanted.deadline.at)
        wanted.restart = wanted.deadline;
    set(owner, std::move(wanted));
}

ROUNDHOUSE_DECL bool deadline_timers::waits(const engine_owner& owner) const {
    const std::lock_guard lock(mutex_);
    const auto known = by_owner_.find(owner);
    return known != by_owner_.end() && known->second.deadline.due > services_.steady_now();
}

ROUNDHOUSE_DECL std::optional<duration>
deadline_timers::restart_in(const engine_owner& owner) const {
    const std::lock_guard lock(mutex_);
    const auto known = by_owner_.find(owner);
    if (known == by_owner_.end() || !known->second.restart) return std::nullopt;
    return known->second.restart->due - services_.steady_now();
}

ROUNDHOUSE_DECL void deadline_timers::close() {
    timer_.close();
    const std::lock_guard lock(mutex_);
    closed_ = true;
    by_owner_.clear();
    by_time_.clear();
}

ROUNDHOUSE_DECL void deadline_timers::set(const engine_owner& owner, timer wanted) {
    erase(owner);
    if (closed_) return;
    const auto due = wanted.deadline.due;
    by_owner_.emplace(owner, std::move(wanted));
    by_time_.emplace(due, owner);
    timer_.ask(due);
}

ROUNDHOUSE_DECL void deadline_timers::erase(const engine_owner& owner) {
    const auto known = by_owner_.find(owner);
    if (known == by_owner_.end()) return;
    by_time_.erase({known->second.deadline.due, owner});
    by_owner_.erase(known);
}

ROUNDHOUSE_DECL void deadline_timers::deliver_due() {
    std::vector<std::pair<engine_owner, instant>> passed;
    {
        const std::lock_guard lock(mutex_);
        const auto now = services_.steady_now();
        while (!by_time_.empty() && by_time_.begin()->first <= now) {
            const auto owner = by_time_.begin()->second;
            passed.emplace_back(owner, by_owner_.at(owner).deadline.at);
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
