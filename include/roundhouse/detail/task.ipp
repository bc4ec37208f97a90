#pragma once

#include <roundhouse/detail/task.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL task::task(const asio::any_io_executor& executor)
    : strand_(asio::make_strand(executor)) {}

ROUNDHOUSE_DECL void task::cancel() {
    cancelled_.store(true);
    asio::post(strand_, [self = shared_from_this()] {
        self->signal_.emit(asio::cancellation_type::terminal);
    });
}

ROUNDHOUSE_DECL void task_group::start(const std::shared_ptr<task>& which,
                                       asio::awaitable<void> body) {
    auto owner = owner_.lock();
    if (!owner) return;
    {
        const std::lock_guard lock(mutex_);
        running_.insert(which);
        if (closed_) which->cancelled_.store(true);
    }
    // On the strand, because the signal is used there. A cancellation that came earlier is repeated.
    auto begin = [this, which, owner = std::move(owner), body = std::move(body)]() mutable {
        auto ended = [this, which, owner = std::move(owner)](const std::exception_ptr& failure) {
            forget(which);
            if (failure) std::rethrow_exception(failure); // only a `done` throws
        };
        asio::co_spawn(which->strand_, std::move(body),
                       asio::bind_cancellation_slot(which->signal_.slot(), std::move(ended)));
        if (which->cancelled()) which->cancel();
    };
    asio::post(which->strand_, std::move(begin));
}

ROUNDHOUSE_DECL void task_group::run(asio::awaitable<void> body) {
    auto owner = owner_.lock();
    if (!owner) return;
    // Posted: `co_spawn` alone would begin at once where this thread is one of the executor's.
    asio::post(executor_, [this, owner = std::move(owner), body = std::move(body)]() mutable {
        asio::co_spawn(executor_, std::move(body),
                       [owner = std::move(owner)](const std::exception_ptr& failure) {
                           if (failure) std::rethrow_exception(failure);
                       });
    });
}

ROUNDHOUSE_DECL void task_group::post(std::function<void()> work) {
    auto owner = owner_.lock();
    if (!owner) return;
    asio::post(executor_, [owner = std::move(owner), work = std::move(work)] { work(); });
}

ROUNDHOUSE_DECL void task_group::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (const auto& which : running_) which->cancel();
}

ROUNDHOUSE_DECL void task_group::forget(const std::shared_ptr<task>& which) {
    const std::lock_guard lock(mutex_);
    running_.erase(which);
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
