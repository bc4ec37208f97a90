#pragma once

#include <roundhouse/detail/pending_result.hpp>

#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL void signal::set() {
    std::function<void()> resume;
    {
        const std::lock_guard lock(mutex_);
        is_set_ = true;
        resume.swap(resume_);
    }
    if (resume) resume();
}

/// Stores how to resume the coroutine, or resumes it at once.
struct signal_initiation {
    template <class Handler>
    void operator()(Handler handler, const std::shared_ptr<signal>& on) const {
        const auto executor = asio::get_associated_executor(handler);
        const auto waits = std::make_shared<Handler>(std::move(handler));
        on->call_when_set([executor, waits] { asio::post(executor, [waits] { (*waits)(); }); });
    }
};

ROUNDHOUSE_DECL void signal::call_when_set(std::function<void()> resume) {
    {
        const std::lock_guard lock(mutex_);
        if (!is_set_) {
            resume_ = std::move(resume);
            return;
        }
    }
    resume();
}

ROUNDHOUSE_DECL bool signal::is_set() const {
    const std::lock_guard lock(mutex_);
    return is_set_;
}

ROUNDHOUSE_DECL asio::awaitable<void> signal::wait(std::shared_ptr<signal> self) {
    if (self->is_set()) co_return;
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(signal_initiation{},
                                                                         asio::use_awaitable, self);
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
