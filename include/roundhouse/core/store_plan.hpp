#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/store_plan/conditions.hpp>
#include <roundhouse/core/store_plan/index_entries.hpp>
#include <roundhouse/detail/store_rules.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

/// What a commit means, as data: `plan_commit` turns a change set into conditions on the stored
/// state and deltas to it. A store checks the conditions and applies the deltas in one transaction,
/// and decides nothing itself.
///
/// A plan holds no value of anything that several writers share: no counter, no sequence, no audit
/// id, no port. A store that has other writers can therefore execute it. In SQL, a plan is one
/// statement over arrays:
///
/// - `owner_is_free`, `short_id_is_free`, `slug_is_free` and `key_is_free` are unique indexes;
/// - `engine_is_at` and `product_is_at` are `WHERE revision = ...` of an UPDATE or DELETE;
/// - `product_is_open` and `product_is_empty` are `EXISTS` and `NOT EXISTS`, with the product's row
///   locked (`FOR SHARE`, `FOR UPDATE`);
/// - `quota_has_room` is `UPDATE quota SET used = used + ... WHERE used + taken < max_engines`, and
///   `memory_has_room` is the same for what engines reserve;
/// - each `counter_delta` is `SET x = x + d`, summed over the rows that were made;
/// - sequences and audit ids are identity columns, and indexes keep themselves.
///
/// A change set that changes one row more than once takes a statement for each write of that row:
/// the writes of a plan stand in order, and each names the one whose row it replaces.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

// Deltas

/// What a write adds to the counters of its product.
struct counter_delta {
    std::array<std::int64_t, all_engine_statuses.size()> by_status{};
    std::int64_t provisions = 0;
    std::int64_t destroys = 0;
    std::int64_t reserved_memory_mb = 0;

    [[nodiscard]] std::int64_t& of(engine_status status) noexcept {
        return by_status[static_cast<std::size_t>(status)];
    }
    /// What it adds to the product's number of engines, and so to the use of its quota.
    [[nodiscard]] std::int64_t engines() const noexcept {
        std::int64_t sum = 0;
        for (const auto delta : by_status) sum += delta;
        return sum;
    }
    friend bool operator==(const counter_delta&, const counter_delta&) = default;
};

/// Adds a delta to counters that a store keeps as values.
inline void apply(const counter_delta& delta, fleet_counts& counts) noexcept {
    for (std::size_t i = 0; i < counts.by_status.size(); ++i)
        counts.by_status[i] += static_cast<std::uint64_t>(delta.by_status[i]);
    counts.total_provisions += static_cast<std::uint64_t>(delta.provisions);
    counts.total_destroys += static_cast<std::uint64_t>(delta.destroys);
    counts.reserved_memory_mb += static_cast<std::uint64_t>(delta.reserved_memory_mb);
}

/// Puts or erases the row of one engine. The row that it replaces is `stored`, which a condition of
/// the plan holds at its revision, or the one that the write `earlier` of this plan puts; an insert
/// has neither.
struct engine_write {
    engine_ptr stored;
    std::optional<std::size_t> earlier;
    /// The row to put; none erases. Its revision is set. Its sequence and port are the executor's:
    /// those of the row that it replaces, or for an insert the next sequence and no port.
    std::optional<engine_record> row;
    /// Hold a port of this range for the row: the one that it has if that is usable, else another.
    std::optional<port_request> port;
    std::vector<index_entry> removed; ///< Entries for the row that is replaced.
    std::vector<index_entry> added;   ///< Entries for the row that is put.
    counter_delta counters;           ///< Of the engine's product.
};

/// Puts or erases the row of one product, and replaces its index entries for slug and keys. One that
/// is erased loses its counters and idempotency records too, once the rest of the plan is applied.
struct product_write {
    product_ptr replaces; ///< Stored, or put by an earlier write of this plan; null for an insert.
    product_ptr row;      ///< Null erases.
};

/// Replaces the metadata of the audit row with this id, if it is there.
struct audit_amendment {
    std::uint64_t id = 0;
    roundhouse::metadata metadata;
};

/// What a change set means for a store: if all of `conditions` hold, all of the rest is applied.
struct store_plan {
    std::vector<commit_condition> conditions;
    std::vector<engine_write> engines;           ///< In order.
    std::vector<product_write> products;         ///< In order.
    std::vector<idempotency_record> idempotency; ///< To put, in order (`put_idempotency`).
    std::vector<audit_entry> audit;              ///< To append, with the next ids.
    std::optional<audit_amendment> amend;
};

