#pragma once

#include <roundhouse/enum_table.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/version.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

/// Maps methods and paths to endpoints (SPEC §3).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

enum class endpoint : std::uint8_t {
    not_found,
    method_not_allowed,
    health,
    register_product,
    list_products,
    describe_product,
    update_product,
    delete_product,
    get_policy,
    set_policy,
    get_defaults,
    set_defaults,
    rotate_platform_key,
    delete_platform_key,
    provision,
    find,
    explain,
    find_by_id,
    look_up,
    list,
    destroy,
    change_settings,
    start,
    stop,
    sleep,
    wake,
    upgrade,
    rotate_key,
    admit,
    activity,
    logs,
    status,
    metrics,
    audit,
};

/// Who may use an endpoint, and what it is about.
enum class audience : std::uint8_t {
    nobody,  ///< There is no such endpoint.
    anyone,  ///< Needs no key.
    admin,   ///< Needs the admin key.
    product, ///< Needs a platform key, and is about the product.
    engine,  ///< Needs a platform key, and is about one of the product's engines.
};

[[nodiscard]] constexpr audience audience_of(endpoint what) noexcept {
    switch (what) {
    case endpoint::not_found:
    case endpoint::method_not_allowed: break;
    case endpoint::health: return audience::anyone;
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
    case endpoint::delete_platform_key: return audience::admin;
    case endpoint::provision:
    case endpoint::find_by_id:
    case endpoint::look_up:
    case endpoint::list:
    case endpoint::status:
    case endpoint::metrics:
    case endpoint::audit: return audience::product;
    case endpoint::find:
    case endpoint::explain:
    case endpoint::destroy:
    case endpoint::change_settings:
    case endpoint::start:
    case endpoint::stop:
    case endpoint::sleep:
    case endpoint::wake:
    case endpoint::upgrade:
    case endpoint::rotate_key:
    case endpoint::admit:
    case endpoint::activity:
    case endpoint::logs: return audience::engine;
    }
    return audience::nobody;
}

/// Whether an administrator may use an endpoint of products for all of them at once.
[[nodiscard]] constexpr bool covers_all_products(endpoint what) noexcept {
    return what == endpoint::list || what == endpoint::status || what == endpoint::metrics ||
           what == endpoint::audit;
}

/// Whether an endpoint reads the bodies of its requests.
[[nodiscard]] constexpr bool reads_body(endpoint what) noexcept {
    switch (what) {
    case endpoint::register_product:
    case endpoint::update_product:
    case endpoint::set_policy:
    case endpoint::set_defaults:
    case endpoint::rotate_platform_key:
    case endpoint::provision:
    case endpoint::look_up:
    case endpoint::change_settings:
    case endpoint::sleep:
    case endpoint::upgrade:
    case endpoint::admit:
    case endpoint::activity: return true;
    default: return false;
    }
}

/// Whether an endpoint reads the queries of its requests.
[[nodiscard]] constexpr bool reads_query(endpoint what) noexcept {
    switch (what) {
    case endpoint::list_products:
    case endpoint::delete_product:
    case endpoint::provision:
    case endpoint::find:
    case endpoint::list:
    case endpoint::change_settings:
    case endpoint::start:
    case endpoint::stop:
    case endpoint::sleep:
    case endpoint::wake:
    case endpoint::upgrade:
    case endpoint::rotate_key:
    case endpoint::admit:
    case endpoint::logs:
    case endpoint::audit: return true;
    default: return false;
    }
}

/// The endpoint of a request.
struct route {
    http::endpoint endpoint = http::endpoint::not_found;
    /// The user_id or engine_id in the path, or its product_id or slug; still percent-encoded.
    std::string_view argument;
    /// With `method_not_allowed`: the methods that the path has.
    std::string_view allow;
    std::string_view key_id = {}; ///< In the path of a platform key.
};

