#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/error.hpp>

#include <asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Wakes one coroutine, once.
class signal {
public:
    void set();
    [[nodiscard]] bool is_set() const;
    /// Calls `resume` once: now, or from `set`.
    void call_when_set(std::function<void()> resume);
    [[nodiscard]] static asio::awaitable<void> wait(std::shared_ptr<signal> self);

private:
    mutable std::mutex mutex_;
    bool is_set_ = false;
    std::function<void()> resume_;
};

/// The outcome of a call that takes a completion, for a coroutine to wait for. A call that completes
/// before it returns costs no suspension.
template <class T> class pending_result {
public:
    [[nodiscard]] completion<T> complete() const {
        return [state = state_](result<T> outcome) {
            state->outcome.emplace(std::move(outcome));
            state->completed->set();
        };
    }

    [[nodiscard]] asio::awaitable<result<T>> wait() const { return wait(state_); }

private:
    struct shared_state {
        std::shared_ptr<signal> completed = std::make_shared<signal>();
        std::optional<result<T>> outcome;
    };

    static asio::awaitable<result<T>> wait(std::shared_ptr<shared_state> state) {
        auto completed = signal::wait(state->completed);
        co_await std::move(completed);
        co_return std::move(*state->outcome);
    }

    std::shared_ptr<shared_state> state_ = std::make_shared<shared_state>();
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/detail/pending_result.ipp>
#endif
