#pragma once

#include <roundhouse/core/names.hpp>
#include <roundhouse/core/platform_keys.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/detail/pending_result.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/shell/orchestrator_state.hpp>
#include <roundhouse/shell/request_digest.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

/// How products come to be. The commit that registers a product for a call with an idempotency key
/// stores the record of the key with it, and the answer, which is known before: a crash leaves both or
/// neither.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

ROUNDHOUSE_DECL void orchestrator_state::register_product(std::string slug,
                                                          std::string display_name, policy limits,
                                                          std::string actor,
                                                          completion<registration> done) {
    register_product(std::move(slug), std::move(display_name), std::move(limits),
                     crypto::make_platform_key(services.entropy), std::move(actor),
                     std::move(done));
}

ROUNDHOUSE_DECL void orchestrator_state::register_product(std::string slug,
                                                          std::string display_name, policy limits,
                                                          std::string platform_key,
                                                          std::string actor,
                                                          completion<registration> done) {
    if (closed.load()) return done(unexpected(going_away()));
    auto record = new_product(std::move(slug), std::move(display_name), std::move(limits),
                              platform_key);
    if (!record) return done(unexpected(std::move(record.error())));
    services.tasks.run(register_record(std::move(*record), std::move(platform_key),
                                       std::move(actor), std::move(done)));
}

ROUNDHOUSE_DECL result<product>
orchestrator_state::new_product(std::string slug, std::string display_name, policy limits,
                                const std::string& platform_key) const {
    if (const auto fault = core::names::check_slug(slug))
        return fail(errc::invalid_request, "slug: " + *fault);
    if (const auto fault = core::names::check_display_name(display_name))
        return fail(errc::invalid_request, "display_name: " + *fault);
    if (auto refused = refusal(limits)) return unexpected(std::move(*refused));
    product record;
    record.id = crypto::make_uuid(services.entropy);
    record.slug = std::move(slug);
    record.display_name = std::move(display_name);
    record.policy = std::move(limits);
    record.created_at = services.now();
    record.keys = {{record.last_key_id, crypto::sha256(platform_key), record.created_at}};
    return record;
}

ROUNDHOUSE_DECL asio::awaitable<void>
orchestrator_state::register_record(product record, std::string platform_key, std::string actor,
                                    completion<registration> done) {
    registration made{record.id, record.slug, std::move(platform_key)};
    auto row = row_by_admin(record, std::move(actor));
    row.action = audit_action::policy_register;
    auto committing = commit_product(std::move(record), std::move(row));
    const auto stored = co_await std::move(committing);
    if (stored) done(std::move(made));
    else done(unexpected(stored.error()));
}

// With an idempotency key

ROUNDHOUSE_DECL void
orchestrator_state::register_product_once(std::string slug, std::string display_name, policy limits,
                                          idempotent_registration once, std::string actor,
                                          completion<std::string> done) {
    if (closed.load()) return done(unexpected(going_away()));
    if (const auto fault = core::names::check_idempotency_key(once.key))
        return done(fail(errc::invalid_request, "Idempotency-Key: " + *fault));
    auto key = crypto::make_platform_key(services.entropy);
    auto record = new_product(std::move(slug), std::move(display_name), std::move(limits), key);
    if (!record) return done(unexpected(std::move(record.error())));
    const idempotency_id id{{}, crypto::sha256(once.key)};
    if (!idempotent.begin(id, once.request, std::move(done))) return;
    registration_once wanted{std::move(*record), std::move(key), std::move(once), id,
                             std::move(actor)};
    services.tasks.run(register_once(std::move(wanted)));
}

/// An answer of the SDK as it is kept: the product's id, its slug and its key, one a line.
[[nodiscard]] inline std::string write_kept_registration(const registration& made) {
    return to_string(made.product_id) + "\n" + made.slug + "\n" + made.platform_key;
}

[[nodiscard]] inline result<registration> read_kept_registration(const std::string& kept) {
    std::istringstream in(kept);
    std::string id;
    registration out;
    std::getline(in, id);
    std::getline(in, out.slug);
    std::getline(in, out.platform_key);
    const auto product = parse_uuid(id);
    if (!product) return fail(errc::internal_error, "An answer that was kept is damaged.");
    out.product_id = *product;
    return out;
}

ROUNDHOUSE_DECL void orchestrator_state::register_product_once(std::string slug,
                                                               std::string display_name,
                                                               policy limits, std::string key,
                                                               std::string actor,
                                                               completion<registration> done) {
    idempotent_registration once{std::move(key), digest_of_registration(slug, display_name, limits),
                                 write_kept_registration};
    auto answered = [done = std::move(done)](const result<std::string>& kept) {
        if (kept) done(read_kept_registration(*kept));
        else done(unexpected(kept.error()));
    };
    register_product_once(std::move(slug), std::move(display_name), std::move(limits),
                          std::move(once), std::move(actor), std::move(answered));
}

