#pragma once

#include <roundhouse/error.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Receives the outcome of a call. It is called once, from any thread, and may be called before the
/// function that it was given to returns.
template <class T> using completion = std::function<void(result<T>)>;

namespace detail {

/// A completion handler of Asio's that waits for an outcome. The handler is posted to its own
/// executor, never called by whoever completes it. If its cancellation slot is signalled first, it
/// gets `errc::cancelled`, and the outcome is dropped when it comes.
template <class T, class Handler>
class waiting_handler : public std::enable_shared_from_this<waiting_handler<T, Handler>> {
public:
    waiting_handler(Handler handler, const asio::any_io_executor& fallback)
        : executor_(asio::prefer(asio::get_associated_executor(handler, fallback),
                                 asio::execution::outstanding_work.tracked)),
          handler_(std::move(handler)) {}

    void listen_for_cancellation() {
        auto slot = asio::get_associated_cancellation_slot(*handler_);
        if (!slot.is_connected()) return;
        slot.assign([weak = this->weak_from_this()](asio::cancellation_type) {
            if (const auto self = weak.lock())
                self->complete(fail(errc::cancelled, "The wait was cancelled; the operation that "
                                                     "was asked for goes on."));
        });
    }

    /// The first call posts the handler, and keeps nothing of it: neither its executor's work nor
    /// what it holds outlives the wait.
    void complete(result<T> outcome) {
        if (completed_.exchange(true)) return;
        const auto executor = std::move(*executor_);
        auto handler = std::make_shared<Handler>(std::move(*handler_));
        executor_.reset();
        handler_.reset();
        asio::post(executor,
                   [handler = std::move(handler), outcome = std::move(outcome)]() mutable {
                       (*handler)(std::move(outcome));
                   });
    }

private:
    // Not an `any_io_executor`: that of `asio::use_future` is none.
    using executor_type = std::decay_t<decltype(asio::prefer(
        asio::get_associated_executor(std::declval<const Handler&>(),
                                      std::declval<const asio::any_io_executor&>()),
        asio::execution::outstanding_work.tracked))>;

    std::optional<executor_type> executor_;
    std::optional<Handler> handler_;
    std::atomic<bool> completed_ = false;
};

/// Begins a call with a completion handler of Asio's.
template <class T> struct initiation {
    asio::any_io_executor fallback;

    template <class Handler>
    void operator()(Handler handler, const std::function<void(completion<T>)>& begin) const {
        const auto waits = std::make_shared<waiting_handler<T, Handler>>(std::move(handler),
                                                                         fallback);
        waits->listen_for_cancellation();
        begin([waits](result<T> outcome) { waits->complete(std::move(outcome)); });
    }
};

/// Runs `begin` as an Asio asynchronous operation with the signature `void(result<T>)`. `begin` is
/// type-erased, so that there is one instantiation for each outcome and token, and not one for each
/// call.
template <class T, class Token>
auto initiate(const asio::any_io_executor& fallback, std::function<void(completion<T>)> begin,
              Token&& token) {
    return asio::async_initiate<Token, void(result<T>)>(initiation<T>{fallback}, token,
                                                        std::move(begin));
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
