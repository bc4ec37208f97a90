#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/idempotency.hpp>

#include <asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Types that have exactly the members that the concepts require, and no definitions. Code that
/// compiles with them requires nothing more of a backend, a store or a clock.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

struct archetype_clock {
    archetype_clock() = delete;
    archetype_clock(const archetype_clock&) = delete;
    archetype_clock& operator=(const archetype_clock&) = delete;

    instant now() const noexcept;
    duration steady_now() const noexcept;
    asio::awaitable<void> wait_for(duration span);
};

struct archetype_backend {
    archetype_backend() = delete;
    archetype_backend(const archetype_backend&) = delete;
    archetype_backend& operator=(const archetype_backend&) = delete;

    std::string_view name() const noexcept;
    std::optional<std::string> trouble() const;
    bool needs_port() const noexcept;
    bool port_usable(std::uint16_t port) const;
    std::string url(const uuid& engine, std::uint16_t port) const;
    asio::awaitable<result<void>> create(const workload& request);
    asio::awaitable<result<void>> stop(const workload_ref& ref, duration grace);
    asio::awaitable<result<void>> pause(const workload_ref& ref);
    asio::awaitable<result<void>> resume(const workload_ref& ref);
    asio::awaitable<result<void>> destroy(const workload_ref& ref);
    asio::awaitable<result<key_swap>> swap_key(const workload_ref& ref, const std::string& key,
                                               const sha256_digest& next);
    asio::awaitable<result<health>> probe(const workload_ref& ref, duration timeout);
    asio::awaitable<result<std::vector<found_workload>>> list();
    asio::awaitable<result<std::string>> logs(const workload_ref& ref, std::size_t tail);
    void on_exit(std::function<void(const workload_exit&)> handler);
};

struct archetype_store {
    archetype_store() = delete;
    archetype_store(const archetype_store&) = delete;
    archetype_store& operator=(const archetype_store&) = delete;

    std::string_view name() const noexcept;
    std::optional<std::string> trouble() const;
    result<product_ptr> find_product(const sha256_digest& key_hash) const;
    result<product_ptr> find_product_named(std::string_view id_or_slug) const;
    result<product_ptr> find_product_by_id(const uuid& id) const;
    result<product_page> list_products(const product_query& query) const;
    result<engine_ptr> find_engine(const uuid& product, std::string_view user) const;
    result<engine_ptr> find_engine_by_id(const uuid& engine) const;
    result<engine_page> list_engines(const engine_query& query) const;
    result<void> for_each_engine(const std::function<void(const result<engine_ptr>&)>& visit) const;
    result<fleet_counts> counts(const uuid& product) const;
    result<fleet_counts> counts_of_all() const;
    result<audit_page> audit(const audit_query& query) const;
    result<void> for_each_audit(instant since,
                                const std::function<void(const result<audit_entry>&)>& visit) const;
    result<committed> commit(const change_set& changes);
    result<void> note_activity(std::span<const engine_activity> activity);
    result<std::size_t> prune_audit(instant before, std::size_t most);
    result<idempotency_ptr> find_idempotency(const idempotency_id& id) const;
    result<void>
    for_each_idempotency(const std::function<void(const result<idempotency_ptr>&)>& visit) const;
    result<std::size_t> prune_idempotency(instant before, std::size_t most);
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
