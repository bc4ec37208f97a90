#pragma once

#include <roundhouse/http/answers.hpp>
#include <roundhouse/http/api.hpp>
#include <roundhouse/http/parameters.hpp>
#include <roundhouse/http/render.hpp>
#include <roundhouse/http/routes.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// The calls of administrators about engines, of all products or of one (SPEC §3).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

ROUNDHOUSE_DECL bool api::is_for_fleet_admin(const pending_call& call) {
    if (!call.keys.platform_key.empty() || call.keys.admin_key.empty()) return false;
    const auto endpoint = call.route.endpoint;
    return covers_all_products(endpoint) ||
           (endpoint != endpoint::admit && names_product(call.query));
}

ROUNDHOUSE_DECL std::optional<reply> api::for_fleet_admin(pending_call& call) const {
    const auto key = call.keys.admin_key;
    auto actor = admins_->actor_of(key);
    if (!actor) return refuse_key(call, key, wrong_admin_key());
    call.actor = std::move(*actor);
    auto asked = read_admin_query(call.query);
    if (!asked) return call.fail_with(asked.error());
    call.own_query = std::move(asked->rest);
    call.query = call.own_query;
    if (!asked->product) return about_all_products(call);
    const auto name = product_called(*std::move(asked->product));
    if (!name) return call.fail_with(no_such_product());
    const auto product = fleet_->acting_for(*name, call.actor);
    if (!product) return call.fail_with(product.error());
    return with_product(call, *product);
}

ROUNDHOUSE_DECL std::optional<reply> api::about_all_products(pending_call& call) const {
    if (!covers_all_products(call.route.endpoint)) return call.fail_with(missing_platform_key());
    if (auto refused = refuse_unused(call)) return refused;
    switch (call.route.endpoint) {
    case endpoint::list: {
        auto query = read_engine_query(call.query, uuid{}, &call.ignored);
        if (query) query->all_products = true;
        return list(call, std::move(query));
    }
    case endpoint::audit: {
        auto query = read_audit_query(call.query, uuid{}, &call.ignored);
        if (query) query->all_products = true;
        return audit(call, std::move(query));
    }
    case endpoint::status:
        return call.ask<fleet_status>(render_status_of_all, [&](completion<fleet_status> done) {
            fleet_->status_of_all(std::move(done));
        });
    case endpoint::metrics:
        return call.ask<fleet_metrics>(render_metrics, [&](completion<fleet_metrics> done) {
            fleet_->metrics_of_all(std::move(done));
        });
    default: return not_found_reply(call.id); // none of them covers all products
    }
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
