#pragma once

#include <roundhouse/engine_settings.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// Records as stores return them: immutable, and valid for as long as the pointer is held. Null
/// means that there is no such record.
using engine_ptr = std::shared_ptr<const engine_record>;
using product_ptr = std::shared_ptr<const product>;

/// Asks a commit to hold a host port for an engine. An engine keeps its port while that is in the
/// range and usable. Without a request the port of a record does not change: the `port` of a record
/// in a change is ignored.
struct port_request {
    std::uint16_t min = 0;
    std::uint16_t max = 0; ///< Inclusive.
    /// Returns false for a port that a stranger has. Called inside the transaction, for candidates
    /// that no other engine holds. Must not call the store.
    std::function<bool(std::uint16_t)> usable;
};

/// Adds an engine. Fails with `engine_already_exists` if (product, user) has one, `short_id_taken`
/// if another engine has the same short id, `quota_exceeded` if the product has `max_engines`
/// already or its engines would reserve more than `max_total_memory_mb`, `port_exhaustion` if no
/// port is left.
struct insert_engine {
    engine_record record;
    std::optional<std::uint64_t> max_engines;
    std::optional<port_request> port;
    std::optional<std::uint64_t> max_total_memory_mb{};
    /// Fail with `product_not_found` unless the engine's product is stored, and with
    /// `product_deleting` if that is being deleted.
    bool needs_product = false;
};

/// Replaces an engine's record. Fails with `revision_conflict` unless the record carries the stored
/// revision, with `quota_exceeded` if it reserves more memory than before and the engines of the
/// product would then reserve more than `max_total_memory_mb`, and with `port_exhaustion` if no port
/// is left.
struct update_engine {
    engine_record record;
    std::optional<port_request> port;
    std::optional<std::uint64_t> max_total_memory_mb{};
};

/// Removes an engine, and frees its port and its share of the quota. Fails with `revision_conflict`
/// unless `revision` is the stored one.
struct erase_engine {
    uuid product_id;
    std::string user_id;
    std::uint64_t revision = 0;
    /// Whether the creation is undone: the engine then counts as never provisioned, instead of as
    /// destroyed.
    bool undone = false;
};

/// Adds a product, with revision 0, or replaces one, with the stored revision. Fails with
/// `revision_conflict` for any other revision, `product_slug_exists` if another product has the
/// slug, `invalid_request` if another product has one of the platform keys.
struct put_product {
    product record;
};

/// Adds the record of a call that was made with an idempotency key, in place of one with its id, and
/// removes the oldest of its product beyond `max_idempotency_records`.
struct put_idempotency {
    idempotency_record record;
    bool needs_product = false; ///< As that of `insert_engine`.
};

/// Removes a product that has no engines, with its keys, its counters and its idempotency records; its
/// audit rows stay. Fails with `revision_conflict` unless `revision` is the stored one, and with
/// `product_not_empty` if the product has engines. Later changes of the same set must not be about
/// it, or the set fails with `product_not_found`.
struct erase_product {
    uuid product_id;
    std::uint64_t revision = 0;
};

using change = std::variant<insert_engine, update_engine, erase_engine, put_product,
                            put_idempotency, erase_product>;

/// Whether a change is one of a product's record.
[[nodiscard]] inline bool is_about_product(const change& next) noexcept {
    return std::holds_alternative<put_product>(next) || std::holds_alternative<erase_product>(next);
}

/// A batch that is applied whole and durably, or not at all. Each change sees the effects of those
/// before it.
struct change_set {
    std::vector<change> changes;
    std::vector<audit_entry> audit; ///< Appended, with new ids.
    /// Replaces the metadata of the audit row with this id; ignored if there is no such row.
    std::optional<audit_entry> amend;
};

/// When an engine was last used.
struct engine_activity {
    uuid engine_id;
    instant at{};
};

/// The answer to a commit.
struct committed {
    std::vector<engine_ptr> engines; ///< As stored, one per insert or update, in order.
    std::vector<std::uint64_t> audit_ids;
};

/// Selects engines of one product, or of all, oldest first.
struct engine_query {
    uuid product_id{};
    std::optional<engine_status> status;
    std::size_t offset = 0; ///< Counted from `after`.
    std::size_t limit = 100;
    /// The `next` of a page, which this one follows whatever has been destroyed meanwhile.
    std::optional<std::uint64_t> after{};
    /// Only engines whose user ids begin with these bytes. Empty: all.
    std::string user_prefix{};
    /// Only engines whose metadata have all of these members, with these values.
    named_texts metadata{};
    bool all_products = false; ///< `product_id` does not count then.
};

struct engine_page {
    std::vector<engine_ptr> engines;
    std::uint64_t total = 0; ///< The number of matching engines on all pages.
    /// Of the last engine on this page, if more follow.
    std::optional<std::uint64_t> next{};
};

/// Selects products, in the order of their slugs.
struct product_query {
    std::size_t limit = 100;
    /// The `next` of a page, which this one follows; empty for the first page.
    std::string after{};
};

struct product_page {
    std::vector<product_ptr> products;
    std::uint64_t total = 0; ///< The number of products on all pages.
    /// The slug of the last product on this page, if more follow.
    std::optional<std::string> next{};
};

/// Selects audit rows of one product, or of all, newest first. `since` is inclusive, `until` and `before` are
/// exclusive.
struct audit_query {
    uuid product_id;
    std::optional<std::string> user_id;
    std::optional<uuid> engine_id;
    std::optional<audit_action> action;
    std::optional<instant> since;
    std::optional<instant> until;
    std::optional<std::uint64_t> before; ///< Only rows with a smaller id.
    std::size_t limit = 100;             ///< 0 selects none.
    /// Also rows that are about no product, and of products that are gone; `product_id` does not
    /// count then.
    bool all_products = false;

    /// A page of all products, unless it is about one engine, ends after so many rows that may match
    /// by their times, whether they do or not: no index leads to those of all products.
    static constexpr std::size_t most_examined = 10'000;
};

struct audit_page {
    std::vector<audit_entry> entries;
    /// `before` of the next page, if there is one. Of all products, a page may have fewer entries than
    /// it might, or none, and be followed by another.
    std::optional<std::uint64_t> next_before;
    /// Of the products in `entries` that there are; stores leave it empty.
    std::map<uuid, std::string> slugs = {};
};

/// The counters of one product, or their sums over all. Each commit updates them with the rows that it changes.
struct fleet_counts {
    std::array<std::uint64_t, all_engine_statuses.size()> by_status{};
    std::uint64_t total_provisions = 0;
    std::uint64_t total_destroys = 0;
    std::uint64_t reserved_memory_mb = 0; ///< The sum over its engines.

    [[nodiscard]] std::uint64_t of(engine_status status) const noexcept {
        return by_status[static_cast<std::size_t>(status)];
    }
    [[nodiscard]] std::uint64_t total() const noexcept {
        std::uint64_t sum = 0;
        for (const auto count : by_status) sum += count;
        return sum;
    }
    /// Adds those of another product.
    void add(const fleet_counts& other) noexcept {
        for (std::size_t i = 0; i < by_status.size(); ++i) by_status[i] += other.by_status[i];
        total_provisions += other.total_provisions;
        total_destroys += other.total_destroys;
        reserved_memory_mb += other.reserved_memory_mb;
    }
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
