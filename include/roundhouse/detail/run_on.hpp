#pragma once

#include <roundhouse/version.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <exception>
#include <memory>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail {

/// Runs `work` as a coroutine on `strand`, and resumes the caller on its own executor with the
/// result or the exception.
///
/// `co_spawn` alone does that too, but Asio 1.22 emits a cancellation in the thread that cancels,
/// where it races with the coroutine on the strand. Here it is posted to the strand.
template <class T>
asio::awaitable<T> run_on(asio::any_io_executor strand, asio::awaitable<T> work) {
    auto initiate = [](auto handler, asio::any_io_executor on, asio::awaitable<T> body) {
        const auto cancel = std::make_shared<asio::cancellation_signal>();
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
            slot.assign([on, cancel](asio::cancellation_type type) {
                asio::post(on, [cancel, type] { cancel->emit(type); });
            });
        }
        auto home = asio::make_work_guard(handler);
        auto finish = [handler = std::move(handler), home = std::move(home), on,
                       cancel](std::exception_ptr thrown, T value) mutable {
            // The coroutine that has ended may still use its cancellation state while it is
            // destroyed.
            asio::post(on, [cancel] {});
            const auto executor = home.get_executor();
            asio::post(executor, [handler = std::move(handler), home = std::move(home), thrown,
                                  value = std::move(value)]() mutable {
                std::move(handler)(thrown, std::move(value));
            });
        };
        asio::co_spawn(on, std::move(body),
                       asio::bind_cancellation_slot(cancel->slot(), std::move(finish)));
    };
    return asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr, T)>(
        std::move(initiate), asio::use_awaitable, std::move(strand), std::move(work));
}

} // namespace detail

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
