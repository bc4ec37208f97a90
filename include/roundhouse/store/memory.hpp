#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/detail/hash_index.hpp>
#include <roundhouse/detail/store_rules.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Keeps the fleet in memory, by the same transactional rules as a store on disk. What it holds
/// ends with it.
///
/// Thread-safe. Reads share a lock that a commit takes only while it swaps pointers.
class memory_store {
public:
    /// Keeps at most `max_audit_rows`: the oldest go first.
    explicit memory_store(std::size_t max_audit_rows = 1'000'000)
        : max_audit_rows_(max_audit_rows) {}

    [[nodiscard]] std::string_view name() const noexcept { return "memory"; }
    [[nodiscard]] std::optional<std::string> trouble() const { return std::nullopt; }

    [[nodiscard]] result<product_ptr> find_product(const sha256_digest& key_hash) const {
        const std::shared_lock lock(mutex_);
        const auto found = products_by_key_.find(key_hash);
        return found == products_by_key_.end() ? nullptr : found->second;
    }

    [[nodiscard]] result<product_ptr> find_product_named(std::string_view id_or_slug) const {
        const std::shared_lock lock(mutex_);
        if (const auto id = parse_uuid(id_or_slug)) return product_of(*id);
        const auto found = products_by_slug_.find(std::string(id_or_slug));
        return found == products_by_slug_.end() ? nullptr : found->second;
    }

    [[nodiscard]] result<engine_ptr> find_engine(const uuid& product, std::string_view user) const {
        const std::shared_lock lock(mutex_);
        return engine_of(product, user);
    }

    /// Has the processor fetch what `find_engine` will read first.
    void prefetch(const uuid& product, std::string_view user) const noexcept {
        engines_.prefetch(detail::engine_owner_hash::mix(product, user));
    }

    [[nodiscard]] result<engine_ptr> find_engine_by_id(const uuid& id) const {
        const std::shared_lock lock(mutex_);
        const auto found = engines_by_id_.find(id);
        return found == engines_by_id_.end() ? nullptr : found->second;
    }

    [[nodiscard]] result<engine_page> list_engines(const engine_query& query) const {
        const std::shared_lock lock(mutex_);
        engine_page page;
        const auto found = fleets_.find(query.product_id);
        if (found == fleets_.end()) return page;
        const auto& listed = query.status ? found->second.by_status[index(*query.status)]
                                          : found->second.all;
        page.total = listed.size();
        if (query.offset >= listed.size()) return page;
        for (auto it = std::next(listed.begin(), static_cast<std::ptrdiff_t>(query.offset));
             it != listed.end() && page.engines.size() < query.limit; ++it)
            page.engines.push_back(it->second);
        return page;
    }

    [[nodiscard]] result<void>
    for_each_engine(const std::function<void(const result<engine_ptr>&)>& visit) const {
        const std::shared_lock lock(mutex_);
        for (const auto& [id, engine] : engines_by_id_) visit(engine);
        return {};
    }

    [[nodiscard]] result<fleet_counts> counts(const uuid& product) const {
        const std::shared_lock lock(mutex_);
        const auto found = fleets_.find(product);
        return found == fleets_.end() ? fleet_counts{} : found->second.counts;
    }

    [[nodiscard]] result<audit_page> audit(const audit_query& query) const {
        const std::shared_lock lock(mutex_);
        audit_page page;
        if (query.limit == 0) return page;
        for (auto row = audit_.rbegin(); row != audit_.rend(); ++row) {
            if (!detail::matches(query, *row)) continue;
            if (page.entries.size() == query.limit) {
                page.next_before = page.entries.back().id;
                break;
            }
            page.entries.push_back(*row);
        }
        return page;
    }

    /// Applies the batch or nothing. Blocks for other commits, not for I/O.
    result<committed> commit(const change_set& set) {
        const std::lock_guard writing(commit_mutex_);
        draft staged;
        const auto sequence = last_sequence_;
        const auto port = next_port_;
        for (const auto& one : set.changes) {
            auto ok = std::visit([&](const auto& what) { return stage(what, staged); }, one);
            if (ok) continue;
            for (const auto flipped : staged.ports_flipped) ports_.flip(flipped);
            last_sequence_ = sequence;
            next_port_ = port;
            return unexpected(std::move(ok.error()));
        }
        const std::unique_lock lock(mutex_);
        return apply(staged, set);
    }

