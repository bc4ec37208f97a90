#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/changes.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/shell/denial_log.hpp>
#include <roundhouse/shell/metrics_book.hpp>
#include <roundhouse/shell/prober.hpp>
#include <roundhouse/shell/rate_gate.hpp>
#include <roundhouse/shell/reconciler.hpp>
#include <roundhouse/shell/running_engines.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// What one orchestrator holds: the shell that serialises the work, and what is known beside the
/// store. Shared by the orchestrator and the work that it has under way.
template <class Backend, class Store, class Clock>
class fleet : public std::enable_shared_from_this<fleet<Backend, Store, Clock>> {
public:
    using reconciler_type = reconciler<Backend, Store, Clock>;
    using prober_type = prober<Backend, Store, Clock>;

    explicit fleet(shell_parts<Backend, Store, Clock> parts)
        : running_(std::make_shared<running_engines>()),
          began_(parts.clock->steady_now()),
          reconciler_(std::make_shared<reconciler_type>(observed(std::move(parts)))),
          prober_(std::make_shared<prober_type>(reconciler_, running_)) {}

    void connect() {
        link_->store(this->weak_from_this());
        reconciler_->connect();
        prober_->connect();
    }

    [[nodiscard]] reconciler_type& engines() noexcept { return *reconciler_; }
    [[nodiscard]] prober_type& watch() noexcept { return *prober_; }
    [[nodiscard]] const auto& parts() const noexcept { return reconciler_->with(); }
    [[nodiscard]] running_engines& running() noexcept { return *running_; }
    [[nodiscard]] rate_gate& rates() noexcept { return rates_; }
    [[nodiscard]] metrics_book& metrics() noexcept { return metrics_; }
    [[nodiscard]] duration uptime() const noexcept { return parts().clock->steady_now() - began_; }

    std::atomic<bool> starting = true;
    std::atomic<bool> draining = false; ///< New calls are refused.

    /// An engine as its product sees it.
    [[nodiscard]] result<engine_view> view(engine_ptr engine, bool with_key) const {
        result<engine_view> out(view_without_key(std::move(engine)));
        const bool runs = running_->visit(*out->record, [&](const running_engine& one) {
            add_what_is_known(*out, one, with_key);
        });
        if (!runs) out->last_health_at = out->record->last_health_at;
        if (with_key && out->api_key.empty()) unseal_key(out, runs);
        return out;
    }

    /// Has the processor fetch what `use` will need of an engine that runs: in two steps, of which
    /// the second needs what the first has fetched.
    void expect_use(std::uint64_t hash) const noexcept { running_->prefetch_place(hash); }
    void expect_use_now(std::uint64_t hash) const { running_->prefetch_engine(hash); }

    /// Admits to an engine, and notes the use. Nothing where it is not known to run.
    [[nodiscard]] std::optional<result<engine_view>> use(engine_ptr engine, instant now) const {
        std::optional<result<engine_view>> out(view_without_key(std::move(engine)));
        auto& view = **out;
        const bool runs = running_->visit(*view.record, [&](running_engine& one) {
            one.use(now);
            add_what_is_known(view, one, true);
        });
        if (!runs) out.reset();
        else if (view.api_key.empty()) unseal_key(*out, true);
        return out;
    }

    /// Counts a denied admit; the row is written off the caller's path.
    void deny(const product& who, std::string_view reason) {
        if (!denials_.count(who, reason, parts().clock->now())) return;
        asio::post(parts().executor, [self = this->shared_from_this()] { self->write_denials(); });
    }

    void write_denials() {
        denials_.write(parts().clock->now(),
                       [this](const change_set& set) { return parts().store->commit(set); });
    }

    /// Writes down when engines were last used, so that a restart does not take them for idle.
    /// Blocks on the store; what cannot be written now is written the next time.
    void write_activity() {
        const auto seen = running_->unwritten();
        const auto most = parts().settings.activity_batch;
        std::vector<engine_activity> rows;
        for (auto rest = std::span(seen); !rest.empty();) {
            const auto batch = rest.first(std::min(rest.size(), most));
            rows.clear();
            for (const auto& use : batch) rows.push_back({use.engine.id, use.at});
            if (!parts().store->note_activity(rows)) return;
            running_->written(batch);
            rest = rest.subspan(batch.size());
        }
    }

