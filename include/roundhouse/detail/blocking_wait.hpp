#pragma once

#include <roundhouse/config.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Holds a thread until another one opens it.
class gate {
public:
    void open();
    /// Waits until it is open; false if it is not within `at_most`.
    [[nodiscard]] bool wait(const std::optional<duration>& at_most);

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

/// What a thread is told that did not wait for the outcome any longer.
[[nodiscard]] error no_outcome_within(duration at_most);

/// An outcome that one thread waits for. Shared: either side may be gone before the other.
template <class T> class awaited_outcome {
public:
    void set(result<T> outcome) {
        outcome_.emplace(std::move(outcome));
        gate_.open();
    }
    [[nodiscard]] result<T> wait(const std::optional<duration>& at_most) {
        if (!gate_.wait(at_most)) return unexpected(no_outcome_within(*at_most));
        return std::move(*outcome_);
    }

private:
    gate gate_;
    std::optional<result<T>> outcome_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/detail/blocking_wait.ipp>
#endif
