#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log_source.hpp>
#include <roundhouse/testing/backend_conformance/subject.hpp>
#include <roundhouse/testing/backend_conformance/trial_engine.hpp>
#include <roundhouse/testing/conformance_failure.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/version.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>
#include <asio/use_future.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

/// The operations of a backend, as coroutines that own their arguments: they may outlive a case
/// that has failed.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::backend_operations {

template <backend Backend>
asio::awaitable<result<void>> create(Backend& tested, workload requested) {
    auto work = tested.create(requested);
    co_return co_await std::move(work);
}
template <backend Backend>
asio::awaitable<result<void>> stop(Backend& tested, workload_ref ref, duration grace) {
    auto work = tested.stop(ref, grace);
    co_return co_await std::move(work);
}
template <backend Backend> asio::awaitable<result<void>> pause(Backend& tested, workload_ref ref) {
    auto work = tested.pause(ref);
    co_return co_await std::move(work);
}
template <backend Backend> asio::awaitable<result<void>> resume(Backend& tested, workload_ref ref) {
    auto work = tested.resume(ref);
    co_return co_await std::move(work);
}
template <backend Backend>
asio::awaitable<result<void>> destroy(Backend& tested, workload_ref ref) {
    auto work = tested.destroy(ref);
    co_return co_await std::move(work);
}
template <backend Backend>
asio::awaitable<result<key_swap>> swap_key(Backend& tested, workload_ref ref, std::string key,
                                           sha256_digest next) {
    auto work = tested.swap_key(ref, key, next);
    co_return co_await std::move(work);
}
template <backend Backend>
asio::awaitable<result<health>> probe(Backend& tested, workload_ref ref, duration timeout) {
    auto work = tested.probe(ref, timeout);
    co_return co_await std::move(work);
}
template <backend Backend>
asio::awaitable<result<std::vector<found_workload>>> list(Backend& tested) {
    auto work = tested.list();
    co_return co_await std::move(work);
}
template <backend Backend>
asio::awaitable<result<std::string>> logs(Backend& tested, workload_ref ref, std::size_t tail) {
    auto work = tested.logs(ref, tail);
    co_return co_await std::move(work);
}
template <copies_data Backend>
asio::awaitable<result<bool>> copy_data(Backend& tested, workload_ref ref,
                                        std::optional<std::uint64_t> max_bytes) {
    auto work = tested.copy_data(ref, max_bytes);
    co_return co_await std::move(work);
}
template <copies_data Backend>
asio::awaitable<result<void>> restore_data(Backend& tested, workload_ref ref) {
    auto work = tested.restore_data(ref);
    co_return co_await std::move(work);
}
template <copies_data Backend>
asio::awaitable<result<void>> drop_copy(Backend& tested, workload_ref ref) {
    auto work = tested.drop_copy(ref);
    co_return co_await std::move(work);
}
template <separates_boot_logs Backend>
asio::awaitable<result<std::string>> boot_logs(Backend& tested, workload_ref ref,
                                               std::size_t tail) {
    auto work = tested.boot_logs(ref, tail);
    co_return co_await std::move(work);
}

