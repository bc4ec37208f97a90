#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/detail/completion.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/log_source.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the shell needs of a clock, a backend and a store, whatever their types. The concepts
/// (concepts.hpp) say what each member means; adapters.hpp has the adapter from each concept.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

class clock_port {
public:
    clock_port() = default;
    clock_port(const clock_port&) = delete;
    clock_port& operator=(const clock_port&) = delete;
    virtual ~clock_port() = default;

    [[nodiscard]] virtual instant now() const noexcept = 0;
    [[nodiscard]] virtual duration steady_now() const noexcept = 0;
    virtual asio::awaitable<void> wait_for(duration span) = 0;
};

/// Members that are optional in a backend have their defaults in the adapter.
class backend_port {
public:
    backend_port() = default;
    backend_port(const backend_port&) = delete;
    backend_port& operator=(const backend_port&) = delete;
    virtual ~backend_port() = default;

    [[nodiscard]] virtual std::string_view name() const noexcept = 0;
    [[nodiscard]] virtual std::optional<std::string> trouble() const = 0;
    /// Nothing if the backend does not say.
    [[nodiscard]] virtual std::optional<std::vector<std::string>> isolation() const = 0;
    /// Which ceilings of a single engine it holds.
    [[nodiscard]] virtual limit_support limits() const = 0;
    [[nodiscard]] virtual bool needs_port() const noexcept = 0;
    [[nodiscard]] virtual bool port_usable(std::uint16_t port) const = 0;
    [[nodiscard]] virtual std::string url(const uuid& engine, std::uint16_t port) const = 0;

    /// Whether `prepare` has anything to do.
    [[nodiscard]] virtual bool has_prepare() const noexcept = 0;
    virtual asio::awaitable<result<void>> prepare(const workload& wanted) = 0;
    virtual asio::awaitable<result<void>> create(const workload& wanted) = 0;
    virtual asio::awaitable<result<void>> stop(const workload_ref& ref, duration grace) = 0;
    virtual asio::awaitable<result<void>> discard(const workload_ref& ref, duration grace) = 0;
    virtual asio::awaitable<result<void>> pause(const workload_ref& ref) = 0;
    virtual asio::awaitable<result<void>> resume(const workload_ref& ref) = 0;
    virtual asio::awaitable<result<void>> destroy(const workload_ref& ref) = 0;
    /// Whether it can keep a copy of an engine's data; if not, `copy_data` makes none.
    [[nodiscard]] virtual bool has_data_copy() const noexcept = 0;
    virtual asio::awaitable<result<bool>> copy_data(const workload_ref& ref,
                                                    std::optional<std::uint64_t> max_bytes) = 0;
    virtual asio::awaitable<result<void>> restore_data(const workload_ref& ref) = 0;
    virtual asio::awaitable<result<void>> drop_copy(const workload_ref& ref) = 0;
    virtual asio::awaitable<result<key_swap>>
    swap_key(const workload_ref& ref, const std::string& key, const sha256_digest& next) = 0;
    virtual asio::awaitable<result<health>> probe(const workload_ref& ref, duration timeout) = 0;
    virtual asio::awaitable<result<std::vector<found_workload>>> list() = 0;
    virtual asio::awaitable<result<std::string>> logs(const workload_ref& ref,
                                                      std::size_t tail) = 0;
    virtual asio::awaitable<result<std::string>> boot_logs(const workload_ref& ref,
                                                           std::size_t tail) = 0;
    virtual asio::awaitable<result<log_source_ptr>> open_logs(const workload_ref& ref,
                                                              const log_query& query) = 0;

    virtual void on_exit(std::function<void(const workload_exit&)> handler) = 0;
    virtual void on_pause(std::function<void(const workload_pause&)> handler) = 0;
};

/// A store may be across a network: everything completes when it has been done, in this thread or
/// another, but for the look-ups of products and of an admit, which are answered at once.
class store_port {
public:
    store_port() = default;
    store_port(const store_port&) = delete;
    store_port& operator=(const store_port&) = delete;
    virtual ~store_port() = default;

    [[nodiscard]] virtual std::string_view name() const noexcept = 0;
    [[nodiscard]] virtual std::optional<std::string> trouble() const = 0;

    [[nodiscard]] virtual result<product_ptr> find_product(const sha256_digest& key_hash) const = 0;
    [[nodiscard]] virtual result<product_ptr> find_product_by_id(const uuid& id) const = 0;
    [[nodiscard]] virtual result<product_ptr>
    find_product_named(std::string_view id_or_slug) const = 0;
    [[nodiscard]] virtual result<engine_ptr> find_engine(const uuid& product_id,
                                                         std::string_view user_id) const = 0;

    virtual void read_engine(const engine_owner& owner, completion<engine_ptr> done) = 0;
    virtual void read_engine(const uuid& engine, completion<engine_ptr> done) = 0;
    virtual void read_product(const std::string& id_or_slug, completion<product_ptr> done) = 0;
    virtual void list_products(const product_query& query, completion<product_page> done) = 0;
    virtual void list_engines(const engine_query& query, completion<engine_page> done) = 0;
    virtual void for_each_engine(std::function<void(const result<engine_ptr>&)> visit,
                                 completion<void> done) = 0;
    virtual void counts(const uuid& product, completion<fleet_counts> done) = 0;
    virtual void counts_of_all(completion<fleet_counts> done) = 0;
    virtual void audit(const audit_query& query, completion<audit_page> done) = 0;
    virtual void for_each_audit(instant since,
                                std::function<void(const result<audit_entry>&)> visit,
                                completion<void> done) = 0;

    virtual void commit(change_set changes, completion<committed> done) = 0;
    virtual void note_activity(std::vector<engine_activity> seen, completion<void> done) = 0;
    virtual void prune_audit(instant before, std::size_t most, completion<std::size_t> done) = 0;
    virtual void find_idempotency(const idempotency_id& id, completion<idempotency_ptr> done) = 0;
    virtual void prune_idempotency(instant before, std::size_t most,
                                   completion<std::size_t> done) = 0;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
