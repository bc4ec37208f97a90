#pragma once

#include <roundhouse/core/events.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/shell/probe_schedule.hpp>
#include <roundhouse/shell/reconciler.hpp>
#include <roundhouse/shell/running_engines.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Looks after the running engines: probes each once per interval, spread evenly, a bounded number
/// at a time, and finds those that nobody uses (SPEC §5). It only tells what it sees; the state
/// machine decides. An engine is probed before it is found idle, so that one that does not answer
/// fails, however soon engines are put to sleep.
template <class Backend, class Store, class Clock>
class prober : public std::enable_shared_from_this<prober<Backend, Store, Clock>> {
public:
    using shell = reconciler<Backend, Store, Clock>;

    prober(std::shared_ptr<shell> with, std::shared_ptr<running_engines> running)
        : reconciler_(std::move(with)),
          running_(std::move(running)),
          looks_(std::make_shared<probe_schedule<Clock>>(parts().executor, parts().clock,
                                                         reconciler_->tasks())) {}

    void connect() {
        auto weak = this->weak_from_this();
        looks_->on_look([weak](std::uint64_t hash, duration due) {
            if (const auto self = weak.lock()) self->look(hash, due);
        });
    }

    /// An engine's record has changed; `after` is null if it is gone.
    void changed(const engine_record& before, const engine_record* after) {
        const bool was = before.status == engine_status::running;
        const bool is = after != nullptr && after->status == engine_status::running;
        if (is && !was) {
            watch(*after);
        } else if (was && !is) {
            running_->remove(before);
        }
    }

    /// Begins to look after an engine that runs.
    void watch(const engine_record& engine) {
        running_->add(engine);
        look_at(engine, first_look(engine));
    }

    void close() {
        looks_->close();
        const std::lock_guard lock(mutex_);
        queue_.clear();
        suspects_.clear();
    }

    /// When a running engine will be put to sleep if nothing happens; nothing if never.
    [[nodiscard]] std::optional<instant> sleeps_at(const engine_record& engine) const {
        const auto after = parts().settings.sleep_after;
        if (after <= duration{0}) return std::nullopt;
        const auto used = running_->last_used(engine).value_or(engine.last_activity_at);
        return std::max(used + after, engine.busy_until);
    }

private:
    [[nodiscard]] const auto& parts() const noexcept { return reconciler_->with(); }

    static engine_owner owner_of(const engine_record& engine) {
        return {engine.product_id, engine.user_id};
    }

    /// Each engine has its own place in the interval, by its random id, so that the probes are
    /// spread whatever started together.
    [[nodiscard]] instant next_probe(const engine_record& engine, instant now) const {
        const auto interval = std::max(parts().settings.health_check_interval, duration{1});
        const duration place{static_cast<duration::rep>(
            std::hash<uuid>{}(engine.id) % static_cast<std::uint64_t>(interval.count()))};
        const auto since = (now.time_since_epoch() - place) % interval;
        return now - since + interval;
    }

    [[nodiscard]] instant first_look(const engine_record& engine) const {
        return earlier(next_probe(engine, parts().clock->now()), sleeps_at(engine));
    }

    static instant earlier(instant at, std::optional<instant> maybe) {
        return maybe ? std::min(at, *maybe) : at;
    }

    // Looks

    /// When the engine is looked at next; an earlier time that was set for it does not count then.
    /// It counts on a steady clock: a wall clock that is set back delays nothing.
    void look_at(const engine_record& engine, instant at) {
        set_look(running_engine_ref::of(engine), at);
    }
    void set_look(const running_engine_ref& engine, instant at) {
        const auto due = parts().clock->steady_now() + (at - parts().clock->now());
        if (running_->visit(engine, [&](running_engine& one) { one.next_look_ms = due.count(); }))
            looks_->add(engine.hash, due);
    }

    /// What a look at a running engine goes by, as it began.
    struct glance {
        uuid engine;
        std::uint32_t life = 0;
        std::uint32_t failures = 0;
        std::optional<instant> probed;
    };

    /// Nothing if no engine is to be looked at now: it does not run any more, or another time was
    /// set.
    [[nodiscard]] std::optional<glance> begin_look(std::uint64_t hash, duration due) const {
        std::optional<glance> out;
        const auto is_due = [&](running_engine& one) {
            auto expected = due.count();
            return one.next_look_ms.compare_exchange_strong(expected, running_engine::never);
        };
        running_->visit_first(hash, is_due, [&](const running_engine& one) {
            out = {one.id, one.life, one.failures_in_a_row,
                   running_engine::read(one.last_probe_ms)};
        });
        return out;
    }

    void look(std::uint64_t hash, duration due) {
        const auto one = begin_look(hash, due);
        if (!one) return;
        const auto found = parts().store->find_engine_by_id(one->engine);
        const auto now = parts().clock->now();
        if (!found)
            return set_look({hash, one->engine}, now + parts().settings.health_check_interval);
        const auto& engine = *found;
        if (!engine || engine->status != engine_status::running) return;
        const auto next = next_probe(*engine, now);
        const auto last_place = next - parts().settings.health_check_interval;
        if (!one->probed || *one->probed <= last_place || *one->probed > now) {
            const bool lives = running_->visit(*engine, one->life, [&](running_engine& life) {
                running_engine::write(life.last_probe_ms, now);
            });
            if (lives) probe({owner_of(*engine), engine, one->life, one->failures > 0});
            return;
        }
        const auto idle_at = sleeps_at(*engine);
        const bool idle = idle_at && *idle_at <= now;
        // One that does not answer is not put to sleep: its next probes tell what it is.
        if (idle && engine->intent == intent::none && one->failures == 0) put_to_sleep(engine);
        // If it stays awake it is looked at again with its next probe.
        look_at(*engine, idle || !idle_at ? next : std::min(next, *idle_at));
    }

