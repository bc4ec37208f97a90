#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/shell/ports.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// From a clock, backend or store of any type to its port. The defaults of optional members are
/// here and nowhere else.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Never true but for a store that a test makes for it: then commands are started before the commit,
/// which a simulation has to find out.
template <class Store> inline constexpr bool submits_before_commit = false;
/// The same of a store over which the deletion of a product forgets one of its engines.
template <class Store> inline constexpr bool forgets_an_engine = false;

template <class Clock> class clock_adapter final : public clock_port {
public:
    explicit clock_adapter(std::shared_ptr<Clock> clock) : clock_(std::move(clock)) {}

    [[nodiscard]] instant now() const noexcept override { return clock_->now(); }
    [[nodiscard]] duration steady_now() const noexcept override { return clock_->steady_now(); }
    asio::awaitable<void> wait_for(duration span) override { return clock_->wait_for(span); }

private:
    const std::shared_ptr<Clock> clock_;
};

template <class Backend> class backend_adapter final : public backend_port {
public:
    explicit backend_adapter(std::shared_ptr<Backend> backend) : backend_(std::move(backend)) {}

    [[nodiscard]] std::string_view name() const noexcept override { return backend_->name(); }
    [[nodiscard]] std::optional<std::string> trouble() const override {
        return backend_->trouble();
    }
    [[nodiscard]] std::optional<std::vector<std::string>> isolation() const override {
        if constexpr (names_isolation<Backend>) return backend_->isolation();
        else return std::nullopt;
    }
    [[nodiscard]] limit_support limits() const override {
        if constexpr (holds_limits<Backend>) return backend_->limits();
        else return {};
    }
    [[nodiscard]] bool needs_port() const noexcept override { return backend_->needs_port(); }
    [[nodiscard]] bool port_usable(std::uint16_t port) const override {
        return backend_->port_usable(port);
    }
    [[nodiscard]] std::string url(const uuid& engine, std::uint16_t port) const override {
        return backend_->url(engine, port);
    }

    [[nodiscard]] bool has_prepare() const noexcept override { return prepares<Backend>; }
    asio::awaitable<result<void>> prepare(const workload& wanted) override {
        if constexpr (prepares<Backend>) return backend_->prepare(wanted);
        else return nothing_to_do();
    }
    asio::awaitable<result<void>> create(const workload& wanted) override {
        return backend_->create(wanted);
    }
    asio::awaitable<result<void>> stop(const workload_ref& ref, duration grace) override {
        return backend_->stop(ref, grace);
    }
    asio::awaitable<result<void>> discard(const workload_ref& ref, duration grace) override {
        if constexpr (discards<Backend>) return backend_->discard(ref, grace);
        else return backend_->stop(ref, grace);
    }
    asio::awaitable<result<void>> pause(const workload_ref& ref) override {
        return backend_->pause(ref);
    }
    asio::awaitable<result<void>> resume(const workload_ref& ref) override {
        return backend_->resume(ref);
    }
    asio::awaitable<result<void>> destroy(const workload_ref& ref) override {
        return backend_->destroy(ref);
    }
    [[nodiscard]] bool has_data_copy() const noexcept override { return copies_data<Backend>; }
    asio::awaitable<result<bool>> copy_data(const workload_ref& ref,
                                            std::optional<std::uint64_t> max_bytes) override {
        if constexpr (copies_data<Backend>) return backend_->copy_data(ref, max_bytes);
        else return no_copy_is_made();
    }
    asio::awaitable<result<void>> restore_data(const workload_ref& ref) override {
        if constexpr (copies_data<Backend>) return backend_->restore_data(ref);
        else return nothing_to_do();
    }
    asio::awaitable<result<void>> drop_copy(const workload_ref& ref) override {
        if constexpr (copies_data<Backend>) return backend_->drop_copy(ref);
        else return nothing_to_do();
    }
    asio::awaitable<result<key_swap>> swap_key(const workload_ref& ref, const std::string& key,
                                               const sha256_digest& next) override {
        return backend_->swap_key(ref, key, next);
    }
    asio::awaitable<result<health>> probe(const workload_ref& ref, duration timeout) override {
        return backend_->probe(ref, timeout);
    }
    asio::awaitable<result<std::vector<found_workload>>> list() override {
        return backend_->list();
    }
    asio::awaitable<result<std::string>> logs(const workload_ref& ref, std::size_t tail) override {
        return backend_->logs(ref, tail);
    }
    asio::awaitable<result<std::string>> boot_logs(const workload_ref& ref,
                                                   std::size_t tail) override {
        if constexpr (separates_boot_logs<Backend>) return backend_->boot_logs(ref, tail);
        else return backend_->logs(ref, tail);
    }
    asio::awaitable<result<log_source_ptr>> open_logs(const workload_ref& ref,
                                                      const log_query& query) override {
        if constexpr (opens_logs<Backend>) return backend_->open_logs(ref, query);
        else return logs_cannot_be_opened();
    }

    void on_exit(std::function<void(const workload_exit&)> handler) override {
        backend_->on_exit(std::move(handler));
    }
    void on_pause(std::function<void(const workload_pause&)> handler) override {
        if constexpr (reports_pauses<Backend>) backend_->on_pause(std::move(handler));
    }

private:
    static asio::awaitable<result<void>> nothing_to_do() { co_return result<void>{}; }
    static asio::awaitable<result<bool>> no_copy_is_made() { co_return false; }
    static asio::awaitable<result<log_source_ptr>> logs_cannot_be_opened() {
        co_return fail(errc::invalid_request,
                       "This server's backend can neither follow an engine's output nor read it "
                       "from a time on. Ask for its last lines, without `follow` and `since`.");
    }

    const std::shared_ptr<Backend> backend_;
};

