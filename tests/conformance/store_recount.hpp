#pragma once

#include "random_operations.hpp"

#include <roundhouse/changes.hpp>
#include <roundhouse/concepts.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace roundhouse_tests {

/// What a store should hold, counted by the plainest means: from the answers to its commits and the
/// rows that it returns, one change after the other. Shares no code with the stores or their plans.
///
/// Each check returns what differs, or an empty text.
class store_recount {
public:
    /// Takes in a change set and its answer.
    std::string note(const rh::change_set& set, const rh::result<rh::committed>& answer) {
        const auto wanted = predict(set);
        if (answer.has_value() && wanted)
            return "a commit succeeded that must be refused: " + *wanted;
        if (!answer) {
            const bool lacks_port = answer.error().code == rh::errc::port_exhaustion;
            return wanted || (lacks_port && may_lack_port(set))
                       ? ""
                       : "a commit was refused: " + answer.error().message;
        }
        if (answer->audit_ids.size() != set.audit.size()) return "an audit row has no id";
        auto row = answer->engines.begin();
        for (const auto& change : set.changes) {
            if (const auto* const erase = std::get_if<rh::erase_engine>(&change)) {
                rows_.erase({erase->product_id, erase->user_id});
                if (erase->undone) --fleets_[erase->product_id].provisions;
                else ++fleets_[erase->product_id].destroys;
            } else if (const auto* const put = std::get_if<rh::put_product>(&change)) {
                products_[put->record.id] = put->record;
                ++products_[put->record.id].revision;
            } else if (const auto* const gone = std::get_if<rh::erase_product>(&change)) {
                products_.erase(gone->product_id);
                fleets_.erase(gone->product_id);
            } else if (std::holds_alternative<rh::put_idempotency>(change)) {
                continue; // recounted by the cases of its own
            } else {
                if (row == answer->engines.end()) return "a commit returned too few rows";
                if (change.index() == 0) ++fleets_[(*row)->product_id].provisions;
                rows_[{(*row)->product_id, (*row)->user_id}] = **row;
                ++row;
            }
        }
        if (row != answer->engines.end()) return "a commit returned too many rows";
        for (std::size_t i = 0; i < set.audit.size(); ++i) {
            audit_.push_back(set.audit[i]);
            audit_.back().id = answer->audit_ids[i];
        }
        if (set.amend)
            for (auto& entry : audit_)
                if (entry.id == set.amend->id) entry.metadata = set.amend->metadata;
        return {};
    }

    /// Takes in a prune and its answer.
    std::string note(const prune& what, const rh::result<std::size_t>& answer) {
        std::size_t count = 0;
        while (count < what.most && count < audit_.size() && audit_[count].timestamp < what.before)
            ++count;
        if (!answer || *answer != count) return "a prune removed another number of rows";
        audit_.erase(audit_.begin(), audit_.begin() + static_cast<std::ptrdiff_t>(count));
        return {};
    }

    /// Recounts everything that a store can be asked.
    template <rh::store Store> std::string check(Store& store) const {
        auto differs = check_rows(store);
        for (const auto& product : random_operations::products()) {
            if (differs.empty()) differs = check_product(store, product);
            if (differs.empty()) differs = check_counters(store, product);
            if (differs.empty()) differs = check_listings(store, product);
            if (differs.empty()) differs = check_filtered_listings(store, product);
            if (differs.empty()) differs = check_quota(store, product);
            if (differs.empty()) differs = check_audit_of(store, product);
        }
        if (differs.empty()) differs = check_ports(store);
        return differs.empty() ? check_audit(store) : differs;
    }

private:
    struct fleet {
        std::uint64_t provisions = 0;
        std::uint64_t destroys = 0;
    };
    using engine_rows = std::map<rh::engine_owner, rh::engine_record>;
    using product_rows = std::map<rh::uuid, rh::product>;

    // Predictions: the changes one after the other on copies of the rows.

