#pragma once

#include <roundhouse/http/answers.hpp>
#include <roundhouse/http/api.hpp>
#include <roundhouse/http/bodies.hpp>
#include <roundhouse/http/credentials.hpp>
#include <roundhouse/http/idempotency.hpp>
#include <roundhouse/http/identifiers.hpp>
#include <roundhouse/http/parameters.hpp>
#include <roundhouse/http/render.hpp>
#include <roundhouse/http/routes.hpp>

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

ROUNDHOUSE_DECL api::api(std::shared_ptr<fleet_calls> fleet, api_options options)
    : fleet_(std::move(fleet)),
      admins_(std::make_unique<admin_keys>(std::move(options.admin_key),
                                           std::move(options.named_admins))),
      max_body_bytes_(options.max_body_bytes),
      log_(std::make_shared<const log_sink>(std::move(options.log))),
      wrong_keys_(std::make_unique<key_failures>()),
      compared_tokens_(std::make_unique<key_failures>()) {}

ROUNDHOUSE_DECL std::optional<reply> api::handle(const request& in,
                                                 std::function<void(reply)> later) const noexcept {
    struct to_function final : reply_channel {
        std::function<void(reply)> later;
        std::function<void(reply)> open() override { return std::move(later); }
    } channel;
    channel.later = std::move(later);
    return handle(in, channel);
}

ROUNDHOUSE_DECL std::optional<reply> api::handle(const request& in,
                                                 reply_channel& channel) const noexcept {
    std::string id;
    try {
        id = request_id_for(in.request_id);
        detail::pending_call call{in, channel, log_, id};
        return answer(call);
    } catch (...) {
        return detail::failed_inside(log_, id);
    }
}

ROUNDHOUSE_DECL std::optional<reply> api::answer(pending_call& call) const {
    const auto [path, query] = split(call.in.target);
    call.route = find_route(call.in.method, path);
    call.query = query;
    if (call.route.endpoint == endpoint::not_found) return not_found_reply(call.id);
    if (call.route.endpoint == endpoint::method_not_allowed)
        return method_not_allowed_reply(call.route.allow, call.id);
    if (call.in.body_too_large || call.in.body.size() > max_body_bytes_)
        return payload_too_large_reply(max_body_bytes_, call.id);
    call.keys = credentials_of(call.in);
    if (!call.keys.beside.empty() && is_second_key(call))
        return call.fail_with({errc::invalid_request,
                               "Authorization holds a key beside the one in X-Platform-Key or "
                               "X-Admin-Key. Send one key."});
    if (call.route.endpoint == endpoint::health) return health(call);
    if (fleet_->starting()) return call.fail_with(still_starting());
    return audience_of(call.route.endpoint) == audience::admin ? for_admin(call)
                                                               : for_product(call);
}

ROUNDHOUSE_DECL error api::still_starting() {
    return {errc::starting,
            "The server is starting and takes stock of its engines. Try again in a moment.", 1};
}

ROUNDHOUSE_DECL reply api::health(pending_call& call) const {
    const bool with_causes = !call.keys.admin_key.empty();
    if (with_causes && !admins_->actor_of(call.keys.admin_key))
        return refuse_key(call, call.keys.admin_key, wrong_admin_key());
    if (auto refused = refuse_unused(call)) return *std::move(refused);
    const auto health = fleet_->health();
    if (health.starting) return call.fail_with(still_starting());
    return call.settle(result<orchestrator_health>(health), [&](const orchestrator_health& seen) {
        return render_health(seen, with_causes);
    });
}

ROUNDHOUSE_DECL error api::wrong_admin_key() {
    return {
        errc::invalid_admin_key,
        "X-Admin-Key is missing or wrong. Send the key that the server was started with, or your "
        "own."};
}

ROUNDHOUSE_DECL error api::missing_platform_key() {
    return {
        errc::invalid_platform_key,
        "X-Platform-Key is missing. Send the key that the product got when it was registered. An "
        "administrator names the product instead: ?product=SLUG, with any call but admit."};
}

ROUNDHOUSE_DECL reply api::refuse_key(pending_call& call, std::string_view key, error cause) const {
    key_failures::verdict verdict;
    // A missing key is no guess.
    if (!key.empty()) verdict = wrong_keys_->note(call.in.client, key_failures::clock::now());
    if (verdict.unreported > 0 && *log_) log_wrong_keys(verdict.unreported, call.in.client);
    if (verdict.too_many)
        cause = {
            errc::too_many_failures,
            "Too many wrong keys came from here. Until a minute has passed without one, each is "
            "answered with this. Send the right key, which is served at once."};
    auto out = call.fail_with(cause);
    out.delay = verdict.delay;
    return out;
}

