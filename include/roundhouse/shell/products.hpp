#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <string>
#include <utility>

/// Changes of products. They block on the store's commit. `Fleet` is `detail::fleet`.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Adds or replaces a product, with the row that tells it.
template <class Fleet>
result<void> put_product_row(Fleet& fleet, product record, audit_action action) {
    audit_entry row;
    row.timestamp = fleet.parts().clock->now();
    row.product_id = record.id;
    row.action = action;
    row.actor = "admin";
    change_set set;
    set.changes.push_back(put_product{std::move(record)});
    set.audit.push_back(std::move(row));
    const auto done = fleet.parts().store->commit(set);
    if (!done) return unexpected(done.error());
    return {};
}

template <class Fleet>
result<policy> replace_policy(Fleet& fleet, const std::string& id_or_slug, const policy& limits) {
    for (int attempt = 0; attempt < fleet.parts().settings.commit_attempts; ++attempt) {
        const auto found = fleet.parts().store->find_product_named(id_or_slug);
        if (!found) return unexpected(found.error());
        if (!*found)
            return fail(errc::product_not_found,
                        "There is no product '" + id_or_slug + "'. Register it first.");
        auto record = **found;
        record.policy = limits;
        const auto done = put_product_row(fleet, std::move(record), audit_action::policy_update);
        if (done) return limits;
        if (done.error().code != errc::revision_conflict) return unexpected(done.error());
    }
    return fail(errc::internal_error, "The policy kept changing. Try again.");
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
