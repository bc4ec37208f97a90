#pragma once

#include <roundhouse/shell/probe_schedule.hpp>

#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL void probe_schedule::add(std::uint64_t hash, duration due) {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    entries_.push({due, hash});
    timer_.ask(due);
}

ROUNDHOUSE_DECL void probe_schedule::close() {
    timer_.close();
    const std::lock_guard lock(mutex_);
    closed_ = true;
    entries_ = {};
}

ROUNDHOUSE_DECL void probe_schedule::deliver_due() {
    std::vector<entry> passed;
    {
        const std::lock_guard lock(mutex_);
        const auto now = services_.steady_now();
        for (; !entries_.empty() && entries_.top().due <= now; entries_.pop())
            passed.push_back(entries_.top());
        if (!entries_.empty()) timer_.ask(entries_.top().due);
    }
    for (const auto& [due, hash] : passed) due_(hash, due);
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
