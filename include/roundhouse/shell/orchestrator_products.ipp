#pragma once

#include <roundhouse/core/engine_settings_check.hpp>
#include <roundhouse/core/names.hpp>
#include <roundhouse/core/platform_keys.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/core/settings_change.hpp>
#include <roundhouse/core/settings_in_force.hpp>
#include <roundhouse/core/store_plan/conditions.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/crypto/sealed_env.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The calls about products that are registered.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// A product for the calls of somebody else; the same if that is nobody.
[[nodiscard]] inline product_ptr made_for(const std::string& caller, const product_ptr& product) {
    if (caller.empty()) return product;
    auto copy = *product;
    copy.called_by = caller;
    return std::make_shared<const roundhouse::product>(std::move(copy));
}

ROUNDHOUSE_DECL std::optional<error> orchestrator_state::refusal(const policy& limits) {
    if (const auto fault = core::check_policy(limits))
        return error{errc::invalid_request, "policy." + fault->member + ": " + fault->complaint};
    return std::nullopt;
}

ROUNDHOUSE_DECL void orchestrator_state::set_policy(std::string id_or_slug, policy limits,
                                                    std::string actor, completion<policy> done) {
    if (closed.load()) return done(unexpected(going_away()));
    if (auto refused = refusal(limits)) return done(unexpected(std::move(*refused)));
    auto set = [limits](product& record, audit_entry& row) -> result<void> {
        row.action = audit_action::policy_update;
        record.policy = limits;
        return {};
    };
    auto tell = [self = shared_from_this(), limits = std::move(limits),
                 done = std::move(done)](const result<product>& changed) {
        if (!changed) return done(unexpected(changed.error()));
        self->reconciler.policy_changed(*changed);
        done(limits);
    };
    services.tasks.run(
        change_product(std::move(id_or_slug), std::move(actor), std::move(set), std::move(tell)));
}

ROUNDHOUSE_DECL std::optional<std::string>
orchestrator_state::sealed_before(const product_defaults& before, const named_texts& env) const {
    const auto opens_to = [&](const std::string& sealed) {
        const auto known = crypto::unseal_env(sealed, services.keys);
        return known && *known == env;
    };
    if (opens_to(before.settings.sealed_env)) return before.settings.sealed_env;
    for (const auto& former : before.former)
        if (opens_to(former.sealed_env)) return former.sealed_env;
    return std::nullopt;
}

ROUNDHOUSE_DECL std::string
orchestrator_state::replace_defaults(product& record, const provision_options& given) const {
    const product_defaults none;
    const auto& before = record.defaults ? *record.defaults : none;
    const auto env = crypto::unseal_env(before.settings.sealed_env, services.keys);
    // Variables that cannot be read are none that anybody gives.
    auto was = core::options_of(before.settings, env ? *env : named_texts{{"", ""}});
    was.version = before.version;
    auto changed = core::differing_members(was, given);
    if (was.version != given.version)
        changed.insert(0, changed.empty() ? "engine_version" : "engine_version, ");
    if (changed.empty()) return changed;
    const auto wanted = sealed(given);
    auto settings = wanted ? *wanted : no_settings();
    if (const auto known = sealed_before(before, given.env)) settings.sealed_env = *known;
    record.defaults = std::make_shared<const product_defaults>(core::replaced_defaults(
        before, revision_of(record.defaults.get()) + 1, given.version, std::move(settings)));
    return changed;
}

ROUNDHOUSE_DECL void orchestrator_state::set_defaults(std::string id_or_slug,
                                                      provision_options given, std::string actor,
                                                      completion<defaults_ptr> done) {
    if (closed.load()) return done(unexpected(going_away()));
    if (const auto fault = core::check_options(given))
        return done(
            fail(errc::invalid_request, "defaults." + fault->member + ": " + fault->complaint));
    auto set = [self = shared_from_this(),
                given = std::move(given)](product& record, audit_entry& row) -> result<void> {
        row.action = audit_action::defaults_update;
        row.metadata = {{"changed", self->replace_defaults(record, given)}};
        return {};
    };
    auto tell = [self = shared_from_this(), id_or_slug,
                 done = std::move(done)](const result<product>& changed) {
        if (!changed) {
            // The commit may have been made all the same.
            if (changed.error().code == errc::store_unavailable) self->learn_defaults(id_or_slug);
            return done(unexpected(changed.error()));
        }
        self->services.defaults.learn(*changed);
        done(changed->defaults ? changed->defaults : std::make_shared<const product_defaults>());
    };
    services.tasks.run(
        change_product(std::move(id_or_slug), std::move(actor), std::move(set), std::move(tell)));
}

