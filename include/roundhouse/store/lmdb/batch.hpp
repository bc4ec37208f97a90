#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/store_plan.hpp>
#include <roundhouse/detail/store_rules.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/store/lmdb/audit_log.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/engine_entries.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/idempotency.hpp>
#include <roundhouse/store/lmdb/listing.hpp>
#include <roundhouse/store/lmdb/tables.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// Applies one change set within a transaction: plans it, checks the plan's conditions, and carries
/// out its writes. Throws `failure` where it cannot; the transaction must be aborted then.
class batch final : core::stored_rows {
public:
    /// `may_add` is false where the disk has no room for more engines and products.
    batch(const transaction& txn, bool may_add)
        : txn_(txn), may_add_(may_add), state_(read_state(txn)) {}

    committed apply(const change_set& set) {
        auto plan = core::plan_commit(set, *this);
        if (!plan) throw failure(std::move(plan.error()));
        require_room(*plan);
        require_keys_fit(*plan);
        auto checked = core::check_conditions(
            *plan, *this, [this](const auto& condition) { return holds(condition); });
        if (!checked) throw failure(std::move(checked.error()));
        const auto made = make_rows(*plan);
        for (const auto& write : plan->products) apply(write);
        for (std::size_t i = 0; i < made.size(); ++i)
            apply(plan->engines[i], core::replaced_by(plan->engines[i], made), made[i]);
        for (const auto& [product, counts] : counts_)
            put_record(txn_, database::counters, key_of(product).view(), counts);
        for (auto& record : plan->idempotency) put_idempotency_record(txn_, std::move(record));
        for (const auto& write : plan->products)
            if (!write.row) forget(write.replaces->id);
        auto done = core::answer_of(made);
        for (auto& row : plan->audit)
            done.audit_ids.push_back(append(txn_, std::move(row), state_));
        if (plan->amend) amend(txn_, *plan->amend);
        put_record(txn_, database::meta, state_key, state_);
        return done;
    }

private:
    // Look-ups of the planner

    [[nodiscard]] result<engine_ptr> find_engine(const uuid& product,
                                                 std::string_view user) const override {
        if (user.size() > longest_user_id) return nullptr;
        return lmdb::find_engine(txn_, product, user);
    }

    [[nodiscard]] result<product_ptr> find_product(const uuid& id) const override {
        return lmdb::find_product(txn_, id);
    }

    // Limits of this store

    void require_room(const core::store_plan& plan) const {
        const auto adds_product = [](const core::product_write& write) { return !write.replaces; };
        const auto adds_engine = [](const core::engine_write& write) {
            return !write.stored && !write.earlier;
        };
        if (!may_add_ && (std::ranges::any_of(plan.products, adds_product) ||
                          std::ranges::any_of(plan.engines, adds_engine)))
            throw failure(disk_full());
    }

    static void require_keys_fit(const core::store_plan& plan) {
        for (const auto& write : plan.engines)
            if (write.row && write.row->user_id.size() > longest_user_id)
                throw key_failure("a user_id", write.row->user_id, 0, longest_user_id);
        for (const auto& write : plan.products)
            if (write.row && (write.row->slug.empty() || write.row->slug.size() > longest_slug))
                throw key_failure("a slug", write.row->slug, 1, longest_slug);
    }

    [[nodiscard]] static failure key_failure(std::string_view name, std::string_view text,
                                             std::size_t least, std::size_t most) {
        return failure({errc::invalid_request,
                        "store: " + std::string(name) + " of " + std::to_string(text.size()) +
                            " bytes does not fit into the keys of LMDB, which take " +
                            std::to_string(least) + " to " + std::to_string(most)});
    }

    // Conditions

