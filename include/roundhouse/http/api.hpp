#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/names.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/http/answers.hpp>
#include <roundhouse/http/bodies.hpp>
#include <roundhouse/http/identifiers.hpp>
#include <roundhouse/http/parameters.hpp>
#include <roundhouse/http/render.hpp>
#include <roundhouse/http/reply.hpp>
#include <roundhouse/http/request.hpp>
#include <roundhouse/http/routes.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

struct api_options {
    std::string admin_key = {}; ///< Only its SHA-256 is kept. Empty: every admin call is refused.
    std::size_t max_body_bytes = 64 * 1024;
    /// Gets the reasons of internal errors, which callers do not see. May be called from any
    /// thread.
    std::function<void(std::string_view)> log = {};
};

/// The HTTP API (SPEC §3) without a transport: from a request to a reply, now or later.
///
/// `Orchestrator` is `roundhouse::orchestrator` or anything with the same calls. One api serves any
/// number of threads. It may go while answers are under way; they come all the same.
template <class Orchestrator> class api {
public:
    api(std::shared_ptr<Orchestrator> orchestrator, api_options options)
        : orchestrator_(std::move(orchestrator)),
          admin_key_hash_(crypto::sha256(options.admin_key)),
          has_admin_key_(!options.admin_key.empty()),
          max_body_bytes_(options.max_body_bytes),
          log_(std::make_shared<const std::function<void(std::string_view)>>(
              std::move(options.log))) {
        OPENSSL_cleanse(options.admin_key.data(), options.admin_key.size());
    }

    /// How long a request's body may be. A transport need not read more: it sets
    /// `request::body_too_large` instead.
    [[nodiscard]] std::size_t max_body_bytes() const noexcept { return max_body_bytes_; }

    /// Answers at once where it can, and never calls `later` then. Else it returns nothing and
    /// `later` is called once, from the orchestrator's executor and never from inside this call.
    /// Does not block. What `later` throws is lost.
    [[nodiscard]] std::optional<reply> handle(const request& in,
                                              std::function<void(reply)> later) const noexcept {
        std::string id;
        try {
            id = request_id_for(in.request_id);
            detail::call now{in, std::move(later), log_, id};
            return answer(now);
        } catch (...) {
            return detail::failed_inside(log_, id);
        }
    }

private:
    using call = detail::call;

    /// What needs no key comes first, then the key, and only then anything about what was asked.
    std::optional<reply> answer(call& now) const {
        const auto [path, query] = split(now.in.target);
        now.where = find_route(now.in.method, path);
        now.query = query;
        if (now.where.what == endpoint::not_found) return not_found_reply(now.id);
        if (now.where.what == endpoint::method_not_allowed)
            return method_not_allowed_reply(now.where.allow, now.id);
        if (now.in.body_too_large || now.in.body.size() > max_body_bytes_)
            return payload_too_large_reply(max_body_bytes_, now.id);
        if (now.where.what == endpoint::health) return health(now);
        if (orchestrator_->starting()) return now.fail_with(still_starting());
        if (now.where.what == endpoint::register_product || now.where.what == endpoint::set_policy)
            return for_admin(now);
        return for_product(now);
    }

    static error still_starting() {
        return {errc::starting,
                "The server is starting and takes stock of its engines. Try again in a moment.", 1};
    }

    reply health(const call& now) const {
        const auto found = orchestrator_->health();
        if (found.starting) return now.fail_with(still_starting());
        return now.settle(result<orchestrator_health>(found), render_health);
    }

    [[nodiscard]] bool is_admin(std::string_view key) const {
        return has_admin_key_ && crypto::equal_constant_time(crypto::sha256(key), admin_key_hash_);
    }

    std::optional<reply> for_admin(call& now) const {
        if (!is_admin(now.in.admin_key))
            return now.fail_with({errc::invalid_admin_key,
                                  "X-Admin-Key is missing or wrong. Send the key that the "
                                  "server was started with."});
        return now.where.what == endpoint::register_product ? register_product(now)
                                                            : set_policy(now);
    }

    std::optional<reply> register_product(call& now) const {
        auto body = read_register_body(now.in.body);
        if (!body) return now.fail_with(body.error());
        orchestrator_->async_register_product(std::move(body->slug), std::move(body->display_name),
                                              std::move(body->policy),
                                              now.when_done(render_registration));
        return std::nullopt;
    }

    /// The product_id, in lower case, or the slug of a path; nothing if it can be neither.
    static std::optional<std::string> product_named(std::string_view segment) {
        std::string name;
        if (!percent_decode(segment, plus_sign::itself, name)) return std::nullopt;
        if (const auto id = parse_uuid(name)) return to_string(*id);
        if (core::names::check_slug(name)) return std::nullopt;
        return name;
    }

    std::optional<reply> set_policy(call& now) const {
        const auto name = product_named(now.where.argument);
        if (!name)
            return now.fail_with(
                {errc::product_not_found,
                 "There is no such product. Name it by its product_id or its slug."});
        auto body = read_policy_body(now.in.body);
        if (!body) return now.fail_with(body.error());
        orchestrator_->async_set_policy(*name, std::move(*body), now.when_done(render_policy));
        return std::nullopt;
    }

    std::optional<reply> for_product(call& now) const {
        if (now.in.platform_key.empty())
            return now.fail_with({errc::invalid_platform_key,
                                  "X-Platform-Key is missing. Send the key that the "
                                  "product got when it was registered."});
        const auto found = orchestrator_->authenticate(now.in.platform_key);
        if (!found) return now.fail_with(found.error());
        const product_ptr& product = *found;
        switch (now.where.what) {
        case endpoint::provision: return provision(now, product);
        case endpoint::list: return list(now, product);
        case endpoint::status: return now.settle(orchestrator_->status(product), render_status);
        case endpoint::metrics: return now.settle(orchestrator_->metrics(product), render_metrics);
        case endpoint::audit: return audit(now, product);
        default: return for_engine(now, product);
        }
    }

    std::optional<reply> provision(call& now, const product_ptr& product) const {
        auto body = read_provision_body(now.in.body);
        if (!body) return now.fail_with(body.error());
        orchestrator_->async_provision(product, std::move(body->user_id),
                                       std::move(body->engine_version),
                                       now.when_done(render_provisioned));
        return std::nullopt;
    }

    reply list(const call& now, const product_ptr& product) const {
        const auto query = read_engine_query(now.query, product->id);
        if (!query) return now.fail_with(query.error());
        return now.settle(orchestrator_->list(*query), render_engines);
    }

    std::optional<reply> audit(call& now, const product_ptr& product) const {
        auto query = read_audit_query(now.query, product->id);
        if (!query) return now.fail_with(query.error());
        orchestrator_->async_audit(product, std::move(*query), now.when_done(render_audit));
        return std::nullopt;
    }

    std::optional<reply> for_engine(call& now, const product_ptr& product) const {
        std::string storage;
        const auto named = user_id_of(now.where.argument, storage);
        if (!named) return now.fail_with(named.error());
        const std::string_view user = *named;
        switch (now.where.what) {
        case endpoint::admit: return admit(now, product, user);
        case endpoint::find: return now.settle(orchestrator_->find(product, user), render_engine);
        case endpoint::stop: return stop(now, product, user);
        case endpoint::activity: return activity(now, product, user);
        case endpoint::logs: return logs(now, product, user);
        case endpoint::start:
            orchestrator_->async_start(product, std::string(user), now.when_done(render_started));
            return std::nullopt;
        case endpoint::rotate_key:
            orchestrator_->async_rotate_key(product, std::string(user),
                                            now.when_done(render_rotated));
            return std::nullopt;
        case endpoint::destroy:
            orchestrator_->async_destroy(product, std::string(user),
                                         now.when_done(render_destroyed));
            return std::nullopt;
        default: return not_found_reply(now.id);
        }
    }

    /// The hot path: an engine that runs is admitted right here.
    std::optional<reply> admit(call& now, const product_ptr& product, std::string_view user) const {
        const auto options = read_admit_body(now.in.body);
        if (!options) return now.fail_with(options.error());
        if (const auto outcome = orchestrator_->try_admit(product, user, *options))
            return now.settle(*outcome, render_admission);
        orchestrator_->async_admit(product, std::string(user), *options,
                                   now.when_done(render_admission));
        return std::nullopt;
    }

    std::optional<reply> stop(call& now, const product_ptr& product, std::string_view user) const {
        const auto force = read_force(now.query);
        if (!force) return now.fail_with(force.error());
        orchestrator_->async_stop(product, std::string(user), *force,
                                  now.when_done(render_stopped));
        return std::nullopt;
    }

    std::optional<reply> activity(call& now, const product_ptr& product,
                                  std::string_view user) const {
        const auto busy_for = read_activity_body(now.in.body);
        if (!busy_for) return now.fail_with(busy_for.error());
        orchestrator_->async_note_activity(product, std::string(user), *busy_for,
                                           now.when_done(render_activity));
        return std::nullopt;
    }

    std::optional<reply> logs(call& now, const product_ptr& product, std::string_view user) const {
        const auto tail = read_tail(now.query);
        if (!tail) return now.fail_with(tail.error());
        orchestrator_->async_logs(product, std::string(user), *tail, now.when_done(render_logs));
        return std::nullopt;
    }

    std::shared_ptr<Orchestrator> orchestrator_;
    sha256_digest admin_key_hash_;
    bool has_admin_key_;
    std::size_t max_body_bytes_;
    detail::log_sink log_;
};

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