    /// Why a change set must be refused, ports aside; nothing if it must not be.
    [[nodiscard]] std::optional<std::string> predict(const rh::change_set& set) const {
        auto rows = rows_;
        auto products = products_;
        std::set<rh::uuid> erased;
        for (const auto& change : set.changes) {
            const auto refusal = std::visit(
                [&](const auto& next) { return make(next, rows, products); }, change);
            if (refusal) return refusal;
            if (const auto owner = grown(change); owner && erased.contains(*owner))
                return "a product that was erased gets something";
            if (const auto* const gone = std::get_if<rh::erase_product>(&change))
                erased.insert(gone->product_id);
        }
        return std::nullopt;
    }

    /// The product that a change adds something to; nothing if it adds nothing.
    static std::optional<rh::uuid> grown(const rh::change& change) {
        if (const auto* const insert = std::get_if<rh::insert_engine>(&change))
            return insert->record.product_id;
        if (const auto* const put = std::get_if<rh::put_product>(&change)) return put->record.id;
        if (const auto* const put = std::get_if<rh::put_idempotency>(&change))
            return put->record.id.product_id;
        return std::nullopt;
    }

    /// Why nothing may be added to a product that must be there; nothing if it may.
    static std::optional<std::string> closed(const rh::uuid& product,
                                             const product_rows& products) {
        const auto row = products.find(product);
        if (row == products.end()) return "a product is not there";
        return row->second.deleting_since ? std::optional<std::string>("a product is being deleted")
                                          : std::nullopt;
    }

    static std::uint64_t reserved(const engine_rows& rows, const rh::uuid& product) {
        std::uint64_t sum = 0;
        for (const auto& [owner, row] : rows)
            if (owner.product_id == product) sum += row.reserved_memory_mb;
        return sum;
    }

    static std::optional<std::string> make(const rh::insert_engine& insert, engine_rows& rows,
                                           const product_rows& products) {
        if (insert.needs_product)
            if (auto why = closed(insert.record.product_id, products)) return why;
        std::uint64_t count = 0;
        for (const auto& [owner, row] : rows) {
            if (short_id(row.id) == short_id(insert.record.id)) return "a short id is taken";
            if (owner.product_id == insert.record.product_id) ++count;
        }
        if (insert.max_engines && count >= *insert.max_engines) return "a quota is used up";
        const auto wanted = insert.record.reserved_memory_mb;
        if (insert.max_total_memory_mb && wanted > 0 &&
            reserved(rows, insert.record.product_id) + wanted > *insert.max_total_memory_mb)
            return "a quota of memory is used up";
        auto row = insert.record;
        row.revision = 1;
        const auto added = rows.try_emplace({row.product_id, row.user_id}, row).second;
        return added ? std::nullopt : std::optional<std::string>("an owner has an engine");
    }

    static std::optional<std::string> make(const rh::update_engine& update, engine_rows& rows,
                                           const product_rows&) {
        const auto row = rows.find({update.record.product_id, update.record.user_id});
        if (row == rows.end() || row->second.id != update.record.id ||
            row->second.revision != update.record.revision)
            return "a row has another revision";
        const auto before = row->second.reserved_memory_mb;
        const auto after = update.record.reserved_memory_mb;
        if (update.max_total_memory_mb && after > before &&
            reserved(rows, update.record.product_id) + after - before > *update.max_total_memory_mb)
            return "a quota of memory is used up";
        row->second = update.record;
        ++row->second.revision;
        return std::nullopt;
    }

    static std::optional<std::string> make(const rh::erase_engine& erase, engine_rows& rows,
                                           const product_rows&) {
        const auto row = rows.find({erase.product_id, erase.user_id});
        if (row == rows.end() || row->second.revision != erase.revision)
            return "a row has another revision";
        rows.erase(row);
        return std::nullopt;
    }