    [[nodiscard]] result<void>
    for_each_audit(instant since,
                   const std::function<void(const result<audit_entry>&)>& visit) const {
        const std::shared_lock lock(mutex_);
        for (const auto& row : audit_)
            if (row.timestamp >= since) visit(row);
        return {};
    }

    result<void> note_activity(std::span<const engine_activity> seen) {
        const std::lock_guard writing(commit_mutex_);
        const std::unique_lock lock(mutex_);
        for (const auto& one : seen) {
            const auto found = engines_by_id_.find(one.engine_id);
            if (found == engines_by_id_.end() || found->second->last_activity_at >= one.at)
                continue;
            auto noted = *found->second;
            noted.last_activity_at = one.at;
            replace(std::make_shared<const engine_record>(std::move(noted)));
        }
        return {};
    }

    result<std::size_t> prune_audit(instant before, std::size_t most) {
        const std::lock_guard writing(commit_mutex_);
        const std::unique_lock lock(mutex_);
        std::size_t removed = 0;
        for (; removed < most && !audit_.empty() && audit_.front().timestamp < before; ++removed)
            audit_.pop_front();
        return removed;
    }

private:
    /// A SHA-256 is as good a hash as any: eight bytes of it do.
    struct digest_hash {
        std::size_t operator()(const sha256_digest& digest) const noexcept {
            std::size_t value = 0;
            std::memcpy(&value, digest.data(), sizeof value);
            return value;
        }
    };

    using listing = std::map<std::uint64_t, engine_ptr>; // by sequence

    struct fleet {
        listing all;
        std::array<listing, all_engine_statuses.size()> by_status;
        fleet_counts counts;
    };

    /// One engine's way through a batch: null before an insert, null after an erase.
    struct engine_step {
        engine_ptr before;
        engine_ptr after;
        bool undone = false;
    };
    struct product_step {
        product_ptr before;
        product_ptr after;
    };
    struct draft {
        std::vector<engine_step> engines;
        std::vector<product_step> products;
        std::vector<std::uint16_t> ports_flipped;
        std::vector<engine_ptr> stored;
    };

    static std::size_t index(engine_status status) noexcept {
        return static_cast<std::size_t>(status);
    }

    static std::uint64_t short_id_bits(const uuid& id) noexcept {
        std::uint64_t bits = 0;
        std::memcpy(&bits, id.bytes.data(), 6);
        return bits;
    }

    static std::size_t hash_of(const engine_record& engine) noexcept {
        return detail::engine_owner_hash::mix(engine.product_id, engine.user_id);
    }
    static auto is(const uuid& product, std::string_view user) noexcept {
        return [&product, user](const engine_record& engine) {
            __builtin_prefetch(&engine.port); // an admit reads on from there, and here it waits
            return engine.user_id == user && engine.product_id == product;
        };
    }

    [[nodiscard]] product_ptr product_of(const uuid& id) const {
        const auto found = products_by_id_.find(id);
        return found == products_by_id_.end() ? nullptr : found->second;
    }

    [[nodiscard]] engine_ptr engine_of(const uuid& product, std::string_view user) const {
        const auto* const found = engines_.find(detail::engine_owner_hash::mix(product, user),
                                                is(product, user));
        return found == nullptr ? nullptr : *found;
    }

    // Staging reads what only commits change, under the commit mutex, and changes nothing but the
    // ports.

    [[nodiscard]] engine_ptr staged_engine(const draft& staged, const uuid& product,
                                           std::string_view user) const {
        for (auto step = staged.engines.rbegin(); step != staged.engines.rend(); ++step) {
            const auto& known = step->after ? step->after : step->before;
            if (known->product_id == product && known->user_id == user) return step->after;
        }
        return engine_of(product, user);
    }

    [[nodiscard]] bool short_id_is_taken(const draft& staged, const uuid& id) const {
        const auto bits = short_id_bits(id);
        bool taken = short_ids_.contains(bits);
        for (const auto& step : staged.engines) {
            if (!step.before && short_id_bits(step.after->id) == bits) taken = true;
            if (!step.after && short_id_bits(step.before->id) == bits) taken = false;
        }
        return taken;
    }

