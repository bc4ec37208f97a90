#pragma once

#include <roundhouse/roundhouse.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// Fleets of up to a million engines, without booting each: rows and workloads are created as an
/// earlier orchestrator would have left them, and a new orchestrator finds them.
namespace roundhouse_bench {

using namespace roundhouse;

struct fleet_plan {
    std::size_t engines = 1000;
    engine_status status = engine_status::running;
    /// Rows per commit. For each row the memory store searches the rows staged before it, so its
    /// batches should be small.
    std::size_t batch = 100;
    policy limits = {};
    roundhouse::settings settings = {};
};

/// The user of the n-th engine.
inline std::string user_of(std::size_t n) { return "user-" + std::to_string(n); }

inline crypto::key_ring make_keys() {
    return or_throw(crypto::key_ring::parse(crypto::key_ring::make_key(crypto::system_entropy)));
}

/// The record of a provisioned engine with a new key.
inline engine_record engine_of(const uuid& product, std::size_t n, engine_status status,
                               const crypto::key_ring& keys, instant now) {
    const auto key = crypto::make_engine_key(crypto::system_entropy);
    engine_record out;
    out.id = crypto::make_uuid(crypto::system_entropy);
    out.product_id = product;
    out.user_id = user_of(n);
    out.version = "september-engine:latest";
    out.status = out.origin = status;
    out.generation = 1;
    out.key_hash = crypto::sha256(key);
    out.sealed_key = keys.seal(key, now, crypto::system_entropy);
    out.created_at = out.operation_started_at = out.last_activity_at = now;
    out.last_health_at = out.healthy_since = now;
    return out;
}

/// Registers a product and fills its fleet; returns its platform key.
template <class Store>
std::string fill(Store& store, memory_backend& backend, const crypto::key_ring& keys,
                 const fleet_plan& plan) {
    const auto now = std::chrono::time_point_cast<duration>(std::chrono::system_clock::now());
    auto platform_key = crypto::make_platform_key(crypto::system_entropy);
    product owner;
    owner.id = crypto::make_uuid(crypto::system_entropy);
    owner.slug = owner.display_name = "bench";
    owner.keys = {{1, crypto::sha256(platform_key), now}};
    owner.policy = plan.limits;
    owner.created_at = now;
    change_set first;
    first.changes.emplace_back(put_product{owner});
    or_throw(store.commit(first));

    asio::thread_pool thread(1);
    for (std::size_t made = 0; made < plan.engines;) {
        change_set set;
        for (; made < plan.engines && set.changes.size() < plan.batch; ++made)
            set.changes.emplace_back(
                insert_engine{engine_of(owner.id, made, plan.status, keys, now), {}, {}});
        const auto done = or_throw(store.commit(set));
        if (plan.status != engine_status::running) continue;
        asio::co_spawn(
            thread,
            [](memory_backend& target,
               const std::vector<engine_ptr>& rows) -> asio::awaitable<void> {
                for (const auto& row : rows) {
                    const workload running{{row->id, row->generation, row->port},
                                           row->product_id,
                                           row->user_id,
                                           row->version,
                                           row->key_hash};
                    or_throw(co_await target.create(running));
                }
            }(backend, done.engines),
            asio::use_future)
            .get();
    }
    thread.join();
    return platform_key;
}

/// An orchestrator that has recovered such a fleet.
template <class Store> class full_fleet {
public:
    using orchestrator_type =
        roundhouse::orchestrator<memory_backend, Store, roundhouse::system_clock>;

    full_fleet(std::shared_ptr<Store> store, const fleet_plan& plan)
        : store_(std::move(store)), backend_(std::make_shared<memory_backend>()) {
        orchestrator_options options(make_keys());
        options.settings = plan.settings;
        // recover() returns once every engine is found.
        options.settings.recovery_wait = std::chrono::hours{1};
        platform_key_ = fill(*store_, *backend_, options.master_keys, plan);
        orchestrator_ = std::make_shared<orchestrator_type>(
            threads_.get_executor(), backend_, store_, std::make_shared<roundhouse::system_clock>(),
            std::move(options));
        or_throw(orchestrator_->async_recover(wait));
    }
    ~full_fleet() {
        orchestrator_.reset();
        threads_.join();
    }
    full_fleet(const full_fleet&) = delete;
    full_fleet& operator=(const full_fleet&) = delete;

    [[nodiscard]] const std::shared_ptr<orchestrator_type>& orchestrator() const noexcept {
        return orchestrator_;
    }
    [[nodiscard]] const std::string& platform_key() const noexcept { return platform_key_; }
    [[nodiscard]] const std::shared_ptr<memory_backend>& backend() const noexcept {
        return backend_;
    }
    [[nodiscard]] const std::shared_ptr<Store>& store() const noexcept { return store_; }

private:
    asio::thread_pool threads_{2};
    std::shared_ptr<Store> store_;
    std::shared_ptr<memory_backend> backend_;
    std::string platform_key_;
    std::shared_ptr<orchestrator_type> orchestrator_;
};

} // namespace roundhouse_bench
