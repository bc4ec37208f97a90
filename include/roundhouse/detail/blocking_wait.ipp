#pragma once

#include <roundhouse/detail/blocking_wait.hpp>

#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL void gate::open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
}

ROUNDHOUSE_DECL bool gate::wait(const std::optional<duration>& at_most) {
    std::unique_lock lock(mutex_);
    const auto is_open = [this] { return open_; };
    if (at_most) return changed_.wait_for(lock, *at_most, is_open);
    changed_.wait(lock, is_open);
    return true;
}

ROUNDHOUSE_DECL error no_outcome_within(duration at_most) {
    return {errc::cancelled, "There was no outcome within " + std::to_string(at_most.count()) +
                                 " ms; the operation goes on."};
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