namespace detail {

inline constexpr std::string_view get_methods = "GET, HEAD";

struct verb {
    std::string_view name;
    std::string_view method;
    http::endpoint endpoint;
};

/// The paths below `/engines/{user_id}/`.
inline constexpr std::array engine_verbs{
    verb{"admit", "POST", endpoint::admit},       verb{"start", "POST", endpoint::start},
    verb{"stop", "POST", endpoint::stop},         verb{"rotate-key", "POST", endpoint::rotate_key},
    verb{"activity", "POST", endpoint::activity}, verb{"logs", "GET", endpoint::logs},
    verb{"explain", "GET", endpoint::explain},    verb{"sleep", "POST", endpoint::sleep},
    verb{"wake", "POST", endpoint::wake},         verb{"upgrade", "POST", endpoint::upgrade}};

/// The paths without an argument.
inline constexpr std::array plain_paths{
    verb{"/health", "GET", endpoint::health}, verb{"/engines", "GET", endpoint::list},
    verb{"/status", "GET", endpoint::status}, verb{"/metrics", "GET", endpoint::metrics},
    verb{"/audit", "GET", endpoint::audit},   verb{"/products", "GET", endpoint::list_products}};

constexpr bool is_get(std::string_view method) noexcept {
    return method == "GET" || method == "HEAD";
}

/// The route of a path that has one verb.
constexpr route only(const verb& verb, std::string_view method,
                     std::string_view argument = {}) noexcept {
    const bool same = verb.method == "GET" ? is_get(method) : method == verb.method;
    if (same) return {verb.endpoint, argument, {}};
    return {endpoint::method_not_allowed, argument,
            verb.method == "GET" ? get_methods : verb.method};
}

/// The route of `/engines/{user_id}`. A user may be called `provision` or `lookup`: GET, PATCH and
/// DELETE mean that user, and POST means the call.
constexpr route one_engine(std::string_view method, std::string_view user_id) noexcept {
    const auto call = user_id == "provision" ? endpoint::provision
                      : user_id == "lookup"  ? endpoint::look_up
                                             : endpoint::not_found;
    const bool is_call = call != endpoint::not_found;
    if (is_call && method == "POST") return {call, {}, {}};
    if (is_get(method)) return {endpoint::find, user_id, {}};
    if (method == "DELETE") return {endpoint::destroy, user_id, {}};
    if (method == "PATCH") return {endpoint::change_settings, user_id, {}};
    return {endpoint::method_not_allowed, user_id,
            is_call ? "GET, HEAD, POST, PATCH, DELETE" : "GET, HEAD, PATCH, DELETE"};
}

/// The route of `/products/{product_id or slug}`. A product may have the slug `register`: GET,
/// PATCH and DELETE mean that product, and POST means the call.
constexpr route one_product(std::string_view method, std::string_view name) noexcept {
    const bool is_call = name == "register";
    if (is_call && method == "POST") return {endpoint::register_product, {}, {}};
    if (is_get(method)) return {endpoint::describe_product, name, {}};
    if (method == "PATCH") return {endpoint::update_product, name, {}};
    if (method == "DELETE") return {endpoint::delete_product, name, {}};
    return {endpoint::method_not_allowed, name,
            is_call ? "GET, HEAD, POST, PATCH, DELETE" : "GET, HEAD, PATCH, DELETE"};
}

/// The route of `/products/{product_id or slug}/policy`.
constexpr route policy_of(std::string_view method, std::string_view name) noexcept {
    if (is_get(method)) return {endpoint::get_policy, name, {}};
    if (method == "PUT") return {endpoint::set_policy, name, {}};
    return {endpoint::method_not_allowed, name, "GET, HEAD, PUT"};
}

/// The route of `/products/{product_id or slug}/defaults`.
constexpr route defaults_of(std::string_view method, std::string_view name) noexcept {
    if (is_get(method)) return {endpoint::get_defaults, name, {}};
    if (method == "PUT") return {endpoint::set_defaults, name, {}};
    return {endpoint::method_not_allowed, name, "GET, HEAD, PUT"};
}

/// The route of what follows `/products/{product_id or slug}/`.
constexpr route part_of_product(std::string_view method, std::string_view name,
                                std::string_view part) noexcept {
    constexpr std::string_view keys = "keys/";
    if (part == "policy") return policy_of(method, name);
    if (part == "defaults") return defaults_of(method, name);
    if (part == "rotate-platform-key")
        return only({part, "POST", endpoint::rotate_platform_key}, method, name);
    const bool is_key = part.starts_with(keys) && part.size() > keys.size() &&
                        part.find('/', keys.size()) == std::string_view::npos;
    if (!is_key) return {};
    auto out = only({part, "DELETE", endpoint::delete_platform_key}, method, name);
    out.key_id = part.substr(keys.size());
    return out;
}

} // namespace detail

