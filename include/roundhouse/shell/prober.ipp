#pragma once

#include <roundhouse/core/lifecycle.hpp>
#include <roundhouse/shell/prober.hpp>

#include <algorithm>
#include <exception>
#include <functional>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL void prober::follow(const engine_record& before, const engine_record* after,
                                    const core::moment& then) {
    const bool was = before.status == engine_status::running;
    const bool is = after != nullptr && after->status == engine_status::running;
    if (is && !was) watch(*after, then);
    else if (is) running_.follow(before, *after, then);
    if (is && was && settings_of(before).sleep != settings_of(*after).sleep)
        check_next(*after, services_.steady_now());
    const bool ends = after == nullptr ? running_.remove(before)
                                       : was && !is && running_.suspend(before);
    if (ends) brakes_.ended(before);
    if (after == nullptr || !core::comes_back(*after)) brakes_.left(before);
}

ROUNDHOUSE_DECL void prober::watch(const engine_record& engine, const core::moment& then) {
    if (running_.add(engine, then)) brakes_.began(engine);
    check_next(engine, services_.steady_now());
}

ROUNDHOUSE_DECL void prober::close() {
    schedule_.close();
    const std::lock_guard lock(mutex_);
    queue_.clear();
    suspects_.clear();
}

ROUNDHOUSE_DECL std::optional<duration> prober::sleeps_at(const engine_record& engine,
                                                          duration now) const {
    const auto defaults = services_.defaults.of(engine.product_id);
    const auto after = core::sleep_after_of(engine, services_.settings, defaults.get());
    if (after <= duration{0}) return std::nullopt;
    const auto used = running_.last_used(engine).value_or(now);
    return std::max(used + after, running_.leased_until(engine).value_or(used));
}

// Checks

/// Each engine has a place of its own in the interval, by its random id, so that the probes are
/// spread whatever started together.
ROUNDHOUSE_DECL duration prober::next_probe(const engine_record& engine, duration now) const {
    const auto interval = std::max(services_.settings.health_check_interval, duration{1});
    const duration place{static_cast<duration::rep>(std::hash<uuid>{}(engine.id) %
                                                    static_cast<std::uint64_t>(interval.count()))};
    // The steady clock may count from so short ago that the place has not come yet.
    const auto since = ((now - place) % interval + interval) % interval;
    return now - since + interval;
}

/// Sets the time of the engine's next check; an earlier one that was set does not count then.
ROUNDHOUSE_DECL void prober::check_at(const running_engine_ref& engine, duration due) {
    const auto set = [&](running_engine& running) {
        running_engine::write(running.next_check_ms, due);
    };
    if (running_.visit(engine, set)) schedule_.add(engine.hash, due);
}

ROUNDHOUSE_DECL void prober::check_next(const engine_record& engine, duration now) {
    const auto next = next_probe(engine, now);
    const auto sleeps = sleeps_at(engine, now);
    check_at(running_engine_ref::of(engine), sleeps ? std::min(next, *sleeps) : next);
}

/// Nothing if no engine is to be checked now: it does not run any more, or another time was set.
ROUNDHOUSE_DECL std::optional<prober::observation> prober::begin_check(std::uint64_t hash,
                                                                       duration due) const {
    std::optional<observation> out;
    const auto is_due = [&](running_engine& running) {
        auto expected = due.count();
        return running.next_check_ms.compare_exchange_strong(expected, running_engine::never);
    };
    running_.visit_first(hash, is_due, [&](const running_engine& running) {
        out = {running.id, running.life, running.last_probe_failed.load(),
               running_engine::read(running.last_probe_ms)};
    });
    return out;
}

ROUNDHOUSE_DECL void prober::check(std::uint64_t hash, duration due) {
    const auto seen = begin_check(hash, due);
    if (!seen) return;
    services_.store->read_engine(
        seen->engine, [this, seen = *seen, hash, owner = services_.tasks.owner()](
                          const result<engine_ptr>& row) { check_row(seen, hash, row); });
}

ROUNDHOUSE_DECL void prober::check_row(const observation& seen, std::uint64_t hash,
                                       const result<engine_ptr>& row) {
    const auto now = services_.steady_now();
    if (!row) return check_at({hash, seen.engine}, now + services_.settings.health_check_interval);
    const auto& engine = *row;
    if (!engine || engine->status != engine_status::running) return;
    const auto next = next_probe(*engine, now);
    const auto last_place = next - services_.settings.health_check_interval;
    if (!seen.probed || *seen.probed <= last_place) {
        const auto begin = [&](running_engine& running) {
            running_engine::write(running.last_probe_ms, now);
        };
        if (running_.visit(*engine, seen.life, begin)) probe({engine, seen.life, seen.suspect});
        return;
    }
    const auto sleeps = sleeps_at(*engine, now);
    const bool idle = sleeps && *sleeps <= now;
    // One that does not answer is not put to sleep: its next probes tell what it is.
    if (idle && engine->intent == intent::none && !seen.suspect) put_to_sleep(engine);
    // If it stays awake it is checked again with its next probe.
    check_at(running_engine_ref::of(*engine), idle || !sleeps ? next : std::min(next, *sleeps));
}

