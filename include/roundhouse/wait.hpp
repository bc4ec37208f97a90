#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <asio/async_result.hpp>

#include <future>
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

    template <class Initiation, class... Arguments>
    static return_type initiate(Initiation initiation, roundhouse::wait_t token,
                                Arguments&&... arguments) {
        // Shared: the waiting thread may be gone before `set_value` has returned.
        const auto promise = std::make_shared<std::promise<return_type>>();
        auto outcome = promise->get_future();
        std::move(initiation)(
            [promise](return_type value) { promise->set_value(std::move(value)); },
            std::forward<Arguments>(arguments)...);
        if (token.at_most && outcome.wait_for(*token.at_most) != std::future_status::ready)
            return roundhouse::fail(roundhouse::errc::cancelled,
                                    "There was no outcome within " +
                                        std::to_string(token.at_most->count()) +
                                        " ms; the operation goes on.");
        return outcome.get();
    }
};