/// A store in this process: it blocks, and so everything completes before it returns.
template <class Store> class store_adapter final : public store_port {
public:
    explicit store_adapter(std::shared_ptr<Store> store) : store_(std::move(store)) {}

    [[nodiscard]] std::string_view name() const noexcept override { return store_->name(); }
    [[nodiscard]] std::optional<std::string> trouble() const override { return store_->trouble(); }

    [[nodiscard]] result<product_ptr> find_product(const sha256_digest& key_hash) const override {
        return store_->find_product(key_hash);
    }
    [[nodiscard]] result<product_ptr> find_product_by_id(const uuid& id) const override {
        return store_->find_product_by_id(id);
    }
    [[nodiscard]] result<product_ptr>
    find_product_named(std::string_view id_or_slug) const override {
        return store_->find_product_named(id_or_slug);
    }
    [[nodiscard]] result<engine_ptr> find_engine(const uuid& product_id,
                                                 std::string_view user_id) const override {
        return store_->find_engine(product_id, user_id);
    }

    void read_engine(const engine_owner& owner, completion<engine_ptr> done) override {
        done(store_->find_engine(owner.product_id, owner.user_id));
    }
    void read_engine(const uuid& engine, completion<engine_ptr> done) override {
        done(store_->find_engine_by_id(engine));
    }
    void read_product(const std::string& id_or_slug, completion<product_ptr> done) override {
        done(store_->find_product_named(id_or_slug));
    }
    void list_products(const product_query& query, completion<product_page> done) override {
        done(store_->list_products(query));
    }
    void list_engines(const engine_query& query, completion<engine_page> done) override {
        done(store_->list_engines(query));
    }
    void for_each_engine(std::function<void(const result<engine_ptr>&)> visit,
                         completion<void> done) override {
        done(store_->for_each_engine(visit));
    }
    void counts(const uuid& product, completion<fleet_counts> done) override {
        done(store_->counts(product));
    }
    void counts_of_all(completion<fleet_counts> done) override { done(store_->counts_of_all()); }
    void audit(const audit_query& query, completion<audit_page> done) override {
        done(store_->audit(query));
    }
    void for_each_audit(instant since, std::function<void(const result<audit_entry>&)> visit,
                        completion<void> done) override {
        done(store_->for_each_audit(since, visit));
    }

    void commit(change_set changes, completion<committed> done) override {
        done(store_->commit(changes));
    }
    void note_activity(std::vector<engine_activity> seen, completion<void> done) override {
        done(store_->note_activity(seen));
    }
    void prune_audit(instant before, std::size_t most, completion<std::size_t> done) override {
        done(store_->prune_audit(before, most));
    }
    void find_idempotency(const idempotency_id& id, completion<idempotency_ptr> done) override {
        done(store_->find_idempotency(id));
    }
    void prune_idempotency(instant before, std::size_t most,
                           completion<std::size_t> done) override {
        done(store_->prune_idempotency(before, most));
    }

private:
    const std::shared_ptr<Store> store_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