    static std::optional<std::string> make(const rh::put_product& put, const engine_rows&,
                                           product_rows& products) {
        const auto row = products.find(put.record.id);
        const auto revision = row == products.end() ? 0 : row->second.revision;
        if (put.record.revision != revision) return "a product has another revision";
        for (const auto& [id, other] : products) {
            if (id == put.record.id) continue;
            if (other.slug == put.record.slug) return "a slug is taken";
            for (const auto& key : put.record.keys)
                if (find_key(other, key.hash) != nullptr) return "a key is taken";
        }
        auto& stored = products[put.record.id];
        stored = put.record;
        ++stored.revision;
        return std::nullopt;
    }

    static std::optional<std::string> make(const rh::put_idempotency& put, const engine_rows&,
                                           const product_rows& products) {
        if (!put.needs_product) return std::nullopt;
        return closed(put.record.id.product_id, products);
    }

    static std::optional<std::string> make(const rh::erase_product& erase, const engine_rows& rows,
                                           product_rows& products) {
        const auto row = products.find(erase.product_id);
        if (row == products.end() || row->second.revision != erase.revision)
            return "a product has another revision";
        for (const auto& [owner, engine] : rows)
            if (owner.product_id == erase.product_id) return "a product has engines";
        products.erase(row);
        return std::nullopt;
    }

    /// Whether a change set can find no port left. Which ports its earlier changes hold is not
    /// known, so that each of them may hold any.
    [[nodiscard]] bool may_lack_port(const rh::change_set& set) const {
        auto rows = rows_;
        std::size_t earlier = 0;
        for (const auto& change : set.changes) {
            const rh::engine_record* record = nullptr;
            const std::optional<rh::port_request>* request = nullptr;
            if (const auto* const insert = std::get_if<rh::insert_engine>(&change)) {
                record = &insert->record;
                request = &insert->port;
            } else if (const auto* const update = std::get_if<rh::update_engine>(&change)) {
                record = &update->record;
                request = &update->port;
            } else if (const auto* const erase = std::get_if<rh::erase_engine>(&change)) {
                rows.erase({erase->product_id, erase->user_id});
            }
            if (request == nullptr || !*request) continue;
            if (free_ports(rows, *record, **request) <= earlier) return true;
            ++earlier;
        }
        return false;
    }

    /// The number of usable ports that an engine could hold, its own included.
    static std::size_t free_ports(const engine_rows& rows, const rh::engine_record& record,
                                  const rh::port_request& request) {
        std::set<std::uint16_t> free;
        for (auto port = request.min; port <= request.max; ++port)
            if (request.usable(port)) free.insert(port);
        for (const auto& [owner, row] : rows)
            if (row.id != record.id) free.erase(row.port);
        return free.size();
    }

    // Recounts

    static bool same(const rh::engine_record& left, const rh::engine_record& right) {
        return left.id == right.id && left.revision == right.revision &&
               left.sequence == right.sequence && left.port == right.port &&
               left.status == right.status && left.generation == right.generation &&
               left.reserved_memory_mb == right.reserved_memory_mb;
    }

    static bool same(const rh::audit_entry& left, const rh::audit_entry& right) {
        return left.id == right.id && left.timestamp == right.timestamp &&
               left.action == right.action && left.metadata == right.metadata;
    }

    template <rh::store Store> std::string check_rows(const Store& store) const {
        std::size_t count = 0;
        bool alike = true;
        const auto done = store.for_each_engine([&](const rh::result<rh::engine_ptr>& engine) {
            ++count;
            const auto row = engine ? rows_.find({(*engine)->product_id, (*engine)->user_id})
                                    : rows_.end();
            alike = alike && row != rows_.end() && same(row->second, **engine);
        });
        for (const auto& [owner, row] : rows_) {
            const auto found = store.find_engine(owner.product_id, owner.user_id);
            alike = alike && found && *found && same(**found, row);
        }
        return done && alike && count == rows_.size() ? "" : "the engines differ";
    }