ROUNDHOUSE_DECL void prober::put_to_sleep(const engine_ptr& engine) {
    waiting_call call;
    call.call = core::call::sleep{};
    call.done = [this, engine](const result<engine_ptr>& after) {
        // A sleep that was called off counts as use: it is not tried again at once.
        if (after && *after && (*after)->status == engine_status::running)
            running_.use(*engine, services_.steady_now());
    };
    inbox_.enqueue({engine->product_id, engine->user_id}, std::move(call));
}

// Probes

/// Engines that hang keep a place for the whole timeout. Once that is known of them they have half
/// of the places, so that however many they are the others get theirs. Products take turns in both
/// halves: while a brake is on, thousands of engines of one product may hang for long.
ROUNDHOUSE_DECL bool prober::has_place_for(bool suspect) const noexcept {
    const auto places = services_.settings.health_concurrency;
    return probing_ < places &&
           (!suspect || probing_suspects_ < std::max<std::size_t>(places / 2, 1));
}

ROUNDHOUSE_DECL void prober::take_place(bool suspect) noexcept {
    ++probing_;
    probing_suspects_ += suspect ? 1 : 0;
}

ROUNDHOUSE_DECL void prober::leave_place(bool suspect) {
    std::optional<request> following;
    {
        const std::lock_guard lock(mutex_);
        --probing_;
        probing_suspects_ -= suspect ? 1 : 0;
        following = next();
        if (!following) return;
        take_place(following->suspect);
    }
    launch(std::move(*following));
}

ROUNDHOUSE_DECL void prober::probe(request wanted) {
    {
        const std::lock_guard lock(mutex_);
        if (!has_place_for(wanted.suspect)) {
            auto& to = wanted.suspect ? suspects_ : queue_;
            const auto product = wanted.engine->product_id;
            return to.push(product, std::move(wanted));
        }
        take_place(wanted.suspect);
    }
    launch(std::move(wanted));
}

ROUNDHOUSE_DECL void prober::launch(request wanted) {
    auto body = ask(wanted.engine);
    auto done = [this, wanted = std::move(wanted)](const std::exception_ptr& failure,
                                                   const result<health>& answer) {
        probed(wanted, failure ? fail(errc::backend_error, "it could not be probed.") : answer);
        leave_place(wanted.suspect);
    };
    services_.tasks.spawn(std::move(body), std::move(done));
}

ROUNDHOUSE_DECL asio::awaitable<result<health>> prober::ask(engine_ptr engine) {
    const auto ref = ref_of(*engine);
    auto answer = co_await services_.backend->probe(ref, services_.settings.health_check_timeout);
    co_return answer;
}

ROUNDHOUSE_DECL std::optional<prober::request> prober::next() {
    for (;;) {
        // At least one suspect is always probed.
        const bool suspect = !suspects_.empty() && (queue_.empty() || probing_suspects_ == 0);
        auto& from = suspect ? suspects_ : queue_;
        if (from.empty() || !has_place_for(suspect)) return std::nullopt;
        auto first = from.pop();
        if (lives(*first)) return first; // else it ended meanwhile
    }
}

ROUNDHOUSE_DECL bool prober::lives(const request& wanted) const {
    return running_.visit(*wanted.engine, wanted.life, [](const running_engine&) {});
}

ROUNDHOUSE_DECL void prober::probed(const request& wanted, const result<health>& answer) {
    if (!lives(wanted)) return; // it does not run any more, or anew
    if (answer) probed_healthy(wanted, *answer);
    // With the backend away it is not known whether it is the engine that fails.
    else if (!services_.backend->trouble()) probed_unhealthy(wanted, answer.error());
    check_next(*wanted.engine, services_.steady_now());
}

ROUNDHOUSE_DECL void prober::probed_healthy(const request& wanted, const health& answer) {
    const auto now = services_.moment();
    running_.visit(*wanted.engine, wanted.life, [&](running_engine& running) {
        running.last_probe_failed.store(false, std::memory_order_relaxed);
        brakes_.passed(*wanted.engine);
        running_engine::write(running.last_health_ms, now.wall.time_since_epoch());
        if (answer.busy) running.use(now.steady, engine_use::busy);
    });
    if (wanted.engine->restart_attempts > 0 ||
        core::health_row_due(running_.since_health_row(*wanted.engine, now.steady),
                             services_.settings))
        inbox_.enqueue({wanted.engine->product_id, wanted.engine->user_id},
                       engine_event{core::event::probed_healthy{}});
}

ROUNDHOUSE_DECL void prober::probed_unhealthy(const request& wanted, const error& why) {
    core::failed_probe failed;
    running_.visit(*wanted.engine, wanted.life, [&](running_engine& running) {
        running.last_probe_failed.store(true, std::memory_order_relaxed);
        failed = brakes_.failed(*wanted.engine);
    });
    if (failed.matters())
        inbox_.enqueue(
            {wanted.engine->product_id, wanted.engine->user_id},
            engine_event{core::event::probed_unhealthy{failed.failures_in_a_row, why.message}});
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
