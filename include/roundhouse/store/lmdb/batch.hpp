#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/detail/store_rules.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/store/lmdb/audit_log.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/listing.hpp>
#include <roundhouse/store/lmdb/tables.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// Applies one change set within a transaction. Throws `failure` where it cannot; the transaction
/// is to be aborted then.
class batch {
public:
    /// `may_add` is false where the disk has no room for more engines and products.
    batch(const transaction& in, bool may_add)
        : in_(in), may_add_(may_add), state_(read_state(in)) {}

    committed apply(const change_set& set) {
        for (const auto& one : set.changes)
            std::visit([this](const auto& what) { apply(what); }, one);
        for (const auto& row : set.audit) done_.audit_ids.push_back(append(in_, row, state_));
        if (set.amend) amend(in_, *set.amend);
        for (const auto& [product, counts] : counts_)
            put_record(in_, database::counters, key_of(product).view(), counts);
        put_record(in_, database::meta, state_key, state_);
        return std::move(done_);
    }

private:
    void apply(const insert_engine& what) {
        auto stored = std::make_shared<engine_record>(what.record);
        require_room();
        if (stored->user_id.size() > max_user_id_bytes)
            throw failure(
                {errc::invalid_request,
                 "A user_id has at most " + std::to_string(max_user_id_bytes) + " bytes."});
        if (in_.has(database::engines, engine_key_of(*stored).view()))
            throw failure(has_engine(stored->user_id));
        if (short_id_is_taken(stored->id)) throw failure(begins_alike(stored->id));
        auto& counts = counts_of(stored->product_id);
        if (what.max_engines && counts.total() >= *what.max_engines)
            throw failure(quota_reached(name_of_product(stored->product_id), *what.max_engines));
        stored->revision = 1;
        stored->sequence = ++state_.last_sequence;
        stored->port = 0;
        hold_port(what.port, *stored);
        ++counts.total_provisions;
        put(nullptr, std::move(stored));
    }

    void apply(const update_engine& what) {
        const auto before = current(what.record.product_id, what.record.user_id,
                                    what.record.revision);
        if (before->id != what.record.id) throw failure(engine_changed(what.record.user_id));
        auto stored = std::make_shared<engine_record>(what.record);
        stored->revision = before->revision + 1;
        stored->sequence = before->sequence;
        stored->port = before->port;
        hold_port(what.port, *stored);
        put(before.get(), std::move(stored));
    }

    void apply(const erase_engine& what) {
        const auto before = current(what.product_id, what.user_id, what.revision);
        unlink(*before);
        in_.remove(database::engines, engine_key_of(*before).view());
        in_.remove(database::engines_by_id, key_of(before->id).view());
        in_.remove(database::engines_by_sequence, sequence_key_of(*before).view());
        if (before->port != 0) in_.remove(database::ports, port_key_of(before->port).view());
        auto& counts = counts_of(before->product_id);
        if (what.undone) --counts.total_provisions;
        else ++counts.total_destroys;
    }

    void apply(const put_product& what) {
        auto stored = what.record;
        const auto before = find_product(in_, stored.id);
        if (before ? before->revision != stored.revision : stored.revision != 0)
            throw failure(product_changed(stored.slug));
        if (!before) require_room();
        if (stored.slug.empty() || stored.slug.size() > max_slug_bytes)
            throw failure({errc::invalid_request, "A slug has 1 to 64 of a-z, 0-9 and -."});
        const auto named = in_.find(database::products_by_slug, stored.slug);
        if (named && to_uuid(*named) != stored.id) throw failure(slug_exists(stored.slug));
        const auto keyed = in_.find(database::products_by_key, key_of(stored.key_hash).view());
        if (keyed && to_uuid(*keyed) != stored.id) throw failure(key_in_use(stored.slug));
        if (before) {
            in_.remove(database::products_by_slug, before->slug);
            in_.remove(database::products_by_key, key_of(before->key_hash).view());
        }
        stored.revision += 1;
        put_record(in_, database::products, key_of(stored.id).view(), stored);
        in_.put(database::products_by_slug, stored.slug, bytes_of(stored.id));
        in_.put(database::products_by_key, key_of(stored.key_hash).view(), bytes_of(stored.id));
    }