    template <rh::store Store>
    std::string check_product(const Store& store, const rh::uuid& product) const {
        const auto found = store.find_product_by_id(product);
        const auto known = products_.find(product);
        if (!found || (*found != nullptr) != (known != products_.end())) return "a product differs";
        if (!*found) return {};
        return (*found)->slug == known->second.slug &&
                       (*found)->revision == known->second.revision &&
                       (*found)->deleting_since == known->second.deleting_since
                   ? ""
                   : "a product differs";
    }

    template <rh::store Store>
    std::string check_counters(const Store& store, const rh::uuid& product) const {
        rh::fleet_counts wanted;
        if (const auto known = fleets_.find(product); known != fleets_.end()) {
            wanted.total_provisions = known->second.provisions;
            wanted.total_destroys = known->second.destroys;
        }
        std::uint64_t rows = 0;
        for (const auto& [owner, row] : rows_) {
            if (owner.product_id != product) continue;
            ++rows;
            ++wanted.by_status.at(static_cast<std::size_t>(row.status));
        }
        const auto counts = store.counts(product);
        if (!counts || counts->by_status != wanted.by_status) return "a counter by status differs";
        if (counts->total() != rows) return "the total differs";
        if (counts->total_provisions != wanted.total_provisions) return "the provisions differ";
        if (counts->total_destroys != wanted.total_destroys) return "the destroys differ";
        if (counts->reserved_memory_mb != reserved(rows_, product))
            return "the reserved memory differs";
        return rows == wanted.total_provisions - wanted.total_destroys
                   ? ""
                   : "the engines are not the provisions less the destroys";
    }

    template <rh::store Store>
    std::string check_listings(const Store& store, const rh::uuid& product) const {
        std::vector<std::optional<rh::engine_status>> filters{std::nullopt};
        filters.insert(filters.end(), rh::all_engine_statuses.begin(),
                       rh::all_engine_statuses.end());
        for (const auto& status : filters) {
            std::map<std::uint64_t, rh::uuid> wanted; // by sequence
            for (const auto& [owner, row] : rows_)
                if (owner.product_id == product && (!status || row.status == *status))
                    wanted[row.sequence] = row.id;
            const auto page = store.list_engines({product, status, 0, everything});
            if (!page || page->total != wanted.size() || page->engines.size() != wanted.size())
                return "a listing has another size";
            const bool alike = std::ranges::equal(
                page->engines, wanted, [](const rh::engine_ptr& engine, const auto& row) {
                    return engine->sequence == row.first && engine->id == row.second;
                });
            if (!alike) return "a listing differs";
        }
        return {};
    }

    /// Listings by a few members of metadata and beginnings of user ids.
    template <rh::store Store>
    std::string check_filtered_listings(const Store& store, const rh::uuid& product) const {
        const rh::named_texts no_member;
        for (const auto& [prefix, metadata] :
             {std::pair<std::string, rh::named_texts>{"", {{"a", "b"}}},
              {"", {{"bb", "a"}}},
              {"", {{"c", "cc"}}},
              {"", {{"a", "a"}, {"b", "c"}}},
              {"a", no_member},
              {"user1", no_member},
              {std::string(255, 'u'), no_member},
              {"user", {{"a", "a"}}}}) {
            std::map<std::uint64_t, rh::uuid> wanted; // by sequence
            for (const auto& [owner, row] : rows_)
                if (owner.product_id == product && owner.user_id.starts_with(prefix) &&
                    has_all(row, metadata))
                    wanted[row.sequence] = row.id;
            const auto page = store.list_engines(
                {product, {}, 0, everything, {}, prefix, metadata});
            if (!page || page->total != wanted.size() || page->engines.size() != wanted.size())
                return "a filtered listing has another size";
            const bool alike = std::ranges::equal(
                page->engines, wanted, [](const rh::engine_ptr& engine, const auto& row) {
                    return engine->sequence == row.first && engine->id == row.second;
                });
            if (!alike) return "a filtered listing differs";
        }
        return {};
    }

