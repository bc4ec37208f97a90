#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/store_plan.hpp>
#include <roundhouse/detail/engine_filters.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/detail/hash_index.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::memory {

/// The products and engines of a `memory_store`, with their indexes, counters and ports. Tells
/// whether a condition of a plan holds, and applies the plan's writes. Not thread-safe.
class fleet_rows final : public core::stored_rows {
public:
    // Look-ups

    [[nodiscard]] result<product_ptr> find_product(const uuid& id) const override {
        return found_in(products_by_id_, id);
    }
    [[nodiscard]] product_ptr find_product_by_slug(const std::string& slug) const {
        return found_in(products_by_slug_, slug);
    }
    [[nodiscard]] product_ptr find_product_by_key(const sha256_digest& key_hash) const {
        return found_in(products_by_key_, key_hash);
    }

    [[nodiscard]] product_page list_products(const product_query& query) const {
        product_page page;
        page.total = products_by_slug_.size();
        auto row = products_by_slug_.upper_bound(query.after);
        for (; row != products_by_slug_.end() && page.products.size() < query.limit; ++row)
            page.products.push_back(row->second);
        if (row != products_by_slug_.end() && !page.products.empty())
            page.next = page.products.back()->slug;
        return page;
    }

    [[nodiscard]] result<engine_ptr> find_engine(const uuid& product,
                                                 std::string_view user) const override {
        return engine_of(product, user);
    }
    [[nodiscard]] engine_ptr find_engine_by_id(const uuid& id) const {
        return found_in(engines_by_id_, id);
    }

    [[nodiscard]] engine_page list_engines(const engine_query& query) const {
        engine_page page;
        const auto found = fleets_.find(query.product_id);
        if (!query.all_products && found == fleets_.end()) return page;
        if (is_filtered(query))
            return query.all_products ? list_filtered_of_all(query)
                                      : read_filtered(query, filter_index(found->second));
        const auto& fleet = query.all_products ? everywhere_ : found->second.engines;
        const auto& listed = query.status ? fleet.by_status[index_of(*query.status)] : fleet.all;
        page.total = listed.size();
        if (query.offset >= listed.size()) return page;
        auto row = query.after ? listed.upper_bound(*query.after) : listed.begin();
        for (auto left = query.offset; left > 0 && row != listed.end(); --left) ++row;
        for (; row != listed.end() && page.engines.size() < query.limit; ++row)
            page.engines.push_back(row->second);
        if (row != listed.end() && !page.engines.empty()) page.next = page.engines.back()->sequence;
        return page;
    }

    void visit_engines(const std::function<void(const result<engine_ptr>&)>& visit) const {
        for (const auto& [id, engine] : engines_by_id_) visit(engine);
    }

    [[nodiscard]] fleet_counts counts(const uuid& product) const {
        const auto found = fleets_.find(product);
        return found == fleets_.end() ? fleet_counts{} : found->second.counts;
    }

    [[nodiscard]] fleet_counts counts_of_all() const {
        fleet_counts sum;
        for (const auto& [product, fleet] : fleets_) sum.add(fleet.counts);
        return sum;
    }

    [[nodiscard]] bool holds_port(std::uint16_t port) const { return ports_.test(port); }

    // Conditions

    [[nodiscard]] bool holds(const core::owner_is_free& condition) const {
        return engine_of(condition.owner.product_id, condition.owner.user_id) == nullptr;
    }
    [[nodiscard]] bool holds(const core::short_id_is_free& condition) const {
        return !short_ids_.contains(short_id_bits(condition.engine_id));
    }
    [[nodiscard]] bool holds(const core::quota_has_room& condition) const {
        const auto used = counts(condition.product_id).total();
        return used + static_cast<std::uint64_t>(condition.taken) < condition.max_engines;
    }
    [[nodiscard]] bool holds(const core::memory_has_room& condition) const {
        return condition.holds_with(counts(condition.product_id).reserved_memory_mb);
    }
    [[nodiscard]] bool holds(const core::engine_is_at& condition) const {
        const auto engine = engine_of(condition.owner.product_id, condition.owner.user_id);
        return engine && engine->id == condition.engine_id &&
               engine->revision == condition.revision;
    }
    [[nodiscard]] bool holds(const core::product_is_at& condition) const {
        const auto product = found_in(products_by_id_, condition.product_id);
        return (product ? product->revision : 0) == condition.revision;
    }
    [[nodiscard]] bool holds(const core::slug_is_free& condition) const {
        const auto product = find_product_by_slug(condition.slug);
        return product == nullptr || product->id == condition.product_id;
    }
    [[nodiscard]] bool holds(const core::key_is_free& condition) const {
        const auto product = find_product_by_key(condition.key_hash);
        return product == nullptr || product->id == condition.product_id;
    }