ROUNDHOUSE_DECL void orchestrator_state::learn_defaults(const std::string& id_or_slug) {
    services.store->read_product(id_or_slug,
                                 [self = shared_from_this()](const result<product_ptr>& found) {
                                     if (found && *found)
                                         self->services.defaults.learn(**found); // else a boot does
                                 });
}

ROUNDHOUSE_DECL void orchestrator_state::update_product(std::string id_or_slug,
                                                        product_changes changes, std::string actor,
                                                        completion<product_view> done) {
    if (closed.load()) return done(unexpected(going_away()));
    if (!changes.display_name) return describe_product(std::move(id_or_slug), std::move(done));
    if (const auto fault = core::names::check_display_name(*changes.display_name))
        return done(fail(errc::invalid_request, "display_name: " + *fault));
    auto rename = [name = std::move(*changes.display_name)](product& record,
                                                            audit_entry& row) -> result<void> {
        row.action = audit_action::product_update;
        row.metadata = {{"display_name", name}};
        record.display_name = name;
        return {};
    };
    auto tell = [self = shared_from_this(),
                 done = std::move(done)](const result<product>& changed) {
        if (!changed) return done(unexpected(changed.error()));
        self->describe(std::make_shared<const product>(*changed), done);
    };
    services.tasks.run(change_product(std::move(id_or_slug), std::move(actor), std::move(rename),
                                      std::move(tell)));
}

ROUNDHOUSE_DECL void
orchestrator_state::rotate_platform_key(std::string id_or_slug, duration overlap, std::string actor,
                                        completion<rotated_platform_key> done) {
    if (closed.load()) return done(unexpected(going_away()));
    if (overlap < duration{0} || overlap > core::longest_key_overlap)
        return done(fail(errc::invalid_request, "overlap_s must be 0 to 2592000 seconds."));
    auto key = crypto::make_platform_key(services.entropy);
    auto rotate = [hash = crypto::sha256(key), overlap](product& record, audit_entry& row) {
        auto rotated = core::rotate_platform_key(record, hash, overlap, row.timestamp);
        row.action = audit_action::platform_key_rotated;
        row.metadata = {{"key_id", static_cast<std::int64_t>(record.last_key_id)},
                        {"overlap_ms", std::int64_t{overlap.count()}}};
        return rotated;
    };
    auto tell = [key = std::move(key), done = std::move(done)](const result<product>& changed) {
        if (changed) done(rotated_platform_key{key, changed->keys.back().id});
        else done(unexpected(changed.error()));
    };
    services.tasks.run(change_product(std::move(id_or_slug), std::move(actor), std::move(rotate),
                                      std::move(tell)));
}

ROUNDHOUSE_DECL void orchestrator_state::delete_platform_key(std::string id_or_slug,
                                                             std::uint64_t key_id,
                                                             std::string actor,
                                                             completion<void> done) {
    if (closed.load()) return done(unexpected(going_away()));
    auto remove = [key_id](product& record, audit_entry& row) {
        row.action = audit_action::platform_key_deleted;
        row.metadata = {{"key_id", static_cast<std::int64_t>(key_id)}};
        return core::delete_platform_key(record, key_id);
    };
    auto tell = [done = std::move(done)](const result<product>& changed) {
        if (changed) done(result<void>{});
        else done(unexpected(changed.error()));
    };
    services.tasks.run(change_product(std::move(id_or_slug), std::move(actor), std::move(remove),
                                      std::move(tell)));
}

