#pragma once

#include <roundhouse/bounded_calls.hpp>
#include <roundhouse/http/answers.hpp>
#include <roundhouse/http/api.hpp>
#include <roundhouse/http/parameters.hpp>
#include <roundhouse/http/render.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// Calls of products with `wait_s` and `wait_for`.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

ROUNDHOUSE_DECL std::optional<reply> api::begin(pending_call& call, const product_ptr& product,
                                                std::string_view user, engine_call_variant what,
                                                duration wait, progress_renderer render) const {
    return call.ask<call_progress>(call.shown_by(render), [&](completion<call_progress> done) {
        fleet_->begin(product, std::string(user), std::move(what), wait, std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::start(pending_call& call, const product_ptr& product,
                                                std::string_view user) const {
    const auto wait = call.take(read_wait(call.query, &call.ignored));
    if (!wait) return call.fail_with(wait.error());
    if (*wait) return begin(call, product, user, engine_call::start{}, **wait, render_progress);
    return call.ask<engine_view>(call.shown_by(render_engine), [&](completion<engine_view> done) {
        fleet_->start(product, std::string(user), std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::wake(pending_call& call, const product_ptr& product,
                                               std::string_view user) const {
    const auto wait = call.take(read_wait(call.query, &call.ignored));
    if (!wait) return call.fail_with(wait.error());
    if (*wait) return begin(call, product, user, engine_call::wake{}, **wait, render_progress);
    return call.ask<engine_view>(call.shown_by(render_engine), [&](completion<engine_view> done) {
        fleet_->wake(product, std::string(user), std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::rotate_key(pending_call& call, const product_ptr& product,
                                                     std::string_view user) const {
    const auto wait = call.take(read_wait(call.query, &call.ignored));
    if (!wait) return call.fail_with(wait.error());
    if (*wait)
        return begin(call, product, user, engine_call::rotate_key{}, **wait,
                     render_rotation_progress);
    return call.ask<std::string>(call.shown_by(render_rotated), [&](completion<std::string> done) {
        fleet_->rotate_key(product, std::string(user), std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::find(pending_call& call, const product_ptr& product,
                                               std::string_view user) const {
    const auto query = call.take(read_state_query(call.query, &call.ignored));
    if (!query) return call.fail_with(query.error());
    if (!query->wanted.empty())
        return call.ask<call_progress>(
            call.shown_by(render_progress), [&](completion<call_progress> done) {
                fleet_->wait_for(product, std::string(user), query->wanted, query->span,
                                 std::move(done));
            });
    return call.ask<engine_view>(call.shown_by(render_engine), [&](completion<engine_view> done) {
        fleet_->find(product, std::string(user), std::move(done));
    });
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