    [[nodiscard]] product_ptr staged_product(const draft& staged, const uuid& id) const {
        auto last = product_of(id);
        for (const auto& step : staged.products)
            if (step.after->id == id) last = step.after;
        return last;
    }

    [[nodiscard]] bool slug_is_taken(const draft& staged, const product& by) const {
        const auto has_it = [&](const uuid& id) {
            return id != by.id && staged_product(staged, id)->slug == by.slug;
        };
        for (const auto& step : staged.products)
            if (has_it(step.after->id)) return true;
        const auto named = products_by_slug_.find(by.slug);
        return named != products_by_slug_.end() && has_it(named->second->id);
    }

    [[nodiscard]] bool key_is_taken(const draft& staged, const product& by) const {
        const auto has_it = [&](const uuid& id) {
            return id != by.id && staged_product(staged, id)->key_hash == by.key_hash;
        };
        for (const auto& step : staged.products)
            if (has_it(step.after->id)) return true;
        const auto keyed = products_by_key_.find(by.key_hash);
        return keyed != products_by_key_.end() && has_it(keyed->second->id);
    }

    [[nodiscard]] std::uint64_t staged_total(const draft& staged, const uuid& product) const {
        const auto found = fleets_.find(product);
        auto total = found == fleets_.end() ? 0 : found->second.counts.total();
        for (const auto& step : staged.engines) {
            if (!step.before && step.after->product_id == product) ++total;
            if (!step.after && step.before->product_id == product) --total;
        }
        return total;
    }

    result<void> stage(const insert_engine& what, draft& staged) {
        const auto& record = what.record;
        if (staged_engine(staged, record.product_id, record.user_id))
            return unexpected(detail::has_engine(record.user_id));
        if (short_id_is_taken(staged, record.id))
            return unexpected(detail::begins_alike(record.id));
        if (what.max_engines && staged_total(staged, record.product_id) >= *what.max_engines) {
            const auto owner = staged_product(staged, record.product_id);
            return unexpected(detail::quota_reached(
                owner ? owner->slug : to_string(record.product_id), *what.max_engines));
        }
        auto stored = record;
        stored.revision = 1;
        stored.sequence = ++last_sequence_;
        stored.port = 0;
        if (auto ok = hold_port(what.port, stored, staged); !ok) return ok;
        add(staged, nullptr, std::make_shared<const engine_record>(std::move(stored)));
        return {};
    }

    result<void> stage(const update_engine& what, draft& staged) {
        const auto before = staged_engine(staged, what.record.product_id, what.record.user_id);
        if (!before || before->id != what.record.id || before->revision != what.record.revision)
            return unexpected(detail::engine_changed(what.record.user_id));
        auto stored = what.record;
        stored.revision = before->revision + 1;
        stored.sequence = before->sequence;
        stored.port = before->port;
        if (auto ok = hold_port(what.port, stored, staged); !ok) return ok;
        add(staged, before, std::make_shared<const engine_record>(std::move(stored)));
        return {};
    }

    result<void> stage(const erase_engine& what, draft& staged) {
        const auto before = staged_engine(staged, what.product_id, what.user_id);
        if (!before || before->revision != what.revision)
            return unexpected(detail::engine_changed(what.user_id));
        if (before->port != 0) flip_port(before->port, staged);
        staged.engines.push_back({before, nullptr, what.undone});
        return {};
    }

    result<void> stage(const put_product& what, draft& staged) {
        const auto before = staged_product(staged, what.record.id);
        if (before ? before->revision != what.record.revision : what.record.revision != 0)
            return unexpected(detail::product_changed(what.record.slug));
        if (slug_is_taken(staged, what.record))
            return unexpected(detail::slug_exists(what.record.slug));
        if (key_is_taken(staged, what.record))
            return unexpected(detail::key_in_use(what.record.slug));
        auto stored = what.record;
        stored.revision += 1;
        staged.products.push_back({before, std::make_shared<const product>(std::move(stored))});
        return {};
    }

    static void add(draft& staged, engine_ptr before, engine_ptr after) {
        staged.stored.push_back(after);
        staged.engines.push_back({std::move(before), std::move(after), false});
    }

