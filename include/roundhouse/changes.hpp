#pragma once

#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// What a store hands out: unchangeable, and alive for as long as somebody holds it. Null means
/// that there is none.
using engine_ptr = std::shared_ptr<const engine_record>;
using product_ptr = std::shared_ptr<const product>;

/// Asks a commit to hold a host port for an engine. The one that it has is kept if it is still
/// usable. Only so does a record's port change: what a record in a change says of it is not looked
/// at.
struct port_request {
    std::uint16_t min = 0;
    std::uint16_t max = 0; ///< inclusive
    /// Asked inside the transaction about each candidate that no engine holds: false where a
    /// stranger has it. Must not call the store.
    std::function<bool(std::uint16_t)> usable;
};

/// Adds an engine. Fails with `engine_already_exists` if (product, user) has one, `short_id_taken`
/// if another engine's id begins alike, `quota_exceeded` if the product has `max_engines` already,
/// `port_exhaustion` if no port is left.
struct insert_engine {
    engine_record record;
    std::optional<std::uint64_t> max_engines;
    std::optional<port_request> port;
};

/// Replaces an engine's record. Fails with `revision_conflict` unless it carries the revision that
/// is stored.
struct update_engine {
    engine_record record;
    std::optional<port_request> port;
};

/// Removes an engine, and frees its port and its place in the quota. Fails with `revision_conflict`
/// like an update.
struct erase_engine {
    uuid product_id;
    std::string user_id;
    std::uint64_t revision = 0;
    bool undone = false; ///< Its creation is taken back: it counts as never provisioned instead of
                         ///< as destroyed.
};

/// Adds a product (revision 0; fails with `product_slug_exists`) or replaces it (fails with
/// `revision_conflict`). Fails with `invalid_request` if another product has its key.
struct put_product {
    product record;
};

using change = std::variant<insert_engine, update_engine, erase_engine, put_product>;

/// A batch that is applied whole and durably, or not at all.
struct change_set {
    std::vector<change> changes;
    std::vector<audit_entry> audit; ///< Appended, with new ids.
    std::optional<audit_entry>
        amend; ///< Replaces the metadata of the row with this id; ignored if it is gone.
};

/// When an engine was last used.
struct engine_activity {
    uuid engine_id;
    instant at{};
};

/// What a commit made.
struct committed {
    std::vector<engine_ptr> engines; ///< As stored, one per insert or update, in order.
    std::vector<std::uint64_t> audit_ids;
};

/// Which engines of one product a listing shows; oldest first.
struct engine_query {
    uuid product_id;
    std::optional<engine_status> status;
    std::size_t offset = 0;
    std::size_t limit = 100;
};

struct engine_page {
    std::vector<engine_ptr> engines;
    std::uint64_t total = 0; ///< How many match, on this page or not.
};

/// Which audit rows of one product to show; newest first. `since` is inclusive, `until` and
/// `before` are exclusive.
struct audit_query {
    uuid product_id;
    std::optional<std::string> user_id;
    std::optional<uuid> engine_id;
    std::optional<audit_action> action;
    std::optional<instant> since;
    std::optional<instant> until;
    std::optional<std::uint64_t> before; ///< Rows with a smaller id only.
    std::size_t limit = 100;             ///< With 0 there is nothing to show.
};

struct audit_page {
    std::vector<audit_entry> entries;
    std::optional<std::uint64_t> next_before; ///< Set if older rows match too.
};

/// The counters of one product, kept in the transactions that change them.
struct fleet_counts {
    std::array<std::uint64_t, all_engine_statuses.size()> by_status{};
    std::uint64_t total_provisions = 0;
    std::uint64_t total_destroys = 0;

    [[nodiscard]] std::uint64_t of(engine_status status) const noexcept {
        return by_status[static_cast<std::size_t>(status)];
    }
    [[nodiscard]] std::uint64_t total() const noexcept {
        std::uint64_t sum = 0;
        for (const auto count : by_status) sum += count;
        return sum;
    }
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
