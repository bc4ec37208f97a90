#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/orchestrator_base.hpp>
#include <roundhouse/shell/adapters.hpp>
#include <roundhouse/shell/orchestrator_parts.hpp>

#include <asio/any_io_executor.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Keeps a fleet of engines over a backend, a store and a clock.
///
/// Commits and the backend's system calls block threads of the executor: give it threads of its own,
/// at least two, that serve no listener. `async_recover` comes first; until it is done every other
/// call fails with `errc::starting`.
template <class Backend, class Store, class Clock>
class orchestrator final : public orchestrator_base {
    static_assert(require_backend<Backend>());
    static_assert(require_store<Store>());
    static_assert(require_clock<Clock>());

public:
    orchestrator(asio::any_io_executor executor, std::shared_ptr<Backend> backend,
                 std::shared_ptr<Store> store, std::shared_ptr<Clock> clock,
                 orchestrator_options options)
        : orchestrator_base(detail::orchestrator_parts{
              std::move(executor),
              std::make_unique<detail::backend_adapter<Backend>>(std::move(backend)),
              std::make_unique<detail::store_adapter<Store>>(std::move(store)),
              std::make_unique<detail::clock_adapter<Clock>>(std::move(clock)),
              std::move(options.settings), std::move(options.master_keys),
              std::move(options.entropy), std::move(options.log), std::move(options.redacted),
              detail::submits_before_commit<Store>, detail::forgets_an_engine<Store>}) {}

    // A store that satisfies the concept is in this process and answers reads at once, so that these
    // need no waiting.

    [[nodiscard]] result<engine_view> find(const product_ptr& product,
                                           std::string_view user_id) const {
        return answered<engine_view>(
            [&](auto done) { calls()->find(product, std::string(user_id), std::move(done)); });
    }
    [[nodiscard]] result<engine_explanation> explain(const product_ptr& product,
                                                     std::string_view user_id) const {
        return answered<engine_explanation>(
            [&](auto done) { calls()->explain(product, std::string(user_id), std::move(done)); });
    }
    [[nodiscard]] result<engine_view_page> list(const engine_query& query) const {
        return answered<engine_view_page>(
            [&](auto done) { calls()->list(query, std::move(done)); });
    }
    [[nodiscard]] result<fleet_status> status(const product_ptr& product) const {
        return answered<fleet_status>(
            [&](auto done) { calls()->status(product, std::move(done)); });
    }
    [[nodiscard]] result<fleet_metrics> metrics(const product_ptr& product) const {
        return answered<fleet_metrics>(
            [&](auto done) { calls()->metrics(product, std::move(done)); });
    }
    [[nodiscard]] result<fleet_status> status_of_all() const {
        return answered<fleet_status>([&](auto done) { calls()->status_of_all(std::move(done)); });
    }
    [[nodiscard]] result<fleet_metrics> metrics_of_all() const {
        return answered<fleet_metrics>(
            [&](auto done) { calls()->metrics_of_all(std::move(done)); });
    }
    [[nodiscard]] result<product_page> list_products(const product_query& query) const {
        return answered<product_page>(
            [&](auto done) { calls()->list_products(query, std::move(done)); });
    }
    [[nodiscard]] result<product_view> describe_product(std::string_view id_or_slug) const {
        return answered<product_view>([&](auto done) {
            calls()->describe_product(std::string(id_or_slug), std::move(done));
        });
    }
    /// Null if there is no such product.
    [[nodiscard]] result<product_ptr> find_product_named(std::string_view id_or_slug) const {
        return answered<product_ptr>(
            [&](auto done) { calls()->find_product(std::string(id_or_slug), std::move(done)); });
    }

private:
    template <class T, class Begin> static result<T> answered(const Begin& begin) {
        std::optional<result<T>> out;
        begin(completion<T>([&out](result<T> outcome) { out.emplace(std::move(outcome)); }));
        return std::move(*out);
    }
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