/// Changes a product, also if others change it meanwhile. Answers with its record as it is stored.
ROUNDHOUSE_DECL asio::awaitable<void> orchestrator_state::change_product(std::string id_or_slug,
                                                                         std::string actor,
                                                                         product_change change,
                                                                         completion<product> done) {
    for (int attempt = 0; attempt < services.settings.commit_attempts; ++attempt) {
        pending_result<product_ptr> pending;
        services.store->read_product(id_or_slug, pending.complete());
        auto reading = pending.wait();
        const auto found = co_await std::move(reading);
        if (!found) co_return done(unexpected(found.error()));
        if (!*found) co_return done(unexpected(core::no_product(id_or_slug)));
        if ((*found)->deleting_since)
            co_return done(unexpected(core::product_goes((*found)->slug)));
        auto record = **found;
        auto row = row_by_admin(record, actor);
        core::remove_expired_keys(record, row.timestamp);
        if (const auto changed = change(record, row); !changed)
            co_return done(unexpected(changed.error()));
        auto committing = commit_product(record, std::move(row));
        const auto stored = co_await std::move(committing);
        if (stored) {
            for (const auto& key : (*found)->keys)
                if (find_key(record, key.hash) == nullptr) key_uses.forget(key.hash);
            ++record.revision; // as the store has done
            co_return done(std::move(record));
        }
        if (stored.error().code != errc::revision_conflict)
            co_return done(unexpected(stored.error()));
    }
    done(fail(errc::internal_error, "The product kept changing. Try again."));
}

ROUNDHOUSE_DECL audit_entry orchestrator_state::row_by_admin(const product& product,
                                                             std::string actor) const {
    audit_entry row;
    row.timestamp = services.now();
    row.product_id = product.id;
    row.actor = std::move(actor);
    return row;
}

ROUNDHOUSE_DECL asio::awaitable<result<void>>
orchestrator_state::commit_product(product record, audit_entry row,
                                   std::optional<idempotency_record> once) {
    change_set changes;
    changes.changes.push_back(put_product{std::move(record)});
    if (once) changes.changes.push_back(put_idempotency{std::move(*once)});
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
        if (!*found) return done(unexpected(core::no_product(id_or_slug)));
        self->describe(*found, done);
    };
    services.store->read_product(id_or_slug, std::move(tell));
}

/// Answers with a product, its keys and the numbers of its engines.
ROUNDHOUSE_DECL void orchestrator_state::describe(product_ptr product,
                                                  completion<product_view> done) {
    const auto id = product->id;
    services.store->counts(id, [self = shared_from_this(), product = std::move(product),
                                done = std::move(done)](const result<fleet_counts>& counts) {
        if (counts) done(product_view{product, *counts, self->keys_of(*product)});
        else done(unexpected(counts.error()));
    });
}

ROUNDHOUSE_DECL std::vector<platform_key_view>
orchestrator_state::keys_of(const product& product) const {
    std::vector<platform_key_view> out;
    const auto now = services.now();
    for (const auto& key : product.keys)
        if (!core::has_expired(key, now))
            out.push_back({key.id, key.created_at, key_uses.last_use(key.hash), key.expires_at});
    return out;
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
    const auto hash = crypto::sha256(platform_key);
    auto found = services.store->find_product(hash);
    if (!found) return found;
    const auto now = services.now();
    const auto* const key = *found ? find_key(**found, hash) : nullptr;
    if (key == nullptr || core::has_expired(*key, now))
        return fail(errc::invalid_platform_key,
                    "The platform key is not known, or not any more. Send the one that the "
                    "registration or the last rotation returned.");
    key_uses.note(hash, now);
    return found;
}

ROUNDHOUSE_DECL result<product_ptr> orchestrator_state::current(const product_ptr& product) const {
    auto found = services.store->find_product_by_id(product->id);
    if (!found) return found;
    if (!*found) return unexpected(core::no_product(product->slug));
    return made_for(product->called_by, *found);
}

ROUNDHOUSE_DECL result<product_ptr> orchestrator_state::acting_for(std::string_view id_or_slug,
                                                                   std::string actor) const {
    auto found = services.store->find_product_named(id_or_slug);
    if (!found) return found;
    if (!*found) return unexpected(core::no_product(std::string(id_or_slug)));
    return made_for(actor, *found);
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