ROUNDHOUSE_DECL asio::awaitable<void> orchestrator_state::register_once(registration_once wanted) {
    const auto id = wanted.id;
    auto making = answer_registration(std::move(wanted));
    const auto answer = co_await std::move(making);
    idempotent.end(id, answer);
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>>
orchestrator_state::answer_registration(registration_once wanted) {
    pending_result<idempotency_ptr> pending;
    services.store->find_idempotency(wanted.id, pending.complete());
    auto reading = pending.wait();
    const auto found = co_await std::move(reading);
    if (!found) co_return unexpected(found.error());
    const auto kept = *found;
    if (!kept || !is_in_force(*kept, services.now())) {
        auto making = make_registration(std::move(wanted));
        co_return co_await std::move(making);
    }
    if (kept->request != wanted.once.request) co_return unexpected(idempotency_mismatch());
    auto repeating = kept_registration(kept);
    co_return co_await std::move(repeating);
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>>
orchestrator_state::kept_registration(idempotency_ptr kept) {
    pending_result<product_ptr> pending;
    services.store->read_product(to_string(kept->engine_id), pending.complete());
    auto reading = pending.wait();
    const auto product = co_await std::move(reading);
    if (!product) co_return unexpected(product.error());
    if (!*product)
        co_return fail(errc::product_not_found,
                       "The product that was registered with this Idempotency-Key is gone. Send "
                       "another key to register one.");
    co_return services.keys.unseal(kept->sealed_answer);
}

ROUNDHOUSE_DECL asio::awaitable<result<std::string>>
orchestrator_state::make_registration(registration_once wanted) {
    const registration made{wanted.record.id, wanted.record.slug, wanted.platform_key};
    auto answer = wanted.once.write_answer(made);
    idempotency_record once{wanted.id, wanted.once.request, made.product_id, services.now()};
    once.sealed_answer = services.keys.seal(answer, services.now(), services.entropy);
    auto row = row_by_admin(wanted.record, wanted.actor);
    row.action = audit_action::policy_register;
    auto committing = commit_product(std::move(wanted.record), std::move(row), std::move(once));
    const auto stored = co_await std::move(committing);
    if (!stored) co_return unexpected(stored.error());
    co_return answer;
}

// With a key that an operator has configured

ROUNDHOUSE_DECL void orchestrator_state::configure_platform_key(std::string slug,
                                                                std::string platform_key,
                                                                duration overlap,
                                                                completion<configured_key> done) {
    if (closed.load()) return done(unexpected(going_away()));
    if (overlap < duration{0} || overlap > core::longest_key_overlap)
        return done(fail(errc::invalid_request, "The overlap must be 0 to 2592000 seconds."));
    services.tasks.run(
        install_key(std::move(slug), std::move(platform_key), overlap, std::move(done)));
}

ROUNDHOUSE_DECL asio::awaitable<void>
orchestrator_state::install_key(std::string slug, std::string platform_key, duration overlap,
                                completion<configured_key> done) {
    pending_result<product_ptr> pending;
    services.store->read_product(slug, pending.complete());
    auto reading = pending.wait();
    const auto found = co_await std::move(reading);
    if (!found) co_return done(unexpected(found.error()));
    if (!*found)
        co_return register_configured(std::move(slug), std::move(platform_key), std::move(done));
    const auto hash = crypto::sha256(platform_key);
    auto record = **found;
    const auto planned = core::configure_platform_key(record, hash, overlap, services.now());
    if (!planned) co_return done(unexpected(planned.error()));
    if (!planned->changed) co_return done(planned->outcome);
    change_configured_key(std::move(slug), hash, overlap, std::move(done));
}

ROUNDHOUSE_DECL void orchestrator_state::register_configured(std::string slug,
                                                             std::string platform_key,
                                                             completion<configured_key> done) {
    auto name = slug;
    auto record = new_product(std::move(slug), std::move(name), {}, platform_key);
    if (!record) return done(unexpected(std::move(record.error())));
    record->keys.front().configured = true;
    auto tell = [done = std::move(done)](const result<registration>& made) {
        if (made) done(configured_key::registered);
        else done(unexpected(made.error()));
    };
    services.tasks.run(register_record(std::move(*record), std::move(platform_key),
                                       std::string(admin_actor), std::move(tell)));
}

ROUNDHOUSE_DECL void orchestrator_state::change_configured_key(std::string slug,
                                                               const sha256_digest& hash,
                                                               duration overlap,
                                                               completion<configured_key> done) {
    const auto outcome = std::make_shared<configured_key>();
    auto install = [hash, overlap, outcome](product& record, audit_entry& row) -> result<void> {
        const auto changed = core::configure_platform_key(record, hash, overlap, row.timestamp);
        if (!changed) return unexpected(changed.error());
        *outcome = changed->outcome;
        const auto* const key = find_key(record, hash);
        row.action = changed->outcome == configured_key::rotated
                         ? audit_action::platform_key_rotated
                         : audit_action::product_update;
        if (key != nullptr) row.metadata.emplace_back("key_id", static_cast<std::int64_t>(key->id));
        if (changed->outcome == configured_key::rotated)
            row.metadata.emplace_back("overlap_ms", std::int64_t{overlap.count()});
        row.metadata.emplace_back("configured", true);
        return {};
    };
    auto tell = [outcome, done = std::move(done)](const result<product>& changed) {
        if (changed) done(*outcome);
        else done(unexpected(changed.error()));
    };
    services.tasks.run(
        change_product(std::move(slug), "system", std::move(install), std::move(tell)));
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
