#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/core/backoff.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/detail/task.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/shell/mailbox.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/error.hpp>
#include <asio/this_coro.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Carries out what the state machine asks for, and says how it went. One coroutine per command; no
/// decisions here.
template <class Backend, class Clock> class command_runner {
public:
    command_runner(std::shared_ptr<Backend> backend, std::shared_ptr<Clock> clock,
                   const settings& with, const crypto::key_ring& keys)
        : backend_(std::move(backend)), clock_(std::move(clock)), settings_(with), keys_(keys) {}

    /// `went_on` is told how far a boot has come; `in_use` tells whether an engine has been used
    /// since its sleep was decided.
    asio::awaitable<core::event_variant> run(command_request request, std::shared_ptr<task> self,
                                             std::function<void(core::event_variant)> went_on,
                                             std::function<bool()> in_use) {
        const auto& record = *request.record;
        switch (request.command) {
        case core::command::boot: co_return co_await boot(record, *self, went_on);
        case core::command::stop: co_return co_await stop(record, settings_.stop_grace);
        case core::command::end: co_return co_await stop(record, settings_.failed_grace);
        case core::command::sleep: co_return co_await sleep(record, in_use);
        case core::command::wake: co_return co_await wake(record);
        case core::command::swap_key: co_return co_await swap_key(record);
        default: co_return co_await destroy(record);
        }
    }

private:
    using outcome = core::event_variant;

    static workload_ref ref_of(const engine_record& record) {
        return {record.id, record.generation, record.port};
    }

    asio::awaitable<outcome> boot(const engine_record& record, const task& self,
                                  const std::function<void(core::event_variant)>& went_on) {
        const workload what{ref_of(record), record.product_id, record.user_id, record.version,
                            record.key_hash};
        went_on(core::event::boot_begun{});
        if constexpr (prepares<Backend>) {
            const auto prepared = co_await backend_->prepare(what);
            if (!prepared) co_return outcome(core::event::boot_refused{prepared.error()});
        }
        if (record.boot == boot_reason::rotate) {
            const auto ended = co_await backend_->stop(what.ref, settings_.stop_grace);
            if (!ended) co_return outcome(core::event::boot_refused{ended.error()});
        }
        // What has been begun must be known: a cancelled boot ends behind this, and its workload is
        // ended by what superseded it.
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        const auto created = co_await backend_->create(what);
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        if (!created) co_return outcome(core::event::boot_refused{created.error()});
        went_on(core::event::boot_started{});
        core::probe_pauses pauses(settings_.boot_probe_min, settings_.boot_probe_max);
        for (;;) {
            // Nobody heard the cancellation while it was shielded.
            if (self.cancelled()) throw std::system_error(asio::error::operation_aborted);
            const auto answer = co_await backend_->probe(what.ref, settings_.health_check_timeout);
            if (answer) break;
            const auto next = clock_->now() + pauses.next();
            co_await clock_->wait_until(next);
        }
        co_return outcome(core::event::boot_healthy{});
    }

    asio::awaitable<outcome> stop(const engine_record& record, duration grace) {
        const auto ref = ref_of(record);
        const auto done = co_await backend_->stop(ref, grace);
        if (!done) co_return outcome(core::event::stop_failed{done.error()});
        co_return outcome(core::event::stopped{});
    }

    asio::awaitable<outcome> sleep(const engine_record& record,
                                   const std::function<bool()>& in_use) {
        const auto ref = ref_of(record);
        const auto answer = co_await backend_->probe(ref, settings_.health_check_timeout);
        if (!answer || answer->busy || in_use()) co_return outcome(core::event::sleep_cancelled{});
        const auto done = co_await backend_->pause(ref);
        if (!done) co_return outcome(core::event::sleep_cancelled{});
        co_return outcome(core::event::asleep{});
    }

    asio::awaitable<outcome> wake(const engine_record& record) {
        const auto ref = ref_of(record);
        const auto resumed = co_await backend_->resume(ref);
        if (!resumed) {
            // The reply may have been lost: then it is awake. Else it is left as it was, paused;
            // that this may fail too is no news.
            const auto answer = co_await backend_->probe(ref, settings_.boot_probe_max);
            if (answer) co_return outcome(core::event::awake{});
            (void)co_await backend_->pause(ref);
            co_return outcome(core::event::wake_refused{resumed.error()});
        }
        const auto until = clock_->steady_now() + settings_.health_check_timeout;
        core::probe_pauses pauses(settings_.boot_probe_min, settings_.boot_probe_max);
        std::string reason;
        for (;;) {
            const auto left = until - clock_->steady_now();
            if (left <= duration{0}) break;
            const auto answer = co_await backend_->probe(ref, left);
            if (answer) co_return outcome(core::event::awake{});
            reason = answer.error().message;
            const auto next = clock_->now() + std::min(pauses.next(), left);
            co_await clock_->wait_until(next);
        }
        co_return outcome(core::event::wake_unhealthy{std::move(reason)});
    }

    asio::awaitable<outcome> swap_key(const engine_record& record) {
        const auto ref = ref_of(record);
        const auto key = keys_.unseal(record.sealed_key);
        if (!key) co_return outcome(core::event::key_swap_refused{key.error()});
        const auto done = co_await backend_->swap_key(ref, *key, record.next_key_hash);
        if (!done) co_return outcome(core::event::key_swap_refused{done.error()});
        switch (*done) {
        case key_swap::done: co_return outcome(core::event::key_swapped{});
        case key_swap::unsupported: co_return outcome(core::event::key_swap_unsupported{});
        default: co_return outcome(core::event::key_swap_unknown{});
        }
    }

    asio::awaitable<outcome> destroy(const engine_record& record) {
        const auto ref = ref_of(record);
        // Its data goes anyway: the short grace is enough for a clean end.
        const auto ended = co_await backend_->stop(ref, settings_.failed_grace);
        if (!ended) co_return outcome(core::event::destroy_failed{ended.error()});
        const auto done = co_await backend_->destroy(ref);
        if (!done) co_return outcome(core::event::destroy_failed{done.error()});
        co_return outcome(core::event::destroyed{});
    }

    const std::shared_ptr<Backend> backend_;
    const std::shared_ptr<Clock> clock_;
    const settings& settings_;
    const crypto::key_ring& keys_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
