#pragma once

#include <roundhouse/core/names.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// The calls about products themselves.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

[[nodiscard]] inline error no_product(const std::string& id_or_slug) {
    return {errc::product_not_found,
            "There is no product '" + id_or_slug + "'. Register it first."};
}

ROUNDHOUSE_DECL std::optional<error> orchestrator_state::refusal(const policy& limits) {
    if (const auto fault = core::check_policy(limits))
        return error{errc::invalid_request, "policy." + fault->member + ": " + fault->complaint};
    return std::nullopt;
}

ROUNDHOUSE_DECL void orchestrator_state::register_product(std::string slug,
                                                          std::string display_name, policy limits,
                                                          completion<registration> done) {
    register_product(std::move(slug), std::move(display_name), std::move(limits),
                     crypto::make_platform_key(services.entropy), std::move(done));
}

ROUNDHOUSE_DECL void orchestrator_state::register_product(std::string slug,
                                                          std::string display_name, policy limits,
                                                          std::string platform_key,
                                                          completion<registration> done) {
    if (closed.load()) return done(unexpected(going_away()));
    if (const auto fault = core::names::check_slug(slug))
        return done(fail(errc::invalid_request, "slug: " + *fault));
    if (const auto fault = core::names::check_display_name(display_name))
        return done(fail(errc::invalid_request, "display_name: " + *fault));
    if (auto refused = refusal(limits)) return done(unexpected(std::move(*refused)));
    product record;
    record.id = crypto::make_uuid(services.entropy);
    record.slug = std::move(slug);
    record.display_name = std::move(display_name);
    record.key_hash = crypto::sha256(platform_key);
    record.policy = std::move(limits);
    record.created_at = services.now();
    services.tasks.run(
        register_record(std::move(record), std::move(platform_key), std::move(done)));
}

ROUNDHOUSE_DECL asio::awaitable<void>
orchestrator_state::register_record(product record, std::string platform_key,
                                    completion<registration> done) {
    registration made{record.id, record.slug, std::move(platform_key)};
    auto row = row_by_admin(record);
    row.action = audit_action::policy_register;
    auto committing = commit_product(std::move(record), std::move(row));
    const auto stored = co_await std::move(committing);
    if (stored) done(std::move(made));
    else done(unexpected(stored.error()));
}

ROUNDHOUSE_DECL void orchestrator_state::set_policy(std::string id_or_slug, policy limits,
                                                    completion<policy> done) {
    if (closed.load()) return done(unexpected(going_away()));
    if (auto refused = refusal(limits)) return done(unexpected(std::move(*refused)));
    auto set = [limits](product& record, audit_entry& row) {
        row.action = audit_action::policy_update;
        record.policy = limits;
    };
    auto tell = [self = shared_from_this(), limits = std::move(limits),
                 done = std::move(done)](const result<product>& changed) {
        if (!changed) return done(unexpected(changed.error()));
        self->reconciler.policy_changed(*changed);
        done(limits);
    };
    services.tasks.run(change_product(std::move(id_or_slug), std::move(set), std::move(tell)));
}

ROUNDHOUSE_DECL void orchestrator_state::update_product(std::string id_or_slug,
                                                        product_changes changes,
                                                        completion<product_view> done) {
    if (closed.load()) return done(unexpected(going_away()));
    if (!changes.display_name) return describe_product(std::move(id_or_slug), std::move(done));
    if (const auto fault = core::names::check_display_name(*changes.display_name))
        return done(fail(errc::invalid_request, "display_name: " + *fault));
    auto rename = [name = std::move(*changes.display_name)](product& record, audit_entry& row) {
        row.action = audit_action::product_update;
        row.metadata = {{"display_name", name}};
        record.display_name = name;
    };
    auto tell = [self = shared_from_this(),
                 done = std::move(done)](const result<product>& changed) {
        if (!changed) return done(unexpected(changed.error()));
        self->describe(std::make_shared<const product>(*changed), done);
    };
    services.tasks.run(change_product(std::move(id_or_slug), std::move(rename), std::move(tell)));
}

