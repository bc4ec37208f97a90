#pragma once

#include <roundhouse/shell/state_waiters.hpp>

#include <mutex>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL result<state_waiters::number>
state_waiters::add(const engine_owner& owner, engine_statuses wanted, duration until, told done) {
    const std::lock_guard lock(mutex_);
    if (closed_) return unexpected(*closed_);
    const auto known = by_owner_.find(owner);
    const bool full = known != by_owner_.end() &&
                      known->second.size() >= services_.settings.max_waiting_per_engine;
    if (full || !places_.take(owner.product_id))
        return fail(errc::overloaded, "Too many calls are waiting. Try again later.", 1);
    const auto id = ++last_;
    auto timer = timers_.add(until, [this, owner, id] { end(owner, id, {}); });
    by_owner_[owner].emplace(id, waiting_caller{wanted, timer, std::move(done)});
    count_.fetch_add(1);
    return id;
}

ROUNDHOUSE_DECL void state_waiters::see(const engine_owner& owner, number waiter,
                                        const engine_ptr& row) {
    {
        const std::lock_guard lock(mutex_);
        const auto known = by_owner_.find(owner);
        if (known == by_owner_.end()) return;
        const auto found = known->second.find(waiter);
        if (found == known->second.end() || !found->second.wanted.has(row->status)) return;
    }
    end(owner, waiter, {state_wait_end::kind::reached, row});
}

ROUNDHOUSE_DECL void state_waiters::end(const engine_owner& owner, number waiter,
                                        const state_wait_end& how) {
    told done;
    {
        const std::lock_guard lock(mutex_);
        const auto known = by_owner_.find(owner);
        if (known == by_owner_.end()) return;
        const auto found = known->second.find(waiter);
        if (found == known->second.end()) return;
        done = take(owner, known->second, found);
        if (known->second.empty()) by_owner_.erase(known);
    }
    done(how);
}

ROUNDHOUSE_DECL state_waiters::told state_waiters::take(const engine_owner& owner, waiters& from,
                                                        waiters::iterator which) {
    auto done = std::move(which->second.done);
    timers_.remove(which->second.timer);
    from.erase(which);
    count_.fetch_sub(1);
    places_.give_back(owner.product_id);
    return done;
}

ROUNDHOUSE_DECL void state_waiters::tell(const engine_owner& owner, const engine_ptr& row) {
    std::vector<told> ended;
    {
        const std::lock_guard lock(mutex_);
        const auto known = by_owner_.find(owner);
        if (known == by_owner_.end()) return;
        for (auto at = known->second.begin(); at != known->second.end();) {
            const auto one = at++;
            if (!row || one->second.wanted.has(row->status))
                ended.push_back(take(owner, known->second, one));
        }
        if (known->second.empty()) by_owner_.erase(known);
    }
    const auto how = row ? state_wait_end::kind::reached : state_wait_end::kind::gone;
    for (const auto& done : ended) done({how, row});
}

ROUNDHOUSE_DECL void state_waiters::forget_product(const uuid& product) {
    if (count_.load() == 0) return;
    std::vector<told> ended;
    {
        const std::lock_guard lock(mutex_);
        for (auto at = by_owner_.begin(); at != by_owner_.end();) {
            const auto known = at++;
            if (known->first.product_id != product) continue;
            auto& waiting = known->second;
            while (!waiting.empty()) ended.push_back(take(known->first, waiting, waiting.begin()));
            by_owner_.erase(known);
        }
    }
    for (const auto& done : ended) done({state_wait_end::kind::gone, {}, {}});
}

ROUNDHOUSE_DECL void state_waiters::fail_all(const error& cause) {
    std::vector<told> ended;
    {
        const std::lock_guard lock(mutex_);
        closed_ = cause;
        for (auto& [owner, waiting] : by_owner_)
            while (!waiting.empty()) ended.push_back(take(owner, waiting, waiting.begin()));
        by_owner_.clear();
    }
    for (const auto& done : ended) done({state_wait_end::kind::failed, {}, cause});
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