/// Finds the endpoint of a method and a path. The path is still percent-encoded: an encoded slash
/// is part of an argument.
[[nodiscard]] constexpr route find_route(std::string_view method, std::string_view path) noexcept {
    constexpr std::string_view engines = "/engines/";
    constexpr std::string_view products = "/products/";
    if (path.starts_with(engines)) {
        const auto rest = path.substr(engines.size());
        const auto slash = rest.find('/');
        if (slash == std::string_view::npos)
            return rest.empty() ? route{} : detail::one_engine(method, rest);
        for (const auto& verb : detail::engine_verbs)
            if (rest.substr(slash + 1) == verb.name)
                return detail::only(verb, method, rest.substr(0, slash));
        // A user may be called `by-id`: no verb is a UUID.
        if (rest.substr(0, slash) == "by-id" && parse_uuid(rest.substr(slash + 1)))
            return detail::only({"by-id", "GET", endpoint::find_by_id}, method,
                                rest.substr(slash + 1));
        return {};
    }
    for (const auto& verb : detail::plain_paths)
        if (path == verb.name) return detail::only(verb, method);
    if (path.starts_with(products)) {
        const auto rest = path.substr(products.size());
        const auto slash = rest.find('/');
        if (slash == std::string_view::npos)
            return rest.empty() ? route{} : detail::one_product(method, rest);
        return detail::part_of_product(method, rest.substr(0, slash), rest.substr(slash + 1));
    }
    return {};
}

namespace detail {

/// A method and a path that lead to an endpoint.
struct endpoint_example {
    http::endpoint endpoint;
    std::string_view method;
    std::string_view path;
};

inline constexpr std::array endpoint_examples{
    endpoint_example{endpoint::not_found, "GET", "/nothing"},
    endpoint_example{endpoint::method_not_allowed, "DELETE", "/health"},
    endpoint_example{endpoint::health, "GET", "/health"},
    endpoint_example{endpoint::register_product, "POST", "/products/register"},
    endpoint_example{endpoint::list_products, "GET", "/products"},
    endpoint_example{endpoint::describe_product, "GET", "/products/demo"},
    endpoint_example{endpoint::update_product, "PATCH", "/products/demo"},
    endpoint_example{endpoint::delete_product, "DELETE", "/products/demo"},
    endpoint_example{endpoint::get_policy, "GET", "/products/demo/policy"},
    endpoint_example{endpoint::set_policy, "PUT", "/products/demo/policy"},
    endpoint_example{endpoint::get_defaults, "GET", "/products/demo/defaults"},
    endpoint_example{endpoint::set_defaults, "PUT", "/products/demo/defaults"},
    endpoint_example{endpoint::rotate_platform_key, "POST", "/products/demo/rotate-platform-key"},
    endpoint_example{endpoint::delete_platform_key, "DELETE", "/products/demo/keys/1"},
    endpoint_example{endpoint::provision, "POST", "/engines/provision"},
    endpoint_example{endpoint::find, "GET", "/engines/ada"},
    endpoint_example{endpoint::explain, "GET", "/engines/ada/explain"},
    endpoint_example{endpoint::find_by_id, "GET",
                     "/engines/by-id/c7a290f5-d7d9-455f-9e96-3d2f31170c25"},
    endpoint_example{endpoint::look_up, "POST", "/engines/lookup"},
    endpoint_example{endpoint::list, "GET", "/engines"},
    endpoint_example{endpoint::destroy, "DELETE", "/engines/ada"},
    endpoint_example{endpoint::change_settings, "PATCH", "/engines/ada"},
    endpoint_example{endpoint::start, "POST", "/engines/ada/start"},
    endpoint_example{endpoint::stop, "POST", "/engines/ada/stop"},
    endpoint_example{endpoint::sleep, "POST", "/engines/ada/sleep"},
    endpoint_example{endpoint::wake, "POST", "/engines/ada/wake"},
    endpoint_example{endpoint::upgrade, "POST", "/engines/ada/upgrade"},
    endpoint_example{endpoint::rotate_key, "POST", "/engines/ada/rotate-key"},
    endpoint_example{endpoint::admit, "POST", "/engines/ada/admit"},
    endpoint_example{endpoint::activity, "POST", "/engines/ada/activity"},
    endpoint_example{endpoint::logs, "GET", "/engines/ada/logs"},
    endpoint_example{endpoint::status, "GET", "/status"},
    endpoint_example{endpoint::metrics, "GET", "/metrics"},
    endpoint_example{endpoint::audit, "GET", "/audit"}};

inline constexpr auto endpoints_with_examples = roundhouse::detail::values_of(
    endpoint_examples, &endpoint_example::endpoint);
static_assert(roundhouse::detail::lists_every_enumerator<endpoints_with_examples>(),
              "endpoint_examples: a row is missing or misplaced");
static_assert(std::ranges::all_of(endpoint_examples,
                                  [](const endpoint_example& row) {
                                      return find_route(row.method, row.path).endpoint ==
                                             row.endpoint;
                                  }),
              "endpoint_examples: a path leads elsewhere");

} // namespace detail
} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
