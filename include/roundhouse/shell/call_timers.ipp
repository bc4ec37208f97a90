#pragma once

#include <roundhouse/shell/call_timers.hpp>

#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL call_ticket call_timers::add(duration until, std::function<void()> passed) {
    const std::lock_guard lock(mutex_);
    const call_ticket out{until, ++last_};
    if (closed_) return out;
    waiting_.emplace(out, std::move(passed));
    timer_.ask(until);
    return out;
}

ROUNDHOUSE_DECL void call_timers::remove(const call_ticket& of) {
    std::function<void()> dropped; // what it holds may end with it, not under the lock
    const std::lock_guard lock(mutex_);
    const auto known = waiting_.find(of);
    if (known == waiting_.end()) return;
    dropped = std::move(known->second);
    waiting_.erase(known);
}

ROUNDHOUSE_DECL void call_timers::close() {
    timer_.close();
    std::map<call_ticket, std::function<void()>> dropped;
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(waiting_);
}

ROUNDHOUSE_DECL void call_timers::tell_passed() {
    std::vector<std::function<void()>> passed;
    {
        const std::lock_guard lock(mutex_);
        const auto now = services_.steady_now();
        while (!waiting_.empty() && waiting_.begin()->first.first <= now) {
            passed.push_back(std::move(waiting_.begin()->second));
            waiting_.erase(waiting_.begin());
        }
        if (!waiting_.empty()) timer_.ask(waiting_.begin()->first.first);
    }
    for (const auto& tell : passed) tell();
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