    [[nodiscard]] bool holds(const core::owner_is_free& condition) const {
        return lmdb::find_engine(txn_, condition.owner.product_id, condition.owner.user_id) ==
               nullptr;
    }
    [[nodiscard]] bool holds(const core::short_id_is_free& condition) const {
        constexpr std::size_t short_bytes = 6; // 12 hexadecimal digits
        const auto prefix = bytes_of(condition.engine_id).substr(0, short_bytes);
        cursor engines(txn_, database::engines_by_id);
        return !engines.seek(prefix) || !engines.key().starts_with(prefix);
    }
    [[nodiscard]] bool holds(const core::quota_has_room& condition) {
        const auto used = counts_of(condition.product_id).total();
        return used + static_cast<std::uint64_t>(condition.taken) < condition.max_engines;
    }
    [[nodiscard]] bool holds(const core::memory_has_room& condition) {
        return condition.holds_with(counts_of(condition.product_id).reserved_memory_mb);
    }
    [[nodiscard]] bool holds(const core::slug_is_free& condition) const {
        const auto holder = txn_.find(database::products_by_slug, condition.slug);
        return !holder || to_uuid(*holder) == condition.product_id;
    }
    [[nodiscard]] bool holds(const core::key_is_free& condition) const {
        const auto holder = txn_.find(database::products_by_key, key_of(condition.key_hash).view());
        return !holder || to_uuid(*holder) == condition.product_id;
    }
    [[nodiscard]] bool holds(const core::product_is_open& condition) const {
        const auto product = lmdb::find_product(txn_, condition.product_id);
        return product && !product->deleting_since;
    }
    [[nodiscard]] bool holds(const core::product_is_empty& condition) {
        return condition.holds_with(counts_of(condition.product_id).total());
    }
    // The planner has looked these rows up in this transaction.
    [[nodiscard]] bool holds(const core::engine_is_at&) const noexcept { return true; }
    [[nodiscard]] bool holds(const core::product_is_at&) const noexcept { return true; }

    // Writes

    [[nodiscard]] std::vector<engine_ptr> make_rows(core::store_plan& plan) {
        port_search ports(state_.next_port, [this](std::uint16_t port) {
            return txn_.has(database::ports, port_key_of(port).view());
        });
        auto made = core::make_rows(plan, state_.last_sequence, ports);
        if (!made) throw failure(std::move(made.error()));
        state_.next_port = ports.next();
        return std::move(*made);
    }

    void apply(const core::product_write& write) {
        if (write.replaces) {
            txn_.remove(database::products_by_slug, write.replaces->slug);
            for (const auto& key : write.replaces->keys)
                txn_.remove(database::products_by_key, key_of(key.hash).view());
        }
        if (write.row) put_row(txn_, *write.row);
        else txn_.remove(database::products, key_of(write.replaces->id).view());
    }

    /// Removes what is kept beside the row of a product that is gone, but its audit rows.
    void forget(const uuid& product) const {
        txn_.remove(database::counters, key_of(product).view());
        remove_idempotency(txn_, product);
    }

    /// `before` is the row that the write replaces, null for an insert; `row` is the one that it
    /// puts, null for an erase.
    void apply(const core::engine_write& write, const engine_record* before,
               const engine_ptr& row) {
        const auto& engine = row ? *row : *before;
        const auto number = before == nullptr ? make_number(txn_, engine)
                                              : number_of(txn_, *before);
        for (const auto& entry : write.removed)
            remove_entry(txn_, stored_entry(entry, *before, number));
        for (const auto& entry : write.added) put_entry(txn_, stored_entry(entry, *row, number));
        move_port(engine.id, before == nullptr ? 0 : before->port, row == nullptr ? 0 : row->port);
        if (row) put_record(txn_, database::engines, number.view(), *row);
        else free_number(txn_, engine, number);
        if (write.counters != core::counter_delta{})
            core::apply(write.counters, counts_of(engine.product_id));
    }

    void move_port(const uuid& engine, std::uint16_t from, std::uint16_t to) const {
        if (from == to) return;
        if (from != 0) txn_.remove(database::ports, port_key_of(from).view());
        if (to != 0) txn_.put(database::ports, port_key_of(to).view(), bytes_of(engine));
    }

    [[nodiscard]] fleet_counts& counts_of(const uuid& product) {
        const auto known = counts_.find(product);
        if (known != counts_.end()) return known->second;
        return counts_.emplace(product, read_counts(txn_, product)).first->second;
    }

    const transaction& txn_;
    const bool may_add_;
    store_state state_;
    std::map<uuid, fleet_counts> counts_; ///< Of the products whose engines change.
};

/// Records when engines were last used. Passes over those that are gone or cannot be read.
inline void note_activity(const transaction& txn, std::span<const engine_activity> seen) {
    for (const auto& [id, at] : seen) {
        const auto entry = txn.find(database::engines_by_id, key_of(id).view());
        if (!entry) continue;
        const std::string key(*entry); // a write may move what is found
        const auto engine = readable_engine(txn, key);
        if (!engine || engine->last_activity_at >= at) continue;
        auto noted = *engine;
        noted.last_activity_at = at;
        put_record(txn, database::engines, key, noted);
    }
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
