#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

/// The conditions of a commit, and the error with which each is refused.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// The owner has no engine.
struct owner_is_free {
    engine_owner owner;
};

/// No engine has an id with the same short id.
struct short_id_is_free {
    uuid engine_id;
};

/// The product has fewer than `max_engines` engines, where `taken` is added to their number: the
/// engines that earlier changes of the same set insert, less those that they erase.
struct quota_has_room {
    uuid product_id;
    std::uint64_t max_engines = 0;
    std::int64_t taken = 0;
};

/// The engines of the product have room for one that comes to reserve `wanted_mb` more, where
/// `taken_mb` is added to what they reserve: what earlier changes of the same set add, less what they
/// free.
struct memory_has_room {
    uuid product_id;
    std::uint64_t max_total_memory_mb = 0;
    std::int64_t wanted_mb = 0;
    std::int64_t taken_mb = 0;

    /// Whether it holds while they reserve so much.
    [[nodiscard]] bool holds_with(std::uint64_t reserved_mb) const noexcept {
        return reserved_mb + static_cast<std::uint64_t>(taken_mb + wanted_mb) <=
               max_total_memory_mb;
    }
};

/// The owner has this engine, at this revision.
struct engine_is_at {
    engine_owner owner;
    uuid engine_id;
    std::uint64_t revision = 0;
};

/// The product is at this revision; at revision 0 there is no such product.
struct product_is_at {
    uuid product_id;
    std::string slug; ///< As the change set names it, for the refusal.
    std::uint64_t revision = 0;
};

/// No other product has the slug.
struct slug_is_free {
    uuid product_id;
    std::string slug;
};

/// No other product has the platform key.
struct key_is_free {
    uuid product_id;
    std::string slug; ///< As the change set names it, for the refusal.
    sha256_digest key_hash{};
};

/// The product is stored, and is not being deleted.
struct product_is_open {
    uuid product_id;
};

/// The product has no engines, where `added` is added to their number: the engines that earlier
/// changes of the same set insert, less those that they erase.
struct product_is_empty {
    uuid product_id;
    std::int64_t added = 0;

    /// Whether it holds while the product has so many.
    [[nodiscard]] bool holds_with(std::uint64_t engines) const noexcept {
        return engines + static_cast<std::uint64_t>(added) == 0;
    }
};

/// What must hold of the stored state for a plan to be executed. `refusal` has the error of each.
///
/// `engine_is_at` and `product_is_at` state that the rows which were looked up for the plan have
/// not changed since. A store that makes the look-ups in the transaction that executes the plan
/// need not check them.
using commit_condition =
    std::variant<owner_is_free, short_id_is_free, quota_has_room, memory_has_room, engine_is_at,
                 product_is_at, slug_is_free, key_is_free, product_is_open, product_is_empty>;

/// The stored rows that a plan is made from.
class stored_rows {
public:
    /// Null if there is none.
    [[nodiscard]] virtual result<engine_ptr> find_engine(const uuid& product,
                                                         std::string_view user) const = 0;
    /// Null if there is none.
    [[nodiscard]] virtual result<product_ptr> find_product(const uuid& id) const = 0;

protected:
    stored_rows() = default;
    stored_rows(const stored_rows&) = default;
    stored_rows& operator=(const stored_rows&) = default;
    ~stored_rows() = default;
};

// Refusals

[[nodiscard]] inline error refusal(const owner_is_free& condition, const stored_rows&) {
    return {errc::engine_already_exists,
            "User '" + condition.owner.user_id + "' has an engine already."};
}

[[nodiscard]] inline error refusal(const short_id_is_free& condition, const stored_rows&) {
    return {errc::short_id_taken,
            "Another engine's id begins with " + short_id(condition.engine_id) + "."};
}

/// The slug of a product, or its id if it is not known.
[[nodiscard]] inline std::string slug_or_id(const uuid& product_id, const stored_rows& stored) {
    const auto product = stored.find_product(product_id);
    return product && *product ? (*product)->slug : to_string(product_id);
}

[[nodiscard]] inline error refusal(const quota_has_room& condition, const stored_rows& stored) {
    return {errc::quota_exceeded, "Product '" + slug_or_id(condition.product_id, stored) +
                                      "' at max_engines limit (" +
                                      std::to_string(condition.max_engines) +
                                      "). Destroy engines or ask the operator to raise the limit."};
}

[[nodiscard]] inline error refusal(const memory_has_room& condition, const stored_rows& stored) {
    return {
        errc::quota_exceeded,
        "Product '" + slug_or_id(condition.product_id, stored) + "' has no " +
            std::to_string(condition.wanted_mb) + " MiB left of its max_total_memory_mb (" +
            std::to_string(condition.max_total_memory_mb) +
            "). Destroy engines, set a lower limits.memory_mb, or ask the operator to raise the "
            "limit."};
}

[[nodiscard]] inline error refusal(const engine_is_at& condition, const stored_rows&) {
    return {errc::revision_conflict,
            "The record of user '" + condition.owner.user_id + "' has changed."};
}

[[nodiscard]] inline error refusal(const product_is_at& condition, const stored_rows&) {
    return {errc::revision_conflict, "The record of product '" + condition.slug + "' has changed."};
}

[[nodiscard]] inline error refusal(const slug_is_free& condition, const stored_rows&) {
    return {errc::product_slug_exists,
            "A product with slug '" + condition.slug +
                "' exists already. Choose another slug, or, if it is being deleted, wait until it "
                "is gone."};
}

[[nodiscard]] inline error refusal(const key_is_free& condition, const stored_rows&) {
    return {errc::invalid_request, "The platform key of product '" + condition.slug +
                                       "' is another product's already. Give it one of its own."};
}

/// What callers are told of a product that is not there.
[[nodiscard]] inline error no_product(const std::string& id_or_slug) {
    return {errc::product_not_found,
            "There is no product '" + id_or_slug + "'. Register it first."};
}

/// What callers are told of a product that is being deleted.
[[nodiscard]] inline error product_goes(const std::string& slug) {
    return {errc::product_deleting, "Product '" + slug +
                                        "' is being deleted, with its engines. Wait until it is "
                                        "gone, and register another one."};
}

[[nodiscard]] inline error refusal(const product_is_open& condition, const stored_rows& stored) {
    const auto product = stored.find_product(condition.product_id);
    if (!product) return product.error();
    const auto& row = *product;
    if (row && row->deleting_since) return product_goes(row->slug);
    return no_product(to_string(condition.product_id));
}

[[nodiscard]] inline error refusal(const product_is_empty& condition, const stored_rows& stored) {
    return {errc::product_not_empty,
            "Product '" + slug_or_id(condition.product_id, stored) +
                "' has engines. Destroy them, or delete it with cascade=true."};
}

/// The error of a commit whose plan has this condition, where it does not hold.
[[nodiscard]] inline error refusal(const commit_condition& failed, const stored_rows& stored) {
    return std::visit([&](const auto& condition) { return refusal(condition, stored); }, failed);
}

/// The error of a commit that finds no port to hold.
[[nodiscard]] inline error no_free_port(const port_request& wanted) {
    return {errc::port_exhaustion, "No free port in " + std::to_string(wanted.min) + "-" +
                                       std::to_string(wanted.max) +
                                       ": destroy engines, or widen ORCH_PORT_MIN-ORCH_PORT_MAX."};
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
