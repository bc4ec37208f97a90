#pragma once

#include <roundhouse/core/backoff.hpp>
#include <roundhouse/core/ceilings.hpp>
#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/engine_settings_check.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/core/settings_in_force.hpp>
#include <roundhouse/core/sleep_state.hpp>
#include <roundhouse/crypto/sealed_env.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/engine_upgrade.hpp>
#include <roundhouse/shell/command_runner.hpp>

#include <asio/error.hpp>
#include <asio/this_coro.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The workload that a boot asks the backend for, without its variables and ceilings.
[[nodiscard]] inline workload wanted_by(const command_request& boot) {
    const auto& engine = *boot.record;
    return {.ref = ref_of(engine),
            .owner = {engine.product_id, engine.user_id},
            .version = engine.version,
            .key_hash = engine.key_hash,
            .product_slug = boot.product ? boot.product->slug : std::string()};
}

/// Why a workload cannot be made whose variables cannot be read.
[[nodiscard]] inline error sealed_environment(const std::string& whose) {
    return {errc::internal_error,
            "The environment of " + whose +
                " cannot be read: none of the master keys fits. Put the key that sealed it back "
                "into the list."};
}

/// The variables that a workload is to have, in clear: the engine's own, and those of the defaults of
/// its product, which may be null.
[[nodiscard]] inline result<named_texts> env_of(const engine_record& engine,
                                                const product_defaults* defaults,
                                                const crypto::key_ring& keys) {
    auto own = crypto::unseal_env(present_sealed_env(settings_of(engine)), keys);
    if (!own) return unexpected(sealed_environment("engine " + to_string(engine.id)));
    if (defaults == nullptr) return own;
    const auto given = crypto::unseal_env(defaults->settings.sealed_env, keys);
    if (!given)
        return unexpected(
            sealed_environment("the defaults of product " + to_string(engine.product_id)));
    return core::merged(std::move(*own), *given);
}

/// The ceilings that a workload is to have under its product's policy and defaults, which may be null.
/// Fails for one that does not hold, as after a change of the machine, of the policy or of the defaults.
[[nodiscard]] inline result<engine_limits> held_limits(const engine_record& engine,
                                                       const policy& limits,
                                                       const product_defaults* defaults,
                                                       const backend_port& backend) {
    const auto& own = present_limits(settings_of(engine));
    const auto wanted = core::merged(own, defaults);
    const auto support = backend.limits();
    auto fault = core::check_held(own, support, backend.name());
    if (!fault) fault = core::check_held(limits, support, backend.name());
    if (!fault) {
        fault = core::check_held(wanted, support, backend.name());
        if (fault) fault = core::of_defaults(*fault);
    }
    if (fault) return fail(errc::backend_error, fault->member + ": " + fault->complaint);
    return core::workload_limits(wanted, limits, support);
}

ROUNDHOUSE_DECL asio::awaitable<std::optional<core::event_variant>>
command_runner::run(command_request request, std::shared_ptr<task> self) {
    const auto& engine = *request.record;
    const auto& settings = services_.settings;
    const auto defaults = services_.defaults.of(engine.product_id);
    switch (request.command) {
    case core::command::boot:
        if (request.step == boot_step::prepare) co_return co_await prepare(request);
        co_return co_await boot(request, *self);
    case core::command::stop:
        co_return co_await stop(engine, core::stop_grace_of(engine, settings, defaults.get()));
    case core::command::end: co_return co_await stop(engine, settings.failed_grace);
    case core::command::sleep: co_return co_await sleep(request);
    case core::command::wake: co_return co_await wake(request);
    case core::command::swap_key: co_return co_await swap_key(engine);
    case core::command::copy_data:
        co_return co_await copy_data(engine, core::stop_grace_of(engine, settings, defaults.get()));
    case core::command::watch: co_return co_await watch(engine);
    case core::command::restore_data:
        co_return co_await restore_data(engine,
                                        core::stop_grace_of(engine, settings, defaults.get()));
    case core::command::drop_copy: co_return co_await drop_copy(engine);
    case core::command::none:
    case core::command::destroy: break;
    }
    co_return co_await destroy(engine);
}

ROUNDHOUSE_DECL asio::awaitable<std::optional<core::event_variant>>
command_runner::prepare(const command_request& request) {
    const auto wanted = wanted_by(request);
    const auto prepared = co_await services_.backend->prepare(wanted);
    if (!prepared) co_return outcome(core::event::boot_refused{prepared.error()});
    co_return std::nullopt;
}

