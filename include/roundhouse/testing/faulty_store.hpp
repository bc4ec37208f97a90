#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// How a commit goes wrong.
enum class store_fault : std::uint8_t {
    none,
    refused, ///< The commit fails and changes nothing.
    denied,  ///< The commit is made, and reports a failure: a failed last step can look like this.
};

/// Decides what goes wrong in a `faulty_store`, and observes it. Empty functions do nothing.
struct store_script {
    std::function<store_fault(const change_set&)> fault = {};
    /// Called with the underlying store's answer to each commit, before the caller gets an answer.
    std::function<void(const change_set&, const result<committed>&)> committed = {};
    std::function<std::optional<std::string>()> trouble = {};
};

/// A store whose commits fail as a script says. All other calls go to the underlying store. As
/// thread-safe as that store and the script.
template <class Store> class faulty_store {
public:
    faulty_store(std::shared_ptr<Store> underlying, store_script script)
        : underlying_(std::move(underlying)), script_(std::move(script)) {}

    [[nodiscard]] std::string_view name() const noexcept { return underlying_->name(); }
    [[nodiscard]] std::optional<std::string> trouble() const {
        auto why = script_.trouble ? script_.trouble() : std::nullopt;
        return why ? why : underlying_->trouble();
    }

    [[nodiscard]] result<product_ptr> find_product(const sha256_digest& key_hash) const {
        return underlying_->find_product(key_hash);
    }
    [[nodiscard]] result<product_ptr> find_product_named(std::string_view id_or_slug) const {
        return underlying_->find_product_named(id_or_slug);
    }
    [[nodiscard]] result<product_ptr> find_product_by_id(const uuid& id) const {
        return underlying_->find_product_by_id(id);
    }
    [[nodiscard]] result<product_page> list_products(const product_query& query) const {
        return underlying_->list_products(query);
    }
    [[nodiscard]] result<engine_ptr> find_engine(const uuid& product, std::string_view user) const {
        return underlying_->find_engine(product, user);
    }
    [[nodiscard]] result<engine_ptr> find_engine_by_id(const uuid& id) const {
        return underlying_->find_engine_by_id(id);
    }
    [[nodiscard]] result<engine_page> list_engines(const engine_query& query) const {
        return underlying_->list_engines(query);
    }
    [[nodiscard]] result<void>
    for_each_engine(const std::function<void(const result<engine_ptr>&)>& visit) const {
        return underlying_->for_each_engine(visit);
    }
    [[nodiscard]] result<fleet_counts> counts(const uuid& product) const {
        return underlying_->counts(product);
    }
    [[nodiscard]] result<fleet_counts> counts_of_all() const {
        return underlying_->counts_of_all();
    }
    [[nodiscard]] result<audit_page> audit(const audit_query& query) const {
        return underlying_->audit(query);
    }
    [[nodiscard]] result<void>
    for_each_audit(instant since,
                   const std::function<void(const result<audit_entry>&)>& visit) const {
        return underlying_->for_each_audit(since, visit);
    }

    result<committed> commit(const change_set& set) {
        const auto fault = script_.fault ? script_.fault(set) : store_fault::none;
        if (fault == store_fault::refused) return unavailable();
        auto answer = underlying_->commit(set);
        if (script_.committed) script_.committed(set, answer);
        if (answer && fault == store_fault::denied) return unavailable();
        return answer;
    }

    result<void> note_activity(std::span<const engine_activity> seen) {
        return underlying_->note_activity(seen);
    }

    result<std::size_t> prune_audit(instant before, std::size_t most) {
        return underlying_->prune_audit(before, most);
    }

    [[nodiscard]] result<idempotency_ptr> find_idempotency(const idempotency_id& id) const {
        return underlying_->find_idempotency(id);
    }
    [[nodiscard]] result<void>
    for_each_idempotency(const std::function<void(const result<idempotency_ptr>&)>& visit) const {
        return underlying_->for_each_idempotency(visit);
    }
    result<std::size_t> prune_idempotency(instant before, std::size_t most) {
        return underlying_->prune_idempotency(before, most);
    }

private:
    static unexpected unavailable() {
        return fail(errc::store_unavailable, "The store takes nothing at present.");
    }

    const std::shared_ptr<Store> underlying_;
    const store_script script_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