ROUNDHOUSE_DECL void api::log_wrong_keys(std::size_t count, std::string_view last_client) const {
    const std::array<log_field, 2> fields{log_field{"count", count},
                                          log_field{"address", last_client}};
    // A client without a name has no address.
    (*log_)({log_level::warning,
             "wrong keys were refused. If they are none of your products', block the last address",
             std::span(fields).first(last_client.empty() ? 1 : 2)});
}

ROUNDHOUSE_DECL bool api::is_second_key(const pending_call& call) const {
    if (looks_like_platform_key(call.keys.beside)) return true;
    const auto now = key_failures::clock::now();
    if (compared_tokens_->too_many(call.in.client, now)) return false;
    if (admins_->actor_of(call.keys.beside)) return true;
    (void)compared_tokens_->note(call.in.client, now);
    return false;
}

ROUNDHOUSE_DECL std::optional<reply> api::refuse_unused(pending_call& call) {
    const auto endpoint = call.route.endpoint;
    if (!call.query.empty() && !reads_query(endpoint)) read_unused_query(call.query, call.ignored);
    if (!call.in.body.empty() && !reads_body(endpoint))
        read_unused_body(call.in.body, call.ignored);
    const auto refusal = call.refusal();
    return refusal ? std::optional(call.fail_with(*refusal)) : std::nullopt;
}

ROUNDHOUSE_DECL std::optional<reply> api::for_product(pending_call& call) const {
    if (is_for_fleet_admin(call)) return for_fleet_admin(call);
    const auto key = call.keys.platform_key;
    if (key.empty()) return call.fail_with(missing_platform_key());
    const auto found = fleet_->authenticate(key);
    if (!found && found.error().code == errc::invalid_platform_key)
        return refuse_key(call, key, found.error());
    if (!found) return call.fail_with(found.error());
    return with_product(call, *found);
}

ROUNDHOUSE_DECL std::optional<reply> api::with_product(pending_call& call,
                                                       const product_ptr& product) const {
    if (auto refused = refuse_unused(call)) return refused;
    if (audience_of(call.route.endpoint) != audience::engine) return ask(call, product, {});
    std::string storage;
    const auto user_id = user_id_of(call.route.argument, storage);
    if (!user_id) return call.fail_with(user_id.error());
    return ask(call, product, *user_id);
}

ROUNDHOUSE_DECL std::optional<reply> api::ask(pending_call& call, const product_ptr& product,
                                              std::string_view user) const {
    switch (call.route.endpoint) {
    case endpoint::provision: return provision(call, product);
    case endpoint::find_by_id: return find_by_id(call, product);
    case endpoint::look_up: return look_up(call, product);
    case endpoint::list:
        return list(call, read_engine_query(call.query, product->id, &call.ignored));
    case endpoint::status:
        return call.ask<fleet_status>(render_status, [&](completion<fleet_status> done) {
            fleet_->status(product, std::move(done));
        });
    case endpoint::metrics:
        return call.ask<fleet_metrics>(render_metrics, [&](completion<fleet_metrics> done) {
            fleet_->metrics(product, std::move(done));
        });
    case endpoint::audit:
        return audit(call, read_audit_query(call.query, product->id, &call.ignored));
    case endpoint::find: return find(call, product, user);
    case endpoint::explain:
        return call.ask<engine_explanation>(
            render_explanation, [&](completion<engine_explanation> done) {
                fleet_->explain(product, std::string(user), std::move(done));
            });
    case endpoint::admit: return admit(call, product, user);
    case endpoint::activity: return activity(call, product, user);
    case endpoint::logs: return logs(call, product, user);
    case endpoint::change_settings: return change_settings(call, product, user);
    case endpoint::stop: return stop(call, product, user);
    case endpoint::start: return start(call, product, user);
    case endpoint::sleep: return sleep(call, product, user);
    case endpoint::upgrade: return upgrade(call, product, user);
    case endpoint::wake: return wake(call, product, user);
    case endpoint::rotate_key: return rotate_key(call, product, user);
    case endpoint::destroy:
        return call.ask<uuid>(render_destroyed, [&](completion<uuid> done) {
            fleet_->destroy(product, std::string(user), std::move(done));
        });
    case endpoint::not_found:
    case endpoint::method_not_allowed:
    case endpoint::health:
    case endpoint::register_product:
    case endpoint::list_products:
    case endpoint::describe_product:
    case endpoint::update_product:
    case endpoint::delete_product:
    case endpoint::get_policy:
    case endpoint::set_policy:
    case endpoint::get_defaults:
    case endpoint::set_defaults:
    case endpoint::rotate_platform_key:
    case endpoint::delete_platform_key: break; // answered before
    }
    return not_found_reply(call.id);
}