template <opens_logs Backend>
asio::awaitable<result<log_source_ptr>> open_logs(Backend& tested, workload_ref ref,
                                                  log_query query) {
    auto work = tested.open_logs(ref, query);
    co_return co_await std::move(work);
}
inline asio::awaitable<result<std::string>> read_piece(log_source_ptr source) {
    auto work = source->next();
    co_return co_await std::move(work);
}
inline asio::awaitable<result<std::string>> read_to_end(log_source_ptr source) {
    std::string text;
    for (;;) {
        auto work = source->next();
        auto piece = co_await std::move(work);
        if (!piece) co_return piece;
        if (piece->empty()) co_return text;
        text += *piece;
    }
}

} // namespace testing::backend_operations
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// Calls the operations of a backend and waits for their results.
template <backend Backend> class backend_calls {
public:
    explicit backend_calls(const backend_subject<Backend>& subject) : subject_(subject) {}

    [[nodiscard]] Backend& tested() const noexcept { return subject_.tested; }

    // These return when the operation has ended.

    result<void> create(const trial_engine& engine) { return finish(start_create(engine)); }
    result<void> stop(const trial_engine& engine) { return finish(start_stop(engine)); }
    result<void> destroy(const trial_engine& engine) { return finish(start_destroy(engine)); }
    result<void> pause(const trial_engine& engine) { return finish(start_pause(engine)); }
    result<void> resume(const trial_engine& engine) {
        return finish(start(backend_operations::resume(tested(), engine.workload.ref)));
    }
    result<key_swap> swap_key(const trial_engine& engine, const std::string& key,
                              const std::string& next) {
        return finish(start(backend_operations::swap_key(tested(), engine.workload.ref, key,
                                                         crypto::sha256(next))));
    }
    result<bool> copy_data(const trial_engine& engine, std::optional<std::uint64_t> max_bytes)
        requires copies_data<Backend>
    {
        return finish(
            start(backend_operations::copy_data(tested(), engine.workload.ref, max_bytes)));
    }
    result<void> restore_data(const trial_engine& engine)
        requires copies_data<Backend>
    {
        return finish(start(backend_operations::restore_data(tested(), engine.workload.ref)));
    }
    result<void> drop_copy(const trial_engine& engine)
        requires copies_data<Backend>
    {
        return finish(start(backend_operations::drop_copy(tested(), engine.workload.ref)));
    }
    result<std::string> logs(const trial_engine& engine, std::size_t tail) {
        return finish(start_logs(engine, tail));
    }
    result<std::string> boot_logs(const trial_engine& engine, std::size_t tail)
        requires separates_boot_logs<Backend>
    {
        return finish(start(backend_operations::boot_logs(tested(), engine.workload.ref, tail)));
    }
    result<log_source_ptr> open_logs(const trial_engine& engine, const log_query& query)
        requires opens_logs<Backend>
    {
        return finish(start(backend_operations::open_logs(tested(), engine.workload.ref, query)));
    }
    /// All that the engine's output holds.
    result<std::string> read_output(const trial_engine& engine, const log_query& query)
        requires opens_logs<Backend>
    {
        const auto source = open_logs(engine, query);
        if (!source) return unexpected(source.error());
        return finish(start_read_to_end(*source));
    }
    /// For a probe that must fail: it waits only for a short time.
    result<health> probe(const trial_engine& engine) {
        return finish(start_probe(engine, short_timeout));
    }

    // These return at once.

    std::future<result<void>> start_create(const trial_engine& engine) {
        return start(backend_operations::create(tested(), engine.workload));
    }
    std::future<result<void>> start_stop(const trial_engine& engine) {
        return start(backend_operations::stop(tested(), engine.workload.ref, subject_.grace));
    }
    std::future<result<void>> start_destroy(const trial_engine& engine) {
        return start(backend_operations::destroy(tested(), engine.workload.ref));
    }
    std::future<result<void>> start_pause(const trial_engine& engine) {
        return start(backend_operations::pause(tested(), engine.workload.ref));
    }
    std::future<result<health>> start_probe(const trial_engine& engine, duration timeout) {
        return start(backend_operations::probe(tested(), engine.workload.ref, timeout));
    }
    std::future<result<std::string>> start_logs(const trial_engine& engine, std::size_t tail) {
        return start(backend_operations::logs(tested(), engine.workload.ref, tail));
    }

    std::future<result<std::string>> start_read(const log_source_ptr& source) {
        return start(backend_operations::read_piece(source));
    }
    std::future<result<std::string>> start_read_to_end(const log_source_ptr& source) {
        return start(backend_operations::read_to_end(source));
    }

    /// Waits for the result of an operation that was started.
    template <class T>
    T finish(std::future<T> started,
             const std::source_location& where = std::source_location::current()) const {
        require(started.wait_for(subject_.patience) == std::future_status::ready,
                "an operation should end", where);
        try {
            return started.get();
        } catch (const std::exception& thrown) {
            throw conformance_failure(
                std::string("a failure should be returned, not thrown: ") + thrown.what(), where);
        }
    }

    /// Starts an operation and cancels it. Returns when it has ended, whatever its result is.
    template <class T>
    void start_and_cancel(asio::awaitable<T> work,
                          const std::source_location& where = std::source_location::current()) {
        const auto strand = asio::make_strand(subject_.executor);
        const auto cancel = std::make_shared<asio::cancellation_signal>();
        std::promise<void> ends;
        auto ended = ends.get_future();
        auto finish = [cancel, strand, ends = std::move(ends)](const std::exception_ptr&,
                                                               const T&) mutable {
            // The coroutine may still use its cancellation state while it is destroyed.
            asio::post(strand, [cancel] {});
            ends.set_value();
        };
        asio::co_spawn(strand, std::move(work),
                       asio::bind_cancellation_slot(cancel->slot(), std::move(finish)));
        asio::post(strand, [cancel] { cancel->emit(asio::cancellation_type::terminal); });
        require(ended.wait_for(subject_.patience) == std::future_status::ready,
                "an operation that is cancelled should end", where);
    }
    void probe_and_cancel(const trial_engine& engine, duration timeout,
                          const std::source_location& where = std::source_location::current()) {
        start_and_cancel(backend_operations::probe(tested(), engine.workload.ref, timeout), where);
    }

protected:
    ~backend_calls() = default;

    std::future<result<std::vector<found_workload>>> start_list() {
        return start(backend_operations::list(tested()));
    }

    const backend_subject<Backend>& subject_;

private:
    template <class T> std::future<T> start(asio::awaitable<T> work) {
        return asio::co_spawn(asio::make_strand(subject_.executor), std::move(work),
                              asio::use_future);
    }

    static constexpr duration short_timeout{200};
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
