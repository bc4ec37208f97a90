#pragma once

#include <roundhouse/core/names.hpp>
#include <roundhouse/http/answers.hpp>
#include <roundhouse/http/api.hpp>
#include <roundhouse/http/bodies.hpp>
#include <roundhouse/http/idempotency.hpp>
#include <roundhouse/http/identifiers.hpp>
#include <roundhouse/http/parameters.hpp>
#include <roundhouse/http/render.hpp>
#include <roundhouse/http/render_products.hpp>
#include <roundhouse/http/routes.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// The calls of administrators, all of which are about products.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

ROUNDHOUSE_DECL std::optional<reply> api::for_admin(pending_call& call) const {
    auto actor = admins_->actor_of(call.keys.admin_key);
    if (!actor) return refuse_key(call, call.keys.admin_key, wrong_admin_key());
    call.actor = std::move(*actor);
    if (auto refused = refuse_unused(call)) return refused;
    if (call.route.endpoint == endpoint::register_product) return register_product(call);
    if (call.route.endpoint == endpoint::list_products) return list_products(call);
    auto name = product_named(call.route.argument);
    if (!name) return call.fail_with(no_such_product());
    return about_product(call, *std::move(name));
}

ROUNDHOUSE_DECL error api::no_such_product() {
    return {errc::product_not_found,
            "There is no such product. Name it by its product_id or its slug."};
}

ROUNDHOUSE_DECL std::optional<reply> api::about_product(pending_call& call,
                                                        std::string name) const {
    const auto describe = [&](completion<product_view> done) {
        fleet_->describe_product(std::move(name), std::move(done));
    };
    switch (call.route.endpoint) {
    case endpoint::describe_product: return call.ask<product_view>(render_product, describe);
    case endpoint::get_policy:
        return call.ask<product_view>(
            [](const product_view& product) { return render_policy(product.record->policy); },
            describe);
    case endpoint::get_defaults:
        return call.ask<product_view>(
            [](const product_view& product) { return render_defaults(product.record->defaults); },
            describe);
    case endpoint::set_defaults: return set_defaults(call, std::move(name));
    case endpoint::update_product: return update_product(call, std::move(name));
    case endpoint::delete_product: return delete_product(call, std::move(name));
    case endpoint::set_policy: return set_policy(call, std::move(name));
    case endpoint::rotate_platform_key: return rotate_platform_key(call, std::move(name));
    case endpoint::delete_platform_key: return delete_platform_key(call, std::move(name));
    default: return not_found_reply(call.id); // none of them is about a product
    }
}

ROUNDHOUSE_DECL std::optional<reply> api::register_product(pending_call& call) const {
    auto body = call.take(read_register_body(call.in.body, &call.ignored));
    if (!body) return call.fail_with(body.error());
    if (call.in.idempotency_key) return register_product_once(call, std::move(*body));
    return call.ask<registration>(render_registration, [&](completion<registration> done) {
        fleet_->register_product(std::move(body->slug), std::move(body->display_name),
                                 std::move(body->policy), call.actor, std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::register_product_once(pending_call& call,
                                                                register_body body) const {
    auto key = read_idempotency_key(*call.in.idempotency_key);
    if (!key) return call.fail_with(key.error());
    idempotent_registration once{std::move(*key), digest_of(call.in)};
    once.write_answer = [](const registration& made) {
        return kept_text(render_registration(made));
    };
    return call.ask<std::string>(kept_reply, [&](completion<std::string> done) {
        fleet_->register_product_once(std::move(body.slug), std::move(body.display_name),
                                      std::move(body.policy), std::move(once), call.actor,
                                      std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<std::string> api::product_named(std::string_view segment) {
    std::string name;
    if (!percent_decode(segment, plus_sign::itself, name)) return std::nullopt;
    return product_called(std::move(name));
}

ROUNDHOUSE_DECL std::optional<std::string> api::product_called(std::string name) {
    if (const auto id = parse_uuid(name)) return to_string(*id);
    if (core::names::check_slug(name)) return std::nullopt;
    return name;
}

ROUNDHOUSE_DECL std::optional<reply> api::list_products(pending_call& call) const {
    auto query = call.take(read_product_query(call.query, &call.ignored));
    if (!query) return call.fail_with(query.error());
    return call.ask<product_page>(render_products, [&](completion<product_page> done) {
        fleet_->list_products(std::move(*query), std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::update_product(pending_call& call,
                                                         std::string name) const {
    auto changes = call.take(read_update_body(call.in.body, &call.ignored));
    if (!changes) return call.fail_with(changes.error());
    return call.ask<product_view>(render_product, [&](completion<product_view> done) {
        fleet_->update_product(std::move(name), std::move(*changes), call.actor, std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::delete_product(pending_call& call,
                                                         std::string name) const {
    const auto cascade = call.take(read_cascade(call.query, &call.ignored));
    if (!cascade) return call.fail_with(cascade.error());
    using deletion = product_deletion;
    return call.ask<deletion>(render_product_deletion, [&](completion<deletion> done) {
        fleet_->delete_product(std::move(name), *cascade, call.actor, std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::set_policy(pending_call& call, std::string name) const {
    auto body = call.take(read_policy_body(call.in.body, &call.ignored));
    if (!body) return call.fail_with(body.error());
    return call.ask<policy>(render_policy, [&](completion<policy> done) {
        fleet_->set_policy(std::move(name), std::move(*body), call.actor, std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::set_defaults(pending_call& call, std::string name) const {
    auto body = call.take(read_defaults_body(call.in.body, &call.ignored));
    if (!body) return call.fail_with(body.error());
    return call.ask<defaults_ptr>(render_defaults, [&](completion<defaults_ptr> done) {
        fleet_->set_defaults(std::move(name), std::move(*body), call.actor, std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::rotate_platform_key(pending_call& call,
                                                              std::string name) const {
    const auto overlap = call.take(read_rotate_body(call.in.body, &call.ignored));
    if (!overlap) return call.fail_with(overlap.error());
    using rotated = rotated_platform_key;
    return call.ask<rotated>(render_rotated_platform_key, [&](completion<rotated> done) {
        fleet_->rotate_platform_key(std::move(name), *overlap, call.actor, std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::delete_platform_key(pending_call& call,
                                                              std::string name) const {
    const auto id = detail::read_whole(call.route.key_id);
    if (!id)
        return call.fail_with({errc::platform_key_not_found,
                               "There is no such platform key. Name it by its key_id, a whole "
                               "number."});
    return call.ask<void>([id = *id] { return render_deleted_platform_key(id); },
                          [&](completion<void> done) {
                              fleet_->delete_platform_key(std::move(name), *id, call.actor,
                                                          std::move(done));
                          });
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