ROUNDHOUSE_DECL std::optional<reply> api::provision(pending_call& call,
                                                    const product_ptr& product) const {
    const auto wait = read_wait(call.query, &call.ignored);
    if (!wait) return call.fail_with(wait.error());
    auto body = call.take(read_provision_body(call.in.body, &call.ignored));
    if (!body) return call.fail_with(body.error());
    if (call.in.idempotency_key && *wait)
        return call.fail_with({errc::invalid_request,
                               "wait_s: cannot be chosen for a call with an Idempotency-Key, whose "
                               "answer is kept. Leave out one of the two."});
    if (call.in.idempotency_key) return provision_once(call, product, std::move(*body));
    if (*wait)
        return begin(call, product, body->user_id, engine_call::provision{std::move(body->options)},
                     **wait, render_progress);
    return call.ask<engine_view>(call.shown_by(render_engine), [&](completion<engine_view> done) {
        fleet_->provision(product, std::move(body->user_id), std::move(body->options),
                          std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply>
api::provision_once(pending_call& call, const product_ptr& product, provision_body body) const {
    auto key = read_idempotency_key(*call.in.idempotency_key);
    if (!key) return call.fail_with(key.error());
    idempotent_call once{std::move(*key), digest_of(call.in, call.seen_by())};
    once.write_answer = [log = call.log, id = call.id, render = call.shown_by(render_engine)](
                            const result<engine_view>& outcome) {
        return kept_text(detail::settled(log, id, outcome, render));
    };
    return call.ask<std::string>(kept_reply, [&](completion<std::string> done) {
        fleet_->provision_once(product, std::move(body.user_id), std::move(body.options),
                               std::move(once), std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::find_by_id(pending_call& call,
                                                     const product_ptr& product) const {
    const auto engine = parse_uuid(call.route.argument).value(); // or there is no such route
    return call.ask<engine_view>(call.shown_by(render_engine), [&](completion<engine_view> done) {
        fleet_->find_by_id(product, engine, std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::look_up(pending_call& call,
                                                  const product_ptr& product) const {
    auto users = call.take(read_lookup_body(call.in.body, &call.ignored));
    if (!users) return call.fail_with(users.error());
    using engines = std::vector<engine_view>;
    return call.ask<engines>(call.shown_by(render_looked_up), [&](completion<engines> done) {
        fleet_->look_up(product, std::move(*users), std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::list(pending_call& call,
                                               result<engine_query> read) const {
    const auto query = call.take(std::move(read));
    if (!query) return call.fail_with(query.error());
    return call.ask<engine_view_page>(
        call.shown_by(render_engines),
        [&](completion<engine_view_page> done) { fleet_->list(*query, std::move(done)); });
}

ROUNDHOUSE_DECL std::optional<reply> api::audit(pending_call& call,
                                                result<audit_query> read) const {
    auto query = call.take(std::move(read));
    if (!query) return call.fail_with(query.error());
    return call.ask<audit_page>(call.shown_by(render_audit), [&](completion<audit_page> done) {
        fleet_->audit(std::move(*query), std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::admit(pending_call& call, const product_ptr& product,
                                                std::string_view user) const {
    chosen_wait wait;
    if (!call.query.empty()) {
        const auto read = read_wait(call.query, &call.ignored);
        if (!read) return call.fail_with(read.error());
        wait = *read;
    }
    auto options = call.take(read_admit_body(call.in.body, &call.ignored));
    if (!options) return call.fail_with(options.error());
    options->wait = wait;
    if (const auto outcome = fleet_->try_admit(product, user, *options)) {
        auto out = call.settle(*outcome, render_admission);
        out.rate_limit = fleet_->rate_limit(product);
        return out;
    }
    // The fleet holds what it is asked, which must not hold the fleet.
    const auto tell_rate = [fleet = std::weak_ptr(fleet_), product](reply& out) {
        if (const auto asked = fleet.lock()) out.rate_limit = asked->rate_limit(product);
    };
    const auto begin = [&](completion<admission> done) {
        fleet_->admit(product, std::string(user), *options, std::move(done));
    };
    return call.ask<admission>(render_admission, begin, tell_rate);
}

ROUNDHOUSE_DECL std::optional<reply>
api::change_settings(pending_call& call, const product_ptr& product, std::string_view user) const {
    change_options options;
    if (call.in.if_match) {
        const auto revision = read_if_match(*call.in.if_match);
        if (!revision) return call.fail_with(revision.error());
        options.if_revision = *revision;
    }
    const auto restart = read_restart(call.query, &call.ignored);
    if (!restart) return call.fail_with(restart.error());
    options.restart = *restart;
    auto change = call.take(read_settings_body(call.in.body, &call.ignored));
    if (!change) return call.fail_with(change.error());
    return call.ask<engine_view>(call.shown_by(render_engine), [&](completion<engine_view> done) {
        fleet_->change_settings(product, std::string(user), std::move(*change), options,
                                std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::stop(pending_call& call, const product_ptr& product,
                                               std::string_view user) const {
    const auto query = call.take(read_stop_query(call.query, &call.ignored));
    if (!query) return call.fail_with(query.error());
    const auto [force, wait] = *query;
    if (wait)
        return begin(call, product, user, engine_call::stop{force}, *wait, render_stop_progress);
    return call.ask<void>(render_stopped, [&, force = force](completion<void> done) {
        fleet_->stop(product, std::string(user), force, std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::sleep(pending_call& call, const product_ptr& product,
                                                std::string_view user) const {
    const auto wait = read_wait(call.query, &call.ignored);
    if (!wait) return call.fail_with(wait.error());
    const auto mode = call.take(read_sleep_body(call.in.body, &call.ignored));
    if (!mode) return call.fail_with(mode.error());
    if (*wait)
        return begin(call, product, user, engine_call::sleep{*mode}, **wait, render_progress);
    return call.ask<engine_view>(call.shown_by(render_engine), [&](completion<engine_view> done) {
        fleet_->sleep(product, std::string(user), *mode, std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::upgrade(pending_call& call, const product_ptr& product,
                                                  std::string_view user) const {
    const auto wait = read_wait(call.query, &call.ignored);
    if (!wait) return call.fail_with(wait.error());
    auto options = call.take(read_upgrade_body(call.in.body, &call.ignored));
    if (!options) return call.fail_with(options.error());
    if (call.in.if_match) {
        const auto revision = read_if_match(*call.in.if_match);
        if (!revision) return call.fail_with(revision.error());
        options->if_revision = *revision;
    }
    if (*wait)
        return begin(call, product, user, engine_call::upgrade{std::move(*options)}, **wait,
                     render_progress);
    return call.ask<engine_view>(call.shown_by(render_engine), [&](completion<engine_view> done) {
        fleet_->upgrade(product, std::string(user), std::move(*options), std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::activity(pending_call& call, const product_ptr& product,
                                                   std::string_view user) const {
    const auto busy_for = call.take(read_activity_body(call.in.body, &call.ignored));
    if (!busy_for) return call.fail_with(busy_for.error());
    using sleeps_at = std::optional<instant>;
    return call.ask<sleeps_at>(render_activity, [&](completion<sleeps_at> done) {
        fleet_->note_activity(product, std::string(user), *busy_for, std::move(done));
    });
}

ROUNDHOUSE_DECL std::optional<reply> api::logs(pending_call& call, const product_ptr& product,
                                               std::string_view user) const {
    const auto query = call.take(read_log_query(call.query, &call.ignored));
    if (!query) return call.fail_with(query.error());
    if (query->follow || query->since) {
        const auto render = [follows = query->follow](const text_stream_ptr& lines) {
            return render_log_stream(lines, follows);
        };
        return call.ask<text_stream_ptr>(render, [&](completion<text_stream_ptr> done) {
            fleet_->stream_logs(product, std::string(user), *query, std::move(done));
        });
    }
    return call.ask<std::string>(render_logs, [&](completion<std::string> done) {
        fleet_->logs(product, std::string(user), *query->tail, std::move(done));
    });
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