    result<void> hold_port(const std::optional<port_request>& wanted, engine_record& record,
                           draft& staged) {
        if (!wanted) return {};
        const auto port = detail::choose_port(
            *wanted, record.port, next_port_,
            [this](std::uint16_t one) { return ports_.test(one); });
        if (!port) return unexpected(detail::no_free_port(*wanted));
        if (*port == record.port) return {};
        if (record.port != 0) flip_port(record.port, staged);
        flip_port(*port, staged);
        record.port = *port;
        return {};
    }

    /// Takes or frees a port at once; a batch that fails flips it back.
    void flip_port(std::uint16_t port, draft& staged) {
        ports_.flip(port);
        staged.ports_flipped.push_back(port);
    }

    // Applying cannot fail.

    committed apply(draft& staged, const change_set& set) {
        for (const auto& step : staged.products) {
            if (step.before) {
                products_by_key_.erase(step.before->key_hash);
                products_by_slug_.erase(step.before->slug);
            }
            products_by_id_[step.after->id] = step.after;
            products_by_slug_[step.after->slug] = step.after;
            products_by_key_[step.after->key_hash] = step.after;
        }
        for (const auto& step : staged.engines) apply(step);
        committed done{std::move(staged.stored), {}};
        for (const auto& row : set.audit) {
            audit_.push_back(row);
            audit_.back().id = ++last_audit_id_;
            done.audit_ids.push_back(last_audit_id_);
        }
        if (set.amend) amend(*set.amend);
        while (audit_.size() > max_audit_rows_) audit_.pop_front();
        return done;
    }

    void apply(const engine_step& step) {
        const auto& known = step.after ? step.after : step.before;
        auto& own = fleets_[known->product_id];
        if (step.before) {
            --own.counts.by_status[index(step.before->status)];
            own.by_status[index(step.before->status)].erase(known->sequence);
        }
        if (step.after) {
            ++own.counts.by_status[index(step.after->status)];
            replace(step.after);
        }
        if (!step.before) {
            short_ids_.insert(short_id_bits(known->id));
            ++own.counts.total_provisions;
        }
        if (!step.after) {
            own.all.erase(known->sequence);
            engines_by_id_.erase(known->id);
            engines_.erase(hash_of(*known), is(known->product_id, known->user_id));
            short_ids_.erase(short_id_bits(known->id));
            if (step.undone) --own.counts.total_provisions;
            else ++own.counts.total_destroys;
        }
    }

    /// Puts a record wherever the engine's last one is to be found.
    void replace(const engine_ptr& engine) {
        auto& own = fleets_[engine->product_id];
        own.by_status[index(engine->status)][engine->sequence] = engine;
        own.all[engine->sequence] = engine;
        engines_by_id_[engine->id] = engine;
        auto* const known = engines_.find(hash_of(*engine),
                                          is(engine->product_id, engine->user_id));
        if (known != nullptr) *known = engine;
        else engines_.insert(hash_of(*engine), engine);
    }

    void amend(const audit_entry& row) {
        const auto found = std::lower_bound(
            audit_.begin(), audit_.end(), row.id,
            [](const audit_entry& entry, std::uint64_t id) { return entry.id < id; });
        if (found != audit_.end() && found->id == row.id) found->metadata = row.metadata;
    }

    const std::size_t max_audit_rows_;

    std::mutex commit_mutex_; // one commit at a time; guards what only commits use
    std::bitset<65536> ports_;
    std::uint32_t next_port_ = 0;
    std::unordered_set<std::uint64_t> short_ids_;
    std::uint64_t last_sequence_ = 0;
    std::uint64_t last_audit_id_ = 0;

    mutable std::shared_mutex mutex_; // written only under both
    std::unordered_map<sha256_digest, product_ptr, digest_hash> products_by_key_;
    std::unordered_map<uuid, product_ptr> products_by_id_;
    std::unordered_map<std::string, product_ptr> products_by_slug_;
    detail::hash_index<engine_ptr> engines_; // by product and user
    std::unordered_map<uuid, engine_ptr> engines_by_id_;
    std::unordered_map<uuid, fleet> fleets_;
    std::deque<audit_entry> audit_;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