// Planning

/// Plans the changes of one set, one after the other: each sees the rows as those before it leave
/// them.
class commit_planner {
public:
    explicit commit_planner(const stored_rows& stored) : stored_(stored) {}

    result<store_plan> plan(const change_set& set) {
        for (const auto& next : set.changes) {
            auto added = std::visit([this](const auto& change) { return add(change); }, next);
            if (!added) return unexpected(std::move(added.error()));
        }
        plan_.audit = set.audit;
        if (set.amend) plan_.amend = audit_amendment{set.amend->id, set.amend->metadata};
        return std::move(plan_);
    }

private:
    /// Where an engine's row is, as the changes so far leave it: stored, made by a write, or, if
    /// both are empty, nowhere.
    struct row_place {
        engine_ptr stored;
        std::optional<std::size_t> write;
    };

    result<void> add(const insert_engine& insert) {
        const auto& record = insert.record;
        const auto owner = engine_owner{record.product_id, record.user_id};
        if (auto open = require_open(record.product_id, insert.needs_product); !open) return open;
        const auto [place, untouched] = rows_.try_emplace(owner);
        if (untouched) plan_.conditions.emplace_back(owner_is_free{owner});
        else if (row_at(place->second) != nullptr) return refused(owner_is_free{owner});
        if (auto free = take_short_id(record.id); !free) return free;
        auto& added = engines_added_[record.product_id];
        if (insert.max_engines)
            plan_.conditions.emplace_back(
                quota_has_room{record.product_id, *insert.max_engines, added});
        ++added;
        const auto growth = reserve(record.product_id, 0, record.reserved_memory_mb,
                                    insert.max_total_memory_mb);

        auto& write = put(place->second, record, 1, insert.port);
        write.added = entries_of(record);
        write.counters.of(record.status) += 1;
        write.counters.provisions += 1;
        write.counters.reserved_memory_mb = growth;
        return {};
    }

    result<void> add(const update_engine& update) {
        const auto& record = update.record;
        auto found = find_row({record.product_id, record.user_id}, record.revision, record.id);
        if (!found) return unexpected(std::move(found.error()));
        auto& place = **found;
        const auto& before = *row_at(place);
        const auto status = before.status;
        auto removed = entries_beside(before, record);
        auto added = entries_beside(record, before);
        const auto growth = reserve(record.product_id, before.reserved_memory_mb,
                                    record.reserved_memory_mb, update.max_total_memory_mb);

        auto& write = put(place, record, record.revision + 1, update.port);
        write.removed = std::move(removed);
        write.added = std::move(added);
        write.counters.reserved_memory_mb = growth;
        if (status == record.status) return {};
        write.counters.of(status) -= 1;
        write.counters.of(record.status) += 1;
        return {};
    }

    result<void> add(const erase_engine& erase) {
        auto found = find_row({erase.product_id, erase.user_id}, erase.revision, std::nullopt);
        if (!found) return unexpected(std::move(found.error()));
        auto& place = **found;
        const auto status = row_at(place)->status;
        auto removed = entries_of(*row_at(place));
        short_ids_[short_id(row_at(place)->id)] = false;
        --engines_added_[erase.product_id];
        const auto growth = reserve(erase.product_id, row_at(place)->reserved_memory_mb, 0, {});

        auto& write = add_write(place);
        place = {};
        write.removed = std::move(removed);
        write.counters.of(status) -= 1;
        write.counters.reserved_memory_mb = growth;
        if (erase.undone) write.counters.provisions -= 1;
        else write.counters.destroys += 1;
        return {};
    }

    result<void> add(const put_product& put) {
        const auto& record = put.record;
        if (erased_.contains(record.id)) return unexpected(no_product(record.slug));
        auto replaced = product_to_replace(record.id, record.slug, record.revision);
        if (!replaced) return unexpected(std::move(replaced.error()));
        if (auto free = take_slug(record); !free) return free;
        for (const auto& key : record.keys)
            if (auto free = take_key(record, key.hash); !free) return free;
        auto row = record;
        row.revision += 1;
        const auto next = std::make_shared<const product>(std::move(row));
        plan_.products.push_back({std::move(*replaced), next});
        products_[record.id].row = next;
        return {};
    }