    /// Appends rows that tell of no engine's transition.
    result<void> append_audit(audit_entry row) {
        change_set set;
        row.timestamp = parts().clock->now();
        set.audit.push_back(std::move(row));
        const auto done = parts().store->commit(set);
        if (!done) return unexpected(done.error());
        return {};
    }

    /// Writes down what was only noted, and removes old audit rows, once per interval; until
    /// closed.
    void keep_house() {
        auto self = this->shared_from_this();
        auto done = [](const std::exception_ptr&) {};
        reconciler_->tasks()->spawn(std::make_shared<task>(parts().executor), house(self),
                                    std::move(done));
    }

    void close() {
        draining.store(true);
        prober_->close();
        reconciler_->close();
    }

private:
    [[nodiscard]] engine_view view_without_key(engine_ptr engine) const {
        auto url = parts().backend->url(engine->id, engine->port);
        return {std::move(engine), std::move(url), {}, {}};
    }

    /// Of an engine that runs.
    static void add_what_is_known(engine_view& out, const running_engine& one, bool with_key) {
        out.last_health_at = running_engine::read(one.last_health_ms);
        if (with_key) one.key.append_to(out.api_key, out.record->key_hash);
    }

    /// Kept for the next time if the engine runs.
    void unseal_key(result<engine_view>& out, bool runs) const {
        const auto& engine = *out->record;
        auto key = parts().keys.unseal(engine.sealed_key);
        if (!key) {
            out = fail(errc::internal_error, "The key of engine " + to_string(engine.id) +
                                                 " cannot be read: none of the master keys fits.");
            return;
        }
        if (runs) running_->cache_key(engine, *key);
        out->api_key = std::move(*key);
    }

    /// Callbacks into a fleet that may be gone, or not quite there yet.
    class weak_link {
    public:
        void store(std::weak_ptr<fleet> to) {
            const std::lock_guard lock(mutex_);
            to_ = std::move(to);
        }
        [[nodiscard]] std::shared_ptr<fleet> lock() const {
            const std::lock_guard lock(mutex_);
            return to_.lock();
        }

    private:
        mutable std::mutex mutex_;
        std::weak_ptr<fleet> to_;
    };

    shell_parts<Backend, Store, Clock> observed(shell_parts<Backend, Store, Clock> parts) {
        link_ = std::make_shared<weak_link>();
        parts.audited = [link = link_](const audit_entry& row) {
            if (const auto self = link->lock()) self->metrics_.add(row);
        };
        parts.changed = [link = link_](const engine_record& before, const engine_record* after) {
            if (const auto self = link->lock()) self->prober_->changed(before, after);
        };
        parts.last_used = [running = running_](const engine_record& engine) {
            return running->last_used(engine);
        };
        parts.used = [running = running_, clock = parts.clock](const engine_record& engine) {
            running->touch(engine, clock->now());
        };
        return parts;
    }

    static asio::awaitable<void> house(std::shared_ptr<fleet> self) {
        const auto& parts = self->parts();
        for (;;) {
            const auto next = parts.clock->now() + parts.settings.write_behind_interval;
            co_await parts.clock->wait_until(next);
            self->write_denials();
            self->write_activity();
            const auto days = parts.settings.audit_retention_days;
            if (days == 0) continue;
            const auto before = parts.clock->now() - std::chrono::days{days};
            // A short batch means that there is no more; a failure is tried again next time.
            for (;;) {
                const auto removed = parts.store->prune_audit(before,
                                                              parts.settings.audit_prune_batch);
                if (!removed || *removed < parts.settings.audit_prune_batch) break;
            }
        }
    }

    std::shared_ptr<weak_link> link_;
    const std::shared_ptr<running_engines> running_;
    const duration began_;
    metrics_book metrics_;
    denial_log denials_;
    rate_gate rates_;
    const std::shared_ptr<reconciler_type> reconciler_;
    const std::shared_ptr<prober_type> prober_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