    [[nodiscard]] bool holds(const core::product_is_open& condition) const {
        const auto product = found_in(products_by_id_, condition.product_id);
        return product && !product->deleting_since;
    }
    [[nodiscard]] bool holds(const core::product_is_empty& condition) const {
        return condition.holds_with(counts(condition.product_id).total());
    }

    // Writes

    void apply(const core::product_write& write) {
        if (write.replaces) {
            for (const auto& key : write.replaces->keys) products_by_key_.erase(key.hash);
            products_by_slug_.erase(write.replaces->slug);
        }
        if (!write.row) {
            products_by_id_.erase(write.replaces->id);
            return;
        }
        products_by_id_[write.row->id] = write.row;
        products_by_slug_[write.row->slug] = write.row;
        for (const auto& key : write.row->keys) products_by_key_[key.hash] = write.row;
    }

    /// Forgets the counters of a product that is gone.
    void forget_fleet(const uuid& product) { fleets_.erase(product); }

    /// `before` is the row that the write replaces, null for an insert; `row` is the one that it
    /// puts, null for an erase.
    void apply(const core::engine_write& write, const engine_record* before,
               const engine_ptr& row) {
        const auto& engine = row ? *row : *before;
        core::apply(write.counters, fleets_[engine.product_id].counts);
        for (const auto& entry : write.removed) remove(entry, *before);
        for (const auto& entry : write.added) add(entry, row);
        if (row) put(row);
        else engines_.erase(hash_of(engine), is_owned_by{engine.product_id, engine.user_id});
        const auto held = before == nullptr ? std::uint16_t{0} : before->port;
        const auto holds = row == nullptr ? std::uint16_t{0} : row->port;
        ports_.reset(held);
        if (holds != 0) ports_.set(holds);
    }

    /// Replaces an engine's row wherever it is kept.
    void put(const engine_ptr& engine) {
        fleets_[engine->product_id].engines.put(engine);
        everywhere_.put(engine);
        engines_by_id_[engine->id] = engine;
        const auto hash = hash_of(*engine);
        auto* const stored = engines_.find(hash, is_owned_by{engine->product_id, engine->user_id});
        if (stored != nullptr) *stored = engine;
        else engines_.insert(hash, engine);
    }

private:
    /// Eight bytes of a SHA-256 are as good a hash as any.
    struct digest_hash {
        std::size_t operator()(const sha256_digest& digest) const noexcept {
            std::size_t value = 0;
            std::memcpy(&value, digest.data(), sizeof value);
            return value;
        }
    };

    /// Whether an engine is the one of a user of a product.
    struct is_owned_by {
        const uuid& product_id;
        std::string_view user_id;

        bool operator()(const engine_record& engine) const noexcept {
            return engine.user_id == user_id && engine.product_id == product_id;
        }
    };

    using listing = std::map<std::uint64_t, engine_ptr>; ///< By sequence.

    /// Engines in the order of their age.
    struct listings {
        listing all;
        std::array<listing, all_engine_statuses.size()> by_status;

        void put(const engine_ptr& engine) {
            by_status[index_of(engine->status)][engine->sequence] = engine;
            all[engine->sequence] = engine;
        }
    };

    /// The engines of one product.
    struct product_engines {
        listings engines;
        std::map<std::string, std::uint64_t> by_user; ///< Their sequences, as also in the next.
        std::map<std::pair<std::string, std::string>, std::set<std::uint64_t>> by_member;
        fleet_counts counts;
    };

    /// The engines of one product, for `read_filtered`.
    class filter_index {
    public:
        explicit filter_index(const product_engines& fleet) : fleet_(fleet) {}