/// The product of an engine by now: its policy and defaults may have changed while the boot waited for
/// its turn. Of one whose record cannot be read it is what was last seen, if anything.
ROUNDHOUSE_DECL asio::awaitable<product>
command_runner::product_of(const command_request& request) const {
    pending_result<product_ptr> pending;
    services_.store->read_product(to_string(request.record->product_id), pending.complete());
    auto reading = pending.wait();
    const auto found = co_await std::move(reading);
    const auto known = found && *found ? *found : request.product;
    auto out = known ? *known : product{};
    services_.defaults.learn(out);
    out.defaults = services_.defaults.of(request.record->product_id);
    co_return out;
}

ROUNDHOUSE_DECL asio::awaitable<core::event_variant>
command_runner::boot(const command_request& request, const task& self) {
    auto& backend = *services_.backend;
    const auto& settings = services_.settings;
    auto wanted = wanted_by(request);
    if (core::ends_a_workload_first(request.record->boot)) {
        const auto defaults = services_.defaults.of(request.record->product_id);
        const auto grace = core::awaited_stop_grace_of(*request.record, settings, defaults.get());
        const auto ended = co_await backend.stop(wanted.ref, grace);
        if (!ended) co_return outcome(core::event::boot_refused{ended.error()});
    }
    auto reading = product_of(request);
    const auto product = co_await std::move(reading);
    const auto* const defaults = product.defaults.get();
    auto env = env_of(*request.record, defaults, services_.keys);
    if (!env) co_return outcome(core::event::boot_refused{env.error()});
    wanted.env = std::move(*env);
    const auto& policy = core::policy_of(product, settings);
    const auto limits = held_limits(*request.record, policy, defaults, backend);
    if (!limits) co_return outcome(core::event::boot_refused{limits.error()});
    wanted.limits = *limits;
    // A boot that is cancelled from here on ends after `create`, and its workload is ended by the
    // command that superseded it.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const auto created = co_await backend.create(wanted);
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    wanted.env.clear(); // a boot may take long
    if (!created) co_return outcome(core::event::boot_refused{created.error()});
    inbox_.enqueue(wanted.owner, workload_started{request.number});
    core::probe_pauses pauses(settings.boot_probe_min, settings.boot_probe_max);
    for (;;) {
        // The signal was not heard while `create` was shielded.
        if (self.cancelled()) throw std::system_error(asio::error::operation_aborted);
        const auto answer = co_await backend.probe(wanted.ref, settings.health_check_timeout);
        if (answer) break;
        // The engine cannot listen any more. With its next boot it gets another port.
        if (answer.error().code == errc::port_taken)
            co_return outcome(core::event::boot_refused{answer.error()});
        request.probes->set(answer.error().message);
        co_await services_.clock->wait_for(pauses.next());
    }
    co_return outcome(core::event::boot_healthy{revision_of(defaults)});
}

ROUNDHOUSE_DECL asio::awaitable<core::event_variant>
command_runner::stop(const engine_record& engine, duration grace) {
    const auto ref = ref_of(engine);
    const auto done = co_await services_.backend->stop(ref, grace);
    if (!done) co_return outcome(core::event::stop_failed{done.error()});
    co_return outcome(core::event::stopped{});
}

ROUNDHOUSE_DECL asio::awaitable<core::event_variant>
command_runner::sleep(const command_request& request) {
    const auto ref = ref_of(*request.record);
    const auto answer = co_await services_.backend->probe(ref,
                                                          services_.settings.health_check_timeout);
    if (!answer) co_return outcome(core::event::sleep_cancelled{answer.error()});
    if (answer->busy || used_since(request)) co_return outcome(core::event::sleep_cancelled{});
    const auto done = co_await services_.backend->pause(ref);
    if (!done) co_return outcome(core::event::sleep_cancelled{done.error()});
    co_return outcome(core::event::asleep{});
}

/// Whether the engine has been used since its sleep was decided: for a call that asked for it, since
/// then; else for the time after which it sleeps.
ROUNDHOUSE_DECL bool command_runner::used_since(const command_request& request) const {
    const auto used = running_.last_used(*request.record);
    const auto defaults = services_.defaults.of(request.record->product_id);
    const auto after = core::sleeps_for_a_call(*request.record)
                           ? duration{0}
                           : core::sleep_after_of(*request.record, services_.settings,
                                                  defaults.get());
    return used && *used + after > request.submitted;
}

