#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/core/store_plan.hpp>
#include <roundhouse/detail/recent_products.hpp>
#include <roundhouse/detail/store_rules.hpp>
#include <roundhouse/detail/striped_mutex.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/store/memory/audit_rows.hpp>
#include <roundhouse/store/memory/fleet_rows.hpp>
#include <roundhouse/store/memory/idempotency_rows.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Keeps the fleet in memory, by the same transactional rules as a store on disk. Its contents are
/// lost when it is destroyed.
///
/// Thread-safe. Reads share a lock, which a commit takes only while it exchanges pointers. A visitor
/// of `for_each_engine`, `for_each_audit` or `for_each_idempotency` is called with it held, and must not call the store: if a
/// commit waits for the visit, both would wait for ever.
class memory_store {
public:
    /// Keeps at most `max_audit_rows`; the oldest go first.
    explicit memory_store(std::size_t max_audit_rows = default_audit_rows);
    ~memory_store();
    memory_store(const memory_store&) = delete;
    memory_store& operator=(const memory_store&) = delete;

    [[nodiscard]] std::string_view name() const noexcept { return "memory"; }
    [[nodiscard]] std::optional<std::string> trouble() const { return std::nullopt; }

    [[nodiscard]] result<product_ptr> find_product(const sha256_digest& key_hash) const {
        return recent_products_.find(key_hash, [&]() -> result<product_ptr> {
            const detail::striped_mutex::reading lock(mutex_);
            return rows_.find_product_by_key(key_hash);
        });
    }

    [[nodiscard]] result<product_ptr> find_product_named(std::string_view id_or_slug) const;

    [[nodiscard]] result<product_ptr> find_product_by_id(const uuid& id) const;

    [[nodiscard]] result<product_page> list_products(const product_query& query) const;

    [[nodiscard]] result<engine_ptr> find_engine(const uuid& product, std::string_view user) const {
        const detail::striped_mutex::reading lock(mutex_);
        return rows_.find_engine(product, user);
    }

    [[nodiscard]] result<engine_ptr> find_engine_by_id(const uuid& id) const;

    [[nodiscard]] result<engine_page> list_engines(const engine_query& query) const;

    [[nodiscard]] result<void>
    for_each_engine(const std::function<void(const result<engine_ptr>&)>& visit) const;

    [[nodiscard]] result<fleet_counts> counts(const uuid& product) const;

    [[nodiscard]] result<fleet_counts> counts_of_all() const;

    [[nodiscard]] result<audit_page> audit(const audit_query& query) const;

    [[nodiscard]] result<void>
    for_each_audit(instant since,
                   const std::function<void(const result<audit_entry>&)>& visit) const;

    [[nodiscard]] result<idempotency_ptr> find_idempotency(const idempotency_id& id) const;

    [[nodiscard]] result<void>
    for_each_idempotency(const std::function<void(const result<idempotency_ptr>&)>& visit) const;

    /// Applies the batch whole or not at all. Blocks while another commit runs, not on I/O.
    result<committed> commit(const change_set& set);

    result<void> note_activity(std::span<const engine_activity> seen);

    result<std::size_t> prune_audit(instant before, std::size_t most);

    result<std::size_t> prune_idempotency(instant before, std::size_t most);

protected:
    static constexpr std::size_t default_audit_rows = 1'000'000;

    /// For tests: plans commits with `plan`, which may have a fault.
    memory_store(std::size_t max_audit_rows, core::plan_function& plan);

private:
    /// Cannot fail.
    committed apply(core::store_plan plan, std::span<const engine_ptr> made);

    core::plan_function& plan_;

    std::mutex commit_mutex_; ///< One commit at a time; guards what only commits use.
    std::uint32_t next_port_ = 0;
    std::uint64_t last_sequence_ = 0;

    /// Guards the rows. They are written under both mutexes, so that a commit, which holds the
    /// first, reads them without this one.
    mutable detail::striped_mutex mutex_;
    detail::memory::fleet_rows rows_;
    detail::memory::audit_rows audit_;
    detail::memory::idempotency_rows idempotency_;
    mutable detail::recent_products recent_products_;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/store/memory.ipp>
#endif