    result<void> add(const put_idempotency& put) {
        if (auto open = require_open(put.record.id.product_id, put.needs_product); !open)
            return open;
        plan_.idempotency.push_back(put.record);
        return {};
    }

    result<void> add(const erase_product& erase) {
        const auto& id = erase.product_id;
        auto replaced = product_to_replace(id, to_string(id), erase.revision);
        if (!replaced) return unexpected(std::move(replaced.error()));
        if (!*replaced) return refused(product_is_at{id, to_string(id), erase.revision});
        plan_.conditions.emplace_back(product_is_empty{id, engines_added_[id]});
        plan_.products.push_back({std::move(*replaced), nullptr});
        products_[id].row = nullptr;
        erased_.insert(id);
        return {};
    }

    template <class Condition> [[nodiscard]] unexpected refused(const Condition& failed) const {
        return unexpected(refusal(failed, stored_));
    }

    // Engines

    [[nodiscard]] const engine_record* row_at(const row_place& place) const {
        return place.write ? &*plan_.engines[*place.write].row : place.stored.get();
    }

    /// The place of an owner's row. The row must be at this revision, and have the id if one is
    /// given.
    result<row_place*> find_row(const engine_owner& owner, std::uint64_t revision,
                                const std::optional<uuid>& id) {
        const auto [place, untouched] = rows_.try_emplace(owner);
        if (untouched) {
            auto found = stored_.find_engine(owner.product_id, owner.user_id);
            if (!found) return unexpected(std::move(found.error()));
            place->second.stored = std::move(*found);
        }
        const auto* const row = row_at(place->second);
        if (row == nullptr || row->revision != revision || (id && row->id != *id))
            return refused(engine_is_at{owner, {}, revision});
        if (untouched) plan_.conditions.emplace_back(engine_is_at{owner, row->id, revision});
        return &place->second;
    }

    /// A write that puts a row at `place`.
    engine_write& put(row_place& place, engine_record row, std::uint64_t revision,
                      const std::optional<port_request>& port) {
        row.revision = revision;
        auto& write = add_write(place);
        write.row = std::move(row);
        write.port = port;
        place = {nullptr, plan_.engines.size() - 1};
        return write;
    }

    /// A write that replaces the row at `place`.
    engine_write& add_write(const row_place& place) {
        auto& write = plan_.engines.emplace_back();
        write.stored = place.stored;
        write.earlier = place.write;
        return write;
    }

    /// By how much more a product's engines reserve, where one reserves `after` in place of `before`.
    /// More than before needs room under `most`, if that is given.
    std::int64_t reserve(const uuid& product, std::uint64_t before, std::uint64_t after,
                         const std::optional<std::uint64_t>& most) {
        const auto growth = static_cast<std::int64_t>(after - before);
        if (growth == 0) return 0;
        auto& taken = memory_taken_[product];
        if (most && growth > 0)
            plan_.conditions.emplace_back(memory_has_room{product, *most, growth, taken});
        taken += growth;
        return growth;
    }

    result<void> take_short_id(const uuid& id) {
        const auto [taken, untouched] = short_ids_.try_emplace(short_id(id), true);
        if (untouched) plan_.conditions.emplace_back(short_id_is_free{id});
        else if (std::exchange(taken->second, true)) return refused(short_id_is_free{id});
        return {};
    }

    // Products

    /// Refuses what is added to a product that this set has erased, or, if it `must_be` open, that is
    /// not there or being deleted.
    result<void> require_open(const uuid& id, bool must_be) {
        if (erased_.contains(id)) return unexpected(no_product(to_string(id)));
        if (!must_be) return {};
        const auto known = products_.find(id);
        if (known == products_.end()) {
            plan_.conditions.emplace_back(product_is_open{id});
            return {};
        }
        const auto& row = known->second.row;
        if (row && row->deleting_since) return unexpected(product_goes(row->slug));
        if (!row) return unexpected(no_product(to_string(id)));
        return {};
    }