ROUNDHOUSE_DECL asio::awaitable<core::event_variant>
command_runner::wake(const command_request& request) {
    auto& backend = *services_.backend;
    const auto& settings = services_.settings;
    const auto ref = ref_of(*request.record);
    const auto resumed = co_await backend.resume(ref);
    if (!resumed) {
        // If only the reply was lost, the engine is awake. Else it is left paused as it was; if that
        // fails too, its row still says that it sleeps, which the next wake puts right.
        const auto answer = co_await backend.probe(ref, settings.boot_probe_max);
        if (answer) co_return outcome(core::event::awake{});
        (void)co_await backend.pause(ref);
        co_return outcome(core::event::wake_refused{resumed.error()});
    }
    const auto until = services_.steady_now() + settings.health_check_timeout;
    core::probe_pauses pauses(settings.boot_probe_min, settings.boot_probe_max);
    for (;;) {
        const auto left = until - services_.steady_now();
        if (left <= duration{0}) break;
        const auto answer = co_await backend.probe(ref, left);
        if (answer) co_return outcome(core::event::awake{});
        request.probes->set(answer.error().message);
        co_await services_.clock->wait_for(std::min(pauses.next(), left));
    }
    co_return outcome(core::event::wake_unhealthy{request.probes->last_failure()});
}

ROUNDHOUSE_DECL asio::awaitable<core::event_variant>
command_runner::swap_key(const engine_record& engine) {
    const auto ref = ref_of(engine);
    const auto key = services_.keys.unseal(engine.sealed_key);
    if (!key) co_return outcome(core::event::key_swap_refused{key.error()});
    const auto done = co_await services_.backend->swap_key(ref, *key, engine.next_key_hash);
    if (!done) co_return outcome(core::event::key_swap_refused{done.error()});
    switch (*done) {
    case key_swap::done: co_return outcome(core::event::key_swapped{});
    case key_swap::unsupported: co_return outcome(core::event::key_swap_unsupported{});
    case key_swap::unknown: break;
    }
    co_return outcome(core::event::key_swap_unknown{});
}

ROUNDHOUSE_DECL asio::awaitable<core::event_variant>
command_runner::destroy(const engine_record& engine) {
    const auto ref = ref_of(engine);
    // The data goes anyway: the short grace is enough for a clean end.
    const auto ended = co_await services_.backend->stop(ref, services_.settings.failed_grace);
    if (!ended) co_return outcome(core::event::destroy_failed{ended.error()});
    const auto done = co_await services_.backend->destroy(ref);
    if (!done) co_return outcome(core::event::destroy_failed{done.error()});
    co_return outcome(core::event::destroyed{});
}

ROUNDHOUSE_DECL asio::awaitable<core::event_variant>
command_runner::copy_data(const engine_record& engine, duration grace) {
    auto& backend = *services_.backend;
    const auto ref = ref_of(engine);
    const auto ended = co_await backend.stop(ref, grace);
    if (!ended) co_return outcome(core::event::stop_failed{ended.error()});
    const auto keeps = engine.upgrade->keep_copy;
    if (!keeps.value_or(true)) co_return outcome(core::event::copied{});
    std::optional<std::uint64_t> most;
    if (!keeps) most = services_.settings.copied_by_default;
    const auto made = co_await backend.copy_data(ref, most);
    if (!made) co_return outcome(core::event::copy_failed{made.error()});
    co_return outcome(core::event::copied{*made});
}

/// The prober watches meanwhile. What fails its probes at the end is given as many as any engine.
ROUNDHOUSE_DECL asio::awaitable<core::event_variant>
command_runner::watch(const engine_record& engine) {
    const auto& settings = services_.settings;
    const auto ref = ref_of(engine);
    co_await services_.clock->wait_for(engine.upgrade->healthy_for);
    for (std::uint32_t failures = 0;;) {
        const auto answer = co_await services_.backend->probe(ref, settings.health_check_timeout);
        if (answer) co_return outcome(core::event::watched{});
        if (++failures >= settings.health_max_failures)
            co_return outcome(core::event::watch_failed{answer.error().message});
        co_await services_.clock->wait_for(settings.boot_probe_max);
    }
}

ROUNDHOUSE_DECL asio::awaitable<core::event_variant>
command_runner::restore_data(const engine_record& engine, duration grace) {
    auto& backend = *services_.backend;
    const auto ref = ref_of(engine);
    const auto ended = co_await backend.stop(ref, grace);
    if (!ended) co_return outcome(core::event::restore_failed{ended.error()});
    // Only a copy that is whole and of this upgrade is put back.
    if (!engine.upgrade->has_copy) co_return outcome(core::event::restored{});
    const auto done = co_await backend.restore_data(ref);
    if (!done) co_return outcome(core::event::restore_failed{done.error()});
    co_return outcome(core::event::restored{});
}

ROUNDHOUSE_DECL asio::awaitable<core::event_variant>
command_runner::drop_copy(const engine_record& engine) {
    const auto ref = ref_of(engine);
    const auto done = co_await services_.backend->drop_copy(ref);
    if (!done) co_return outcome(core::event::drop_failed{done.error()});
    co_return outcome(core::event::copy_dropped{});
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