    void put_to_sleep(const engine_ptr& engine) {
        waiting_call call;
        call.call = core::call::sleep{"idle"};
        auto self = this->shared_from_this();
        call.done = [self, engine](const result<engine_ptr>& after) {
            // A sleep that was called off counts as use: it is not tried again at once.
            if (after && *after && (*after)->status == engine_status::running)
                self->running_->touch(*engine, self->parts().clock->now());
        };
        reconciler_->call(owner_of(*engine), std::move(call));
    }

    // Probes

    struct turn {
        engine_owner key;
        engine_ptr engine;
        std::uint32_t life = 0; ///< The one in which it is due.
        bool suspect = false;   ///< Its last probe failed.
    };

    void probe(turn one) {
        {
            const std::lock_guard lock(mutex_);
            if (!has_place_for(one.suspect)) {
                (one.suspect ? suspects_ : queue_).push_back(std::move(one));
                return;
            }
            take_place(one.suspect);
        }
        launch(std::move(one));
    }

    /// Engines that hang keep a place for the whole timeout. Once that is known of them they have
    /// half of the places, so that however many they are the others get theirs.
    [[nodiscard]] bool has_place_for(bool suspect) const noexcept {
        const auto places = parts().settings.health_concurrency;
        return probing_ < places &&
               (!suspect || probing_suspects_ < std::max<std::size_t>(places / 2, 1));
    }
    void take_place(bool suspect) noexcept {
        ++probing_;
        probing_suspects_ += suspect ? 1 : 0;
    }

    void launch(turn one) {
        auto self = this->shared_from_this();
        auto done = [self, one](const std::exception_ptr& failure, const result<health>& answer) {
            self->seen(one,
                       failure ? fail(errc::backend_error, "it could not be probed.") : answer);
            self->leave_place(one.suspect);
        };
        auto body = ask(self, one.engine);
        reconciler_->tasks()->spawn(std::make_shared<task>(parts().executor), std::move(body),
                                    std::move(done));
    }

    static asio::awaitable<result<health>> ask(std::shared_ptr<prober> self, engine_ptr engine) {
        const workload_ref ref{engine->id, engine->generation, engine->port};
        auto answer = co_await self->parts().backend->probe(
            ref, self->parts().settings.health_check_timeout);
        co_return answer;
    }

    /// The next in line has it.
    void leave_place(bool suspect) {
        std::optional<turn> one;
        {
            const std::lock_guard lock(mutex_);
            --probing_;
            probing_suspects_ -= suspect ? 1 : 0;
            one = next();
            if (!one) return;
            take_place(one->suspect);
        }
        launch(std::move(*one));
    }

    std::optional<turn> next() {
        for (;;) {
            // One suspect at least is always looked at.
            const bool suspect = !suspects_.empty() && (queue_.empty() || probing_suspects_ == 0);
            auto& from = suspect ? suspects_ : queue_;
            if (from.empty() || !has_place_for(suspect)) return std::nullopt;
            auto one = std::move(from.front());
            from.pop_front();
            if (lives(one)) return one; // else it ended meanwhile
        }
    }

    [[nodiscard]] bool lives(const turn& one) const {
        return running_->visit(*one.engine, one.life, [](const running_engine&) {});
    }

    void seen(const turn& one, const result<health>& answer) {
        if (!lives(one)) return; // it does not run any more, or anew
        const auto now = parts().clock->now();
        if (answer) seen_healthy(one, *answer, now);
        // With the backend away it is not known whether it is the engine that fails.
        else if (!parts().backend->trouble()) seen_unhealthy(one, answer.error());
        look_at(*one.engine, earlier(next_probe(*one.engine, now), sleeps_at(*one.engine)));
    }

    void seen_healthy(const turn& one, const health& answer, instant now) {
        running_->visit(*one.engine, one.life, [&](running_engine& life) {
            life.failures_in_a_row.store(0, std::memory_order_relaxed);
            running_engine::write(life.last_health_ms, now);
            if (answer.busy) running_engine::write(life.last_used_ms, now);
        });
        const bool hourly = !one.engine->last_health_at ||
                            now - *one.engine->last_health_at >= std::chrono::hours{1};
        if (hourly || one.engine->restart_attempts > 0)
            reconciler_->enqueue(one.key, core::event::probed_healthy{});
    }

    void seen_unhealthy(const turn& one, const error& why) {
        std::uint32_t failures = 0;
        running_->visit(*one.engine, one.life, [&](running_engine& life) {
            failures = life.failures_in_a_row.fetch_add(1, std::memory_order_relaxed) + 1;
        });
        if (failures > 0)
            reconciler_->enqueue(one.key, core::event::probed_unhealthy{failures, why.message});
    }

    const std::shared_ptr<shell> reconciler_;
    const std::shared_ptr<running_engines> running_;
    const std::shared_ptr<probe_schedule<Clock>> looks_;
    std::mutex mutex_;
    std::size_t probing_ = 0;
    std::size_t probing_suspects_ = 0;
    // One turn for each time that an engine began to run, at most: it has one time to be looked at.
    std::deque<turn> queue_;
    std::deque<turn> suspects_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