    /// The product that a record with this revision may replace; null if it is a new one.
    result<product_ptr> product_to_replace(const uuid& id, const std::string& slug,
                                           std::uint64_t revision) {
        const auto [known, untouched] = products_.try_emplace(id);
        if (untouched) {
            auto found = stored_.find_product(id);
            if (!found) return unexpected(std::move(found.error()));
            known->second = {*found, *found};
        }
        const auto& row = known->second.row;
        const product_is_at condition{id, slug, revision};
        if ((row ? row->revision : 0) != revision) return refused(condition);
        if (untouched) plan_.conditions.emplace_back(condition);
        return row;
    }

    result<void> take_slug(const product& record) {
        const slug_is_free condition{record.id, record.slug};
        return take(record.id, condition,
                    [&](const product& other) { return other.slug == record.slug; });
    }

    result<void> take_key(const product& record, const sha256_digest& hash) {
        const key_is_free condition{record.id, record.slug, hash};
        return take(record.id, condition,
                    [&](const product& other) { return find_key(other, hash) != nullptr; });
    }

    /// Refuses what another product of this set has taken, and makes it a condition unless another
    /// product of this set has given it up.
    template <class Condition, class Has>
    result<void> take(const uuid& id, const Condition& condition, const Has& has) {
        bool given_up = false;
        for (const auto& [other, place] : products_) {
            if (other == id) continue;
            if (place.row && has(*place.row)) return refused(condition);
            given_up = given_up || (place.stored && has(*place.stored));
        }
        if (!given_up) plan_.conditions.emplace_back(condition);
        return {};
    }

    struct product_place {
        product_ptr stored;
        product_ptr row; ///< As the changes so far leave it.
    };

    const stored_rows& stored_;
    store_plan plan_;
    std::map<engine_owner, row_place> rows_;
    std::map<std::string, bool> short_ids_; ///< Taken or freed by the changes so far.
    std::map<uuid, std::int64_t> engines_added_;
    std::map<uuid, std::int64_t> memory_taken_; ///< MiB.
    std::map<uuid, product_place> products_;
    std::set<uuid> erased_; ///< Products.
};

/// Plans a commit. Fails where the look-ups or the change set itself show that a condition does not
/// hold: an engine or product is at another revision, or two changes exclude each other.
[[nodiscard]] inline result<store_plan> plan_commit(const change_set& set,
                                                    const stored_rows& stored) {
    return commit_planner(stored).plan(set);
}

using plan_function = result<store_plan>(const change_set&, const stored_rows&);

// Execution

/// Checks the conditions of a plan by `holds(condition)`. Fails with the error of the first that
/// does not hold.
template <class Holds>
[[nodiscard]] result<void> check_conditions(const store_plan& plan, const stored_rows& stored,
                                            const Holds& holds) {
    for (const auto& condition : plan.conditions)
        if (!std::visit(holds, condition)) return unexpected(refusal(condition, stored));
    return {};
}

/// The row that a write replaces; null for an insert. `made` has the rows of the earlier writes.
[[nodiscard]] inline const engine_record* replaced_by(const engine_write& write,
                                                      std::span<const engine_ptr> made) {
    return write.earlier ? made[*write.earlier].get() : write.stored.get();
}

/// Makes the rows of a plan, for an executor that alone writes to its store: gives new engines the
/// sequences after `last_sequence`, and chooses the ports. Moves the records out of the plan. The
/// result has a row for each engine write, null where that erases. Fails with `port_exhaustion`.
[[nodiscard]] inline result<std::vector<engine_ptr>>
make_rows(store_plan& plan, std::uint64_t& last_sequence, roundhouse::detail::port_search& ports) {
    std::vector<engine_ptr> made;
    made.reserve(plan.engines.size());
    for (auto& write : plan.engines) {
        const auto* const before = replaced_by(write, made);
        if (!write.row) {
            ports.release(before->port);
            made.push_back(nullptr);
            continue;
        }
        auto row = std::make_shared<engine_record>(std::move(*write.row));
        row->sequence = before == nullptr ? ++last_sequence : before->sequence;
        row->port = before == nullptr ? std::uint16_t{0} : before->port;
        if (write.port) {
            const auto port = ports.hold(*write.port, row->port);
            if (!port) return unexpected(no_free_port(*write.port));
            row->port = *port;
        }
        made.push_back(std::move(row));
    }
    return made;
}

/// The answer to a commit that put these rows; the executor adds the ids of the audit rows.
[[nodiscard]] inline committed answer_of(std::span<const engine_ptr> made) {
    committed done;
    for (const auto& row : made)
        if (row) done.engines.push_back(row);
    return done;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
