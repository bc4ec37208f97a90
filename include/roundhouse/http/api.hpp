#pragma once

#include <roundhouse/bounded_calls.hpp>
#include <roundhouse/call_types.hpp>
#include <roundhouse/config.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/fleet_calls.hpp>
#include <roundhouse/http/admin_keys.hpp>
#include <roundhouse/http/key_failures.hpp>
#include <roundhouse/http/reply.hpp>
#include <roundhouse/http/request.hpp>
#include <roundhouse/http/viewer.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/types.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

namespace detail {
struct pending_call;
}
struct provision_body;
struct register_body;

struct api_options {
    /// The api keeps its SHA-256 only. If it is empty and nobody is named, every admin call is refused.
    std::string admin_key = {};
    std::size_t max_body_bytes = 64 * 1024;
    /// Gets the causes of failures that replies do not show, and the number of wrong keys.
    log_sink log = {};
    /// Administrators that have a key of their own, beside `admin_key`.
    std::vector<named_admin> named_admins = {};
};

/// The HTTP API (SPEC §3) without a transport: turns a request into a reply.
///
/// Thread-safe. It may be destroyed while replies are pending; they are delivered nevertheless.
class api {
public:
    api(std::shared_ptr<fleet_calls> fleet, api_options options);

    /// The longest body that is accepted. A transport need not read a longer body: it sets
    /// `request::body_too_large` instead.
    [[nodiscard]] std::size_t max_body_bytes() const noexcept { return max_body_bytes_; }

    /// Puts other named administrators in the place of those before, whose keys are refused from then
    /// on. Any thread.
    void replace_named_admins(std::vector<named_admin> named) {
        admins_->replace_named(std::move(named));
    }

    /// Handles a request. Returns the reply if it is known at once, and then does not call `later`.
    /// Otherwise returns nothing, and `later` is called once, from the fleet's executor and never
    /// from inside `handle`. Does not block. Exceptions of `later` are logged and dropped.
    [[nodiscard]] std::optional<reply> handle(const request& in,
                                              std::function<void(reply)> later) const noexcept;

    /// The same for transports that prepare for a later reply only if there is one: the channel is
    /// opened before this returns nothing.
    [[nodiscard]] std::optional<reply> handle(const request& in,
                                              reply_channel& channel) const noexcept;

private:
    using pending_call = detail::pending_call;

    /// Checks first what needs no key, then the key, and the request itself last.
    std::optional<reply> answer(pending_call& call) const;
    static error still_starting();
    static error wrong_admin_key();
    static error missing_platform_key();
    static error no_such_product();
    reply health(pending_call& call) const;
    /// Refuses a key, counts it if there is one, and delays the reply.
    reply refuse_key(pending_call& call, std::string_view key, error cause) const;
    void log_wrong_keys(std::size_t count, std::string_view last_client) const;
    /// Whether a bearer token beside a key header is a key too.
    [[nodiscard]] bool is_second_key(const pending_call& call) const;
    /// Notes what the endpoint does not read, and refuses it if the caller asks for that. A query or
    /// a body that the endpoint reads is left to it.
    static std::optional<reply> refuse_unused(pending_call& call);
    std::optional<reply> for_admin(pending_call& call) const;
    std::optional<reply> register_product(pending_call& call) const;
    std::optional<reply> register_product_once(pending_call& call, register_body body) const;
    std::optional<reply> list_products(pending_call& call) const;

    /// Returns the product_id, in lower case, or the slug in a path; nothing if it can be neither.
    static std::optional<std::string> product_named(std::string_view segment);
    /// The same of a text that is decoded.
    static std::optional<std::string> product_called(std::string name);
    /// The calls about one product. `name` is its product_id or its slug.
    std::optional<reply> about_product(pending_call& call, std::string name) const;
    std::optional<reply> update_product(pending_call& call, std::string name) const;
    std::optional<reply> delete_product(pending_call& call, std::string name) const;
    std::optional<reply> set_policy(pending_call& call, std::string name) const;
    std::optional<reply> set_defaults(pending_call& call, std::string name) const;
    std::optional<reply> rotate_platform_key(pending_call& call, std::string name) const;
    std::optional<reply> delete_platform_key(pending_call& call, std::string name) const;
    std::optional<reply> for_product(pending_call& call) const;
    /// Whether a call about engines is an administrator's: it carries no platform key, and names a
    /// product or may cover all.
    static bool is_for_fleet_admin(const pending_call& call);
    std::optional<reply> for_fleet_admin(pending_call& call) const;
    std::optional<reply> about_all_products(pending_call& call) const;
    /// What follows once the product of a call is known.
    std::optional<reply> with_product(pending_call& call, const product_ptr& product) const;

    /// `user` is empty if the endpoint is about the product.
    std::optional<reply> ask(pending_call& call, const product_ptr& product,
                             std::string_view user) const;
    std::optional<reply> provision(pending_call& call, const product_ptr& product) const;
    /// Makes a call whose caller has chosen how long it waits.
    using progress_renderer = reply (*)(const call_progress&, viewer);
    std::optional<reply> begin(pending_call& call, const product_ptr& product,
                               std::string_view user, engine_call_variant what, duration wait,
                               progress_renderer render) const;
    std::optional<reply> provision_once(pending_call& call, const product_ptr& product,
                                        provision_body body) const;
    std::optional<reply> find(pending_call& call, const product_ptr& product,
                              std::string_view user) const;
    std::optional<reply> find_by_id(pending_call& call, const product_ptr& product) const;
    std::optional<reply> look_up(pending_call& call, const product_ptr& product) const;
    std::optional<reply> list(pending_call& call, result<engine_query> read) const;
    std::optional<reply> audit(pending_call& call, result<audit_query> read) const;

    /// The hot path: a running engine is admitted without a completion.
    std::optional<reply> admit(pending_call& call, const product_ptr& product,
                               std::string_view user) const;
    std::optional<reply> change_settings(pending_call& call, const product_ptr& product,
                                         std::string_view user) const;
    std::optional<reply> start(pending_call& call, const product_ptr& product,
                               std::string_view user) const;
    std::optional<reply> wake(pending_call& call, const product_ptr& product,
                              std::string_view user) const;
    std::optional<reply> rotate_key(pending_call& call, const product_ptr& product,
                                    std::string_view user) const;
    std::optional<reply> stop(pending_call& call, const product_ptr& product,
                              std::string_view user) const;
    std::optional<reply> sleep(pending_call& call, const product_ptr& product,
                               std::string_view user) const;
    std::optional<reply> upgrade(pending_call& call, const product_ptr& product,
                                 std::string_view user) const;
    std::optional<reply> activity(pending_call& call, const product_ptr& product,
                                  std::string_view user) const;
    std::optional<reply> logs(pending_call& call, const product_ptr& product,
                              std::string_view user) const;

    std::shared_ptr<fleet_calls> fleet_;
    std::unique_ptr<admin_keys> admins_; ///< Elsewhere, so that an api can be moved.
    std::size_t max_body_bytes_;
    std::shared_ptr<const log_sink> log_;
    std::unique_ptr<key_failures> wrong_keys_;
    /// Tokens beside a key header that were compared with the admin key: after too many of a client
    /// they are not, or the admin key could be guessed by them.
    std::unique_ptr<key_failures> compared_tokens_;
};

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse

#if !defined(ROUNDHOUSE_SEPARATE_COMPILATION)
#include <roundhouse/http/api.ipp>
#include <roundhouse/http/api_fleet.ipp>
#include <roundhouse/http/api_products.ipp>
#include <roundhouse/http/api_waits.ipp>
#endif