        [[nodiscard]] engine_sequences with_member(const std::string& name,
                                                   const std::string& value) const {
            const auto found = fleet_.by_member.find({name, value});
            if (found == fleet_.by_member.end()) return {};
            return {found->second.begin(), found->second.end()};
        }
        [[nodiscard]] engine_sequences with_user_prefix(const std::string& prefix) const {
            engine_sequences found;
            const auto& users = fleet_.by_user;
            for (auto user = users.lower_bound(prefix);
                 user != users.end() && user->first.starts_with(prefix); ++user)
                found.push_back(user->second);
            std::ranges::sort(found);
            return found;
        }
        [[nodiscard]] bool has_status(std::uint64_t sequence, engine_status status) const {
            return fleet_.engines.by_status[index_of(status)].contains(sequence);
        }
        [[nodiscard]] engine_ptr read(std::uint64_t sequence) const {
            return found_in(fleet_.engines.all, sequence);
        }

    private:
        const product_engines& fleet_;
    };

    [[nodiscard]] engine_page list_filtered_of_all(const engine_query& query) const {
        std::vector<filter_index> indexes;
        for (const auto& [product, fleet] : fleets_) indexes.emplace_back(fleet);
        return read_filtered(query, std::span<const filter_index>(indexes));
    }

    static std::size_t index_of(engine_status status) noexcept {
        return static_cast<std::size_t>(status);
    }

    static std::uint64_t short_id_bits(const uuid& id) noexcept {
        std::uint64_t bits = 0;
        std::memcpy(&bits, id.bytes.data(), 6);
        return bits;
    }

    static std::size_t hash_of(const engine_record& engine) noexcept {
        return engine_owner_hash::mix(engine.product_id, engine.user_id);
    }

    template <class Map>
    static typename Map::mapped_type found_in(const Map& rows, const typename Map::key_type& key) {
        const auto found = rows.find(key);
        return found == rows.end() ? nullptr : found->second;
    }

    [[nodiscard]] engine_ptr engine_of(const uuid& product, std::string_view user) const {
        const auto* const found = engines_.find(engine_owner_hash::mix(product, user),
                                                is_owned_by{product, user});
        return found == nullptr ? nullptr : *found;
    }

    void add(const core::index_entry& entry, const engine_ptr& engine) {
        auto& fleet = fleets_[engine->product_id];
        switch (entry.index) {
        case core::engine_index::id: short_ids_.insert(short_id_bits(engine->id)); break;
        case core::engine_index::sequence:
        case core::engine_index::status: break; // they hold the row itself, which `put` puts there
        case core::engine_index::user: fleet.by_user[engine->user_id] = engine->sequence; break;
        case core::engine_index::metadata:
            fleet.by_member[entry.member].insert(engine->sequence);
            break;
        }
    }

    void remove(const core::index_entry& entry, const engine_record& engine) {
        auto& fleet = fleets_[engine.product_id];
        switch (entry.index) {
        case core::engine_index::id:
            engines_by_id_.erase(engine.id);
            short_ids_.erase(short_id_bits(engine.id));
            break;
        case core::engine_index::sequence:
            for (auto* const in : {&fleet.engines, &everywhere_}) in->all.erase(engine.sequence);
            break;
        case core::engine_index::status:
            for (auto* const in : {&fleet.engines, &everywhere_})
                in->by_status[index_of(entry.status)].erase(engine.sequence);
            break;
        case core::engine_index::user: fleet.by_user.erase(engine.user_id); break;
        case core::engine_index::metadata:
            if (const auto found = fleet.by_member.find(entry.member);
                found != fleet.by_member.end()) {
                found->second.erase(engine.sequence);
                if (found->second.empty()) fleet.by_member.erase(found);
            }
            break;
        }
    }

    std::unordered_map<sha256_digest, product_ptr, digest_hash> products_by_key_;
    std::unordered_map<uuid, product_ptr> products_by_id_;
    std::map<std::string, product_ptr> products_by_slug_;
    hash_index<engine_ptr> engines_; ///< By product and user.
    std::unordered_map<uuid, engine_ptr> engines_by_id_;
    std::unordered_set<std::uint64_t> short_ids_;
    std::unordered_map<uuid, product_engines> fleets_; ///< By product.
    listings everywhere_;                              ///< The engines of all products.
    std::bitset<65536> ports_;                         ///< Those that engines hold.
};

} // namespace detail::memory
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
