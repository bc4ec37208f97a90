#pragma once

#include <roundhouse/shell/earliest_timer.hpp>

#include <algorithm>
#include <exception>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL void earliest_timer::ask(duration due) {
    const std::lock_guard lock(mutex_);
    if (closed_ || (waiting_ && waits_until_ <= due)) return;
    waits_until_ = due;
    if (waiting_) return waiting_->cancel(); // it wakes, and is asked again
    waiting_ = services_.tasks.make_task();
    services_.tasks.spawn(waiting_, wait(due), [this](const std::exception_ptr&) { woke(); });
}

ROUNDHOUSE_DECL void earliest_timer::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    if (waiting_) waiting_->cancel();
}

ROUNDHOUSE_DECL asio::awaitable<void> earliest_timer::wait(duration due) {
    const auto span = std::max(duration{0}, due - services_.steady_now());
    co_await services_.clock->wait_for(span);
}

ROUNDHOUSE_DECL void earliest_timer::woke() {
    {
        const std::lock_guard lock(mutex_);
        waiting_.reset();
        if (closed_) return;
    }
    fired_();
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
