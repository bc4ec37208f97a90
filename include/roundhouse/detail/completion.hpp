#pragma once

#include <roundhouse/error.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Where the outcome of an asynchronous call goes. Call it once.
template <class T> using completion = std::function<void(result<T>)>;

/// Wraps a completion handler so that it is posted to its own executor, never called by who
/// completes it.
template <class T, class Handler>
completion<T> make_completion(Handler handler, const asio::any_io_executor& fallback) {
    auto executor = asio::prefer(asio::get_associated_executor(handler, fallback),
                                 asio::execution::outstanding_work.tracked);
    auto shared = std::make_shared<Handler>(std::move(handler));
    return [shared = std::move(shared), executor = std::move(executor)](result<T> outcome) mutable {
        asio::post(executor, [shared = std::move(shared), outcome = std::move(outcome)]() mutable {
            (*shared)(std::move(outcome));
        });
    };
}

/// Runs `begin` as an Asio asynchronous operation of signature `void(result<T>)`. It is type-erased
/// so that there is one instantiation per outcome and token, and not one per call.
template <class T, class Token>
auto initiate(const asio::any_io_executor& fallback, std::function<void(completion<T>)> begin,
              Token&& token) {
    return asio::async_initiate<Token, void(result<T>)>(
        [fallback](auto handler, const std::function<void(completion<T>)>& start) {
            start(make_completion<T>(std::move(handler), fallback));
        },
        token, std::move(begin));
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