    void require_room() const {
        if (!may_add_) throw failure(disk_full());
    }

    /// The engine's record, if it has that revision.
    [[nodiscard]] engine_ptr current(const uuid& product, const std::string& user,
                                     std::uint64_t revision) const {
        auto known = user.size() > max_user_id_bytes
                         ? nullptr
                         : find_engine(in_, engine_key_of(product, user).view());
        if (!known || known->revision != revision) throw failure(engine_changed(user));
        return known;
    }

    [[nodiscard]] bool short_id_is_taken(const uuid& id) const {
        constexpr std::size_t short_bytes = 6; // 12 hexadecimal digits
        const auto prefix = bytes_of(id).substr(0, short_bytes);
        cursor engines(in_, database::engines_by_id);
        return engines.seek(prefix) && engines.key().starts_with(prefix);
    }

    [[nodiscard]] std::string name_of_product(const uuid& id) const {
        const auto known = find_product(in_, id);
        return known ? known->slug : to_string(id);
    }

    [[nodiscard]] fleet_counts& counts_of(const uuid& product) {
        const auto known = counts_.find(product);
        if (known != counts_.end()) return known->second;
        return counts_.emplace(product, read_counts(in_, product)).first->second;
    }

    /// `engine` has the port that it holds already.
    void hold_port(const std::optional<port_request>& wanted, engine_record& engine) {
        if (!wanted) return;
        const auto port = choose_port(*wanted, engine.port, state_.next_port, [this](auto one) {
            return in_.has(database::ports, port_key_of(one).view());
        });
        if (!port) throw failure(no_free_port(*wanted));
        engine.port = *port;
    }

    /// Writes a record and what leads to it; `before` is what it replaces, if anything.
    void put(const engine_record* before, engine_ptr stored) {
        const auto key = engine_key_of(*stored);
        if (before == nullptr) {
            in_.put(database::engines_by_id, key_of(stored->id).view(), key.view());
            in_.put(database::engines_by_sequence, sequence_key_of(*stored).view(),
                    stored->user_id);
        }
        if (before != nullptr && before->status != stored->status) unlink(*before);
        if (before == nullptr || before->status != stored->status) link(*stored);
        const auto held = before == nullptr ? std::uint16_t{0} : before->port;
        if (held != stored->port && held != 0)
            in_.remove(database::ports, port_key_of(held).view());
        if (held != stored->port && stored->port != 0)
            in_.put(database::ports, port_key_of(stored->port).view(), bytes_of(stored->id));
        put_record(in_, database::engines, key.view(), *stored);
        done_.engines.push_back(std::move(stored));
    }

    // The status leads to it, and counts it.

    void link(const engine_record& engine) {
        in_.put(database::engines_by_status, status_key_of(engine).view(), engine.user_id);
        ++counts_of(engine.product_id).by_status[static_cast<std::size_t>(engine.status)];
    }

    void unlink(const engine_record& engine) {
        in_.remove(database::engines_by_status, status_key_of(engine).view());
        --counts_of(engine.product_id).by_status[static_cast<std::size_t>(engine.status)];
    }

    const transaction& in_;
    const bool may_add_;
    store_state state_;
    std::map<uuid, fleet_counts> counts_; ///< Of the products whose engines change.
    committed done_;
};

/// Writes down when engines were last used; passes over those that are gone or cannot be read.
inline void note_activity(const transaction& in, std::span<const engine_activity> seen) {
    for (const auto& one : seen) {
        const auto entry = in.find(database::engines_by_id, key_of(one.engine_id).view());
        if (!entry) continue;
        const std::string key(*entry); // a write may move what is found
        const auto known = readable_engine(in, key);
        if (!known || known->last_activity_at >= one.at) continue;
        auto noted = *known;
        noted.last_activity_at = one.at;
        put_record(in, database::engines, key, noted);
    }
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
