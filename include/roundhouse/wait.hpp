#pragma once

#include <roundhouse/detail/blocking_wait.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <asio/async_result.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// A completion token with which a call blocks its thread and returns the outcome, as a
/// `result<T>`. It must not be used on a thread of the fleet's executor, which may be the one that
/// is waited for. `asio::use_future` is no substitute: it completes on the system executor, and so
/// starts threads that nobody gave.
struct wait_t {
    std::optional<duration> at_most{};
};

/// Waits for as long as it takes.
inline constexpr wait_t wait{};

/// Waits for at most this long, and returns `errc::cancelled` if the outcome has not come by then.
/// The operation goes on.
[[nodiscard]] constexpr wait_t wait_for(duration at_most) noexcept { return {at_most}; }

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

template <class T> class asio::async_result<roundhouse::wait_t, void(roundhouse::result<T>)> {
public:
    using return_type = roundhouse::result<T>;

    /// A call of a fleet needs no handler, nor a thread of the executor to run it.
    static return_type initiate(const roundhouse::detail::initiation<T>& /*initiation*/,
                                const roundhouse::wait_t& token,
                                std::function<void(roundhouse::completion<T>)> begin) {
        const auto awaited = std::make_shared<roundhouse::detail::awaited_outcome<T>>();
        begin([awaited](return_type outcome) { awaited->set(std::move(outcome)); });
        return awaited->wait(token.at_most);
    }

    template <class Initiation, class... Arguments>
    static return_type initiate(Initiation initiation, const roundhouse::wait_t& token,
                                Arguments&&... arguments) {
        const auto awaited = std::make_shared<roundhouse::detail::awaited_outcome<T>>();
        std::move(initiation)([awaited](return_type outcome) { awaited->set(std::move(outcome)); },
                              std::forward<Arguments>(arguments)...);
        return awaited->wait(token.at_most);
    }
};