/// Changes a product, also if others change it meanwhile. Answers with its record as it is stored.
ROUNDHOUSE_DECL asio::awaitable<void> orchestrator_state::change_product(std::string id_or_slug,
                                                                         product_change change,
                                                                         completion<product> done) {
    for (int attempt = 0; attempt < services.settings.commit_attempts; ++attempt) {
        pending_result<product_ptr> pending;
        services.store->read_product(id_or_slug, pending.complete());
        auto reading = pending.wait();
        const auto found = co_await std::move(reading);
        if (!found) co_return done(unexpected(found.error()));
        if (!*found) co_return done(unexpected(no_product(id_or_slug)));
        auto record = **found;
        auto row = row_by_admin(record);
        change(record, row);
        auto committing = commit_product(record, std::move(row));
        const auto stored = co_await std::move(committing);
        if (stored) {
            ++record.revision; // as the store has done
            co_return done(std::move(record));
        }
        if (stored.error().code != errc::revision_conflict)
            co_return done(unexpected(stored.error()));
    }
    done(fail(errc::internal_error, "The product kept changing. Try again."));
}

ROUNDHOUSE_DECL audit_entry orchestrator_state::row_by_admin(const product& product) const {
    audit_entry row;
    row.timestamp = services.now();
    row.product_id = product.id;
    row.actor = "admin";
    return row;
}

/// Adds or replaces a product, with its audit row.
ROUNDHOUSE_DECL asio::awaitable<result<void>> orchestrator_state::commit_product(product record,
                                                                                 audit_entry row) {
    change_set changes;
    changes.changes.push_back(put_product{std::move(record)});
    changes.audit.push_back(std::move(row));
    pending_result<committed> pending;
    services.store->commit(std::move(changes), pending.complete());
    auto committing = pending.wait();
    const auto done = co_await std::move(committing);
    if (!done) co_return unexpected(done.error());
    co_return result<void>{};
}

ROUNDHOUSE_DECL void orchestrator_state::describe_product(std::string id_or_slug,
                                                          completion<product_view> done) {
    auto tell = [self = shared_from_this(), id_or_slug,
                 done = std::move(done)](const result<product_ptr>& found) {
        if (!found) return done(unexpected(found.error()));
        if (!*found) return done(unexpected(no_product(id_or_slug)));
        self->describe(*found, done);
    };
    services.store->read_product(id_or_slug, std::move(tell));
}

/// Answers with a product and the numbers of its engines.
ROUNDHOUSE_DECL void orchestrator_state::describe(product_ptr product,
                                                  completion<product_view> done) const {
    const auto id = product->id;
    services.store->counts(id, [product = std::move(product),
                                done = std::move(done)](const result<fleet_counts>& counts) {
        if (counts) done(product_view{product, *counts});
        else done(unexpected(counts.error()));
    });
}

ROUNDHOUSE_DECL void orchestrator_state::list_products(product_query query,
                                                       completion<product_page> done) {
    services.store->list_products(query, std::move(done));
}

ROUNDHOUSE_DECL void orchestrator_state::find_product(std::string id_or_slug,
                                                      completion<product_ptr> done) {
    services.store->read_product(id_or_slug, std::move(done));
}

ROUNDHOUSE_DECL result<product_ptr>
orchestrator_state::authenticate(std::string_view platform_key) const {
    auto found = services.store->find_product(crypto::sha256(platform_key));
    if (found && !*found)
        return fail(errc::invalid_platform_key,
                    "The platform key is not known. Send the key that the registration returned.");
    return found;
}

ROUNDHOUSE_DECL result<product_ptr> orchestrator_state::current(const product_ptr& product) const {
    auto found = services.store->find_product(product->key_hash);
    if (found && !*found)
        return fail(errc::product_not_found,
                    "The platform key of product '" + product->slug + "' is not known any more.");
    return found;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