    static bool has_all(const rh::engine_record& row, const rh::named_texts& metadata) {
        return std::ranges::all_of(metadata, [&](const auto& member) {
            const auto& own = rh::settings_of(row).metadata;
            const auto found = own.find(member.first);
            return found != own.end() && found->second == member.second;
        });
    }

    /// An insert that no store may make: it asks for a port, and no port is usable. `asked` has the
    /// ports that it was asked about.
    static rh::change_set impossible_insert(const rh::uuid& product, std::uint64_t max_engines,
                                            std::set<std::uint16_t>& asked) {
        rh::insert_engine insert;
        insert.record.id.bytes.fill(0xFE);
        insert.record.product_id = product;
        insert.record.user_id = "nobody";
        insert.max_engines = max_engines;
        insert.port = rh::port_request{random_operations::first_port, random_operations::last_port,
                                       [&asked](std::uint16_t port) {
                                           asked.insert(port);
                                           return false;
                                       }};
        rh::change_set set;
        set.changes.emplace_back(std::move(insert));
        return set;
    }

    /// The quota is used by exactly as many engines as the product has.
    template <rh::store Store>
    std::string check_quota(Store& store, const rh::uuid& product) const {
        const auto used = static_cast<std::uint64_t>(std::ranges::count_if(
            rows_, [&](const auto& row) { return row.first.product_id == product; }));
        std::set<std::uint16_t> asked;
        const auto full = store.commit(impossible_insert(product, used, asked));
        if (full || full.error().code != rh::errc::quota_exceeded)
            return "a quota that is used up has room";
        const auto room = store.commit(impossible_insert(product, used + 1, asked));
        if (room) return "an engine was inserted that can have no port";
        if (room.error().code != rh::errc::port_exhaustion)
            return "a quota that has room is used up";
        return {};
    }

    /// A store asks about each port of a range that no engine holds, and about no other.
    template <rh::store Store> std::string check_ports(Store& store) const {
        std::set<std::uint16_t> free;
        for (auto port = random_operations::first_port; port <= random_operations::last_port;
             ++port)
            free.insert(port);
        for (const auto& [owner, row] : rows_)
            if (row.port != 0 && free.erase(row.port) == 0) return "a port is held twice";
        std::set<std::uint16_t> asked;
        const auto refused = store.commit(
            impossible_insert(random_operations::products().front(), everything, asked));
        if (refused || refused.error().code != rh::errc::port_exhaustion)
            return "an engine was inserted that can have no port";
        return asked == free ? "" : "the ports that engines hold differ";
    }

    template <rh::store Store> std::string check_audit(const Store& store) const {
        std::size_t count = 0;
        bool alike = true;
        const auto done = store.for_each_audit(
            rh::instant::min(), [&](const rh::result<rh::audit_entry>& row) {
                alike = alike && row && count < audit_.size() && same(*row, audit_[count]);
                ++count;
            });
        return done && alike && count == audit_.size() ? "" : "the audit log differs";
    }

    /// The newest rows of a product.
    template <rh::store Store>
    std::string check_audit_of(const Store& store, const rh::uuid& product) const {
        rh::audit_query query;
        query.product_id = product;
        query.limit = 30;
        std::vector<rh::audit_entry> wanted;
        for (auto row = audit_.rbegin(); row != audit_.rend() && wanted.size() < query.limit; ++row)
            if (row->product_id == product) wanted.push_back(*row);
        const auto page = store.audit(query);
        const auto alike = [](const auto& left, const auto& right) { return same(left, right); };
        return page && std::ranges::equal(page->entries, wanted, alike)
                   ? ""
                   : "the audit rows of a product differ";
    }

    static constexpr auto everything = std::numeric_limits<std::uint32_t>::max();

    engine_rows rows_;
    product_rows products_;
    std::map<rh::uuid, fleet> fleets_;
    std::vector<rh::audit_entry> audit_; ///< Oldest first.
};

} // namespace roundhouse_tests
