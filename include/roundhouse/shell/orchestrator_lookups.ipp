#pragma once

#include <roundhouse/core/explanation.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/core/rolling_metrics.hpp>
#include <roundhouse/core/settings_sources.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// The calls that only read: engines by user, by id and several at once, listings, and figures.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

// Engines

ROUNDHOUSE_DECL void orchestrator_state::find_record(const product_ptr& product,
                                                     const std::string& user_id,
                                                     completion<engine_ptr> done) const {
    const engine_owner owner{product->id, user_id};
    services.store->read_engine(owner, [self = shared_from_this(), owner,
                                        done = std::move(done)](const result<engine_ptr>& found) {
        if (found && !*found) done(unexpected(self->no_engine(owner)));
        else done(found);
    });
}

ROUNDHOUSE_DECL void orchestrator_state::find(product_ptr product, std::string user_id,
                                              completion<engine_view> done) {
    find_record(product, user_id,
                [self = shared_from_this(), product,
                 done = std::move(done)](const result<engine_ptr>& found) {
                    if (found) done(self->view(*found, true, *product));
                    else done(unexpected(found.error()));
                });
}

ROUNDHOUSE_DECL void orchestrator_state::explain(product_ptr product, std::string user_id,
                                                 completion<engine_explanation> done) {
    find_record(product, user_id,
                [self = shared_from_this(), product,
                 done = std::move(done)](const result<engine_ptr>& found) {
                    if (found) done(self->explained(*found, *product));
                    else done(unexpected(found.error()));
                });
}

ROUNDHOUSE_DECL engine_explanation orchestrator_state::explained(engine_ptr engine,
                                                                 const product& of) const {
    auto context = context_of(*engine);
    context.backend_away = services.backend->trouble().has_value();
    context.brake = brakes.state_of(*engine);
    engine_explanation out;
    out.why = core::why_it_is(*engine, context);
    out.next = core::next_of(*engine, context, sleeps_at(*engine));
    out.settings = core::sources_of(*engine, context.defaults.get(),
                                    core::policy_of(of, services.settings),
                                    services.backend->limits());
    out.last_used_at = engine->last_activity_at;
    running.visit(*engine, [&](const running_engine& seen) {
        const auto used = running_engine::read(seen.last_used_ms);
        if (used) out.last_used_at = context.now - (services.steady_now() - *used);
        out.last_used_by = seen.last_used_by.load(std::memory_order_relaxed);
    });
    out.record = std::move(engine);
    return out;
}

ROUNDHOUSE_DECL void orchestrator_state::find_by_id(product_ptr product, uuid engine_id,
                                                    completion<engine_view> done) {
    services.store->read_engine(
        engine_id, [self = shared_from_this(), product = std::move(product), engine_id,
                    done = std::move(done)](const result<engine_ptr>& found) {
            if (!found) return done(unexpected(found.error()));
            if (*found && (*found)->product_id == product->id)
                return done(self->view(*found, true, *product));
            done(fail(errc::engine_not_found, "There is no engine " + to_string(engine_id) + '.'));
        });
}

/// The answers of a store to several questions, which may come in any order and from any thread.
struct gathered_engines {
    explicit gathered_engines(std::size_t count) : engines(count), missing(count) {}

    std::mutex mutex;
    std::vector<engine_ptr> engines;
    std::optional<error> failure;
    std::size_t missing;
};

ROUNDHOUSE_DECL void orchestrator_state::look_up(product_ptr product,
                                                 std::vector<std::string> user_ids,
                                                 completion<std::vector<engine_view>> done) {
    const auto tell = [self = shared_from_this(), product,
                       done = std::move(done)](const gathered_engines& all) {
        if (all.failure) return done(unexpected(*all.failure));
        std::vector<engine_view> found;
        for (const auto& engine : all.engines)
            if (engine) found.push_back(*self->view(engine, false, *product));
        done(std::move(found));
    };
    const auto all = std::make_shared<gathered_engines>(user_ids.size());
    if (user_ids.empty()) return tell(*all);
    for (std::size_t i = 0; i < user_ids.size(); ++i)
        services.store->read_engine(engine_owner{product->id, user_ids[i]},
                                    [tell, all, i](const result<engine_ptr>& found) {
                                        std::unique_lock lock(all->mutex);
                                        if (found) all->engines[i] = *found;
                                        else all->failure = found.error();
                                        if (--all->missing > 0) return;
                                        lock.unlock();
                                        tell(*all);
                                    });
}

// The fleet

/// Looks up the products of engines or audit rows, each once.
class orchestrator_state::met_products {
public:
    explicit met_products(const store_port& store) : store_(store) {}

    /// The product; one that has nothing if it is gone.
    [[nodiscard]] result<product_ptr> find(const uuid& id) {
        auto& known = known_[id];
        if (known) return known;
        auto found = store_.find_product_by_id(id);
        if (!found) return found;
        known = *found ? *found : std::make_shared<const product>();
        return known;
    }

private:
    const store_port& store_;
    std::map<uuid, product_ptr> known_;
};

ROUNDHOUSE_DECL void orchestrator_state::list(engine_query query,
                                              completion<engine_view_page> done) {
    services.store->list_engines(query, [self = shared_from_this(),
                                         done = std::move(done)](const result<engine_page>& page) {
        if (page) done(self->view(*page));
        else done(unexpected(page.error()));
    });
}

/// The bytes of what an engine has that may be long in a listing: its metadata, and the names of its
/// variables.
[[nodiscard]] inline std::size_t listed_bytes(const engine_view& engine) {
    std::size_t out = 0;
    for (const auto& [name, value] : settings_of(*engine.record).metadata)
        out += name.size() + value.size();
    for (const auto& name : engine.env_names) out += name.size();
    return out;
}

ROUNDHOUSE_DECL result<engine_view_page> orchestrator_state::view(const engine_page& page) const {
    met_products products(*services.store);
    engine_view_page out;
    out.total = page.total;
    out.next = page.next;
    std::size_t bytes = 0;
    for (const auto& engine : page.engines) {
        const auto of = products.find(engine->product_id);
        if (!of) return unexpected(of.error());
        auto seen = view(engine, false, **of);
        if (!seen) return unexpected(std::move(seen.error()));
        bytes += listed_bytes(*seen);
        if (bytes > max_listed_bytes && !out.engines.empty()) {
            out.next = out.engines.back().record->sequence;
            break;
        }
        out.engines.push_back(std::move(*seen));
    }
    return out;
}

ROUNDHOUSE_DECL fleet_status orchestrator_state::status_of(const fleet_counts& counts) const {
    const auto failed = counts.of(engine_status::failed);
    const bool critical = failed * 100 >= counts.total() * services.settings.critical_percent;
    return {counts, failed == 0 ? fleet_health::ok
                    : critical  ? fleet_health::critical
                                : fleet_health::degraded};
}

ROUNDHOUSE_DECL void orchestrator_state::status(product_ptr product,
                                                completion<fleet_status> done) {
    services.store->counts(product->id,
                           [self = shared_from_this(), product,
                            done = std::move(done)](const result<fleet_counts>& counts) {
                               if (!counts) return done(unexpected(counts.error()));
                               auto out = self->status_of(*counts);
                               out.brake = self->brakes.status(product->id);
                               done(std::move(out));
                           });
}

ROUNDHOUSE_DECL void orchestrator_state::status_of_all(completion<fleet_status> done) {
    services.store->counts_of_all(
        [self = shared_from_this(), done = std::move(done)](const result<fleet_counts>& counts) {
            if (!counts) return done(unexpected(counts.error()));
            auto out = self->status_of(*counts);
            out.brakes = self->brakes.status_of_all();
            met_products products(*self->services.store);
            for (auto& braked : out.brakes) {
                const auto of = products.find(braked.id);
                if (!of) return done(unexpected(of.error()));
                braked.slug = (*of)->slug;
            }
            done(std::move(out));
        });
}

/// The figures of these counters and of the last hour.
[[nodiscard]] inline fleet_metrics metrics_of(const fleet_counts& counts,
                                              const core::rolling_metrics::totals& hour) {
    return {hour.provisions,         hour.crashes,         hour.restarts, hour.avg_boot_ms(),
            counts.total_provisions, counts.total_destroys};
}

ROUNDHOUSE_DECL void orchestrator_state::metrics(product_ptr product,
                                                 completion<fleet_metrics> done) {
    services.store->counts(product->id, [self = shared_from_this(), product,
                                         done = std::move(done)](
                                            const result<fleet_counts>& counts) {
        if (!counts) return done(unexpected(counts.error()));
        done(metrics_of(*counts, self->rolling_metrics.read(product->id, self->services.now())));
    });
}

ROUNDHOUSE_DECL void orchestrator_state::metrics_of_all(completion<fleet_metrics> done) {
    services.store->counts_of_all(
        [self = shared_from_this(), done = std::move(done)](const result<fleet_counts>& counts) {
            if (!counts) return done(unexpected(counts.error()));
            done(metrics_of(*counts, self->rolling_metrics.read_all(self->services.now())));
        });
}

// Audit

ROUNDHOUSE_DECL void orchestrator_state::audit(audit_query query, completion<audit_page> done) {
    if (closed.load()) return done(unexpected(going_away()));
    auto tell = [self = shared_from_this(), done = std::move(done)](result<audit_page> page) {
        if (page)
            if (auto named = self->name_products(*page); !named)
                return done(unexpected(std::move(named.error())));
        done(std::move(page));
    };
    denials.store([self = shared_from_this(), query = std::move(query), tell = std::move(tell)] {
        self->services.store->audit(query, tell);
    });
}

ROUNDHOUSE_DECL result<void> orchestrator_state::name_products(audit_page& page) const {
    met_products products(*services.store);
    for (const auto& row : page.entries) {
        if (!row.product_id) continue;
        const auto of = products.find(*row.product_id);
        if (!of) return unexpected(of.error());
        if (!(*of)->slug.empty()) page.slugs.try_emplace(*row.product_id, (*of)->slug);
    }
    return {};
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
