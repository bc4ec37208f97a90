#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/changes.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/http/json.hpp>
#include <roundhouse/http/render.hpp>
#include <roundhouse/http/reply.hpp>
#include <roundhouse/types.hpp>

#include <chrono>
#include <cstdint>
#include <vector>

/// Renders the products that administrators ask for (SPEC §3).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

namespace detail {

/// The platform keys of a product, without the keys themselves.
inline void write_keys(json_writer& json, const std::vector<platform_key_view>& keys) {
    json.open('[');
    for (const auto& key : keys)
        json.open('{')
            .member("key_id", key.id)
            .member("created_at", key.created_at)
            .member("last_used_at", key.last_used_at)
            .member("expires_at", key.expires_at)
            .close('}');
    json.close(']');
}

/// Writes what the defaults of a product set; of their variables the names alone.
inline void write_defaults(json_writer& json, const product_defaults& defaults) {
    const auto& settings = defaults.settings;
    const auto& limits = settings.limits;
    const auto& sleep = settings.sleep;
    const auto seconds = [](duration time) { return std::chrono::duration<double>(time).count(); };
    json.open('{');
    if (defaults.version) json.member("engine_version", *defaults.version);
    if (!settings.env_names.empty()) {
        json.name("env_names").open('[');
        for (const auto& name : settings.env_names) json.value(name);
        json.close(']');
    }
    if (!settings.metadata.empty()) {
        json.name("metadata").open('{');
        for (const auto& [name, value] : settings.metadata) json.foreign_name(name).value(value);
        json.close('}');
    }
    if (limits != engine_limits{}) {
        json.name("limits").open('{');
        if (limits.memory_mb) json.member("memory_mb", *limits.memory_mb);
        if (limits.cpus) json.member("cpus", *limits.cpus);
        if (limits.pids) json.member("pids", *limits.pids);
        json.close('}');
    }
    if (sleep != sleep_settings{}) {
        json.name("sleep").open('{');
        if (sleep.after) json.member("after_s", seconds(*sleep.after));
        if (sleep.deep_after) json.member("deep_after_s", seconds(*sleep.deep_after));
        if (sleep.pinned) json.member("pinned", *sleep.pinned);
        json.close('}');
    }
    if (settings.stop_grace) json.member("stop_grace_s", seconds(*settings.stop_grace));
    json.close('}');
}

/// Writes a product object. Listings have neither its defaults, nor its keys, nor counts of its
/// engines: `whole` is null there.
inline void write_product(json_writer& json, const product& record, const product_view* whole) {
    json.open('{')
        .member("product_id", record.id)
        .member("slug", record.slug)
        .member("display_name", record.display_name)
        .member("created_at", record.created_at)
        .member("deleting_since", record.deleting_since)
        .name("policy");
    write_policy(json, record.policy);
    if (whole != nullptr) {
        json.name("defaults");
        write_defaults(json, record.defaults ? *record.defaults : product_defaults{});
        json.name("engines").open('{');
        write_counts(json, whole->engines);
        json.close('}').name("keys");
        write_keys(json, whole->keys);
    }
    json.close('}');
}

} // namespace detail

[[nodiscard]] inline reply render_product(const product_view& product) {
    return json_reply(
        [&](json_writer& json) { detail::write_product(json, *product.record, &product); }, 512);
}

/// Null renders as defaults that set nothing.
[[nodiscard]] inline reply render_defaults(const defaults_ptr& defaults) {
    return detail::object_reply([&](json_writer& json) {
        json.name("defaults");
        detail::write_defaults(json, defaults ? *defaults : product_defaults{});
    });
}

[[nodiscard]] inline reply render_rotated_platform_key(const rotated_platform_key& made) {
    return detail::object_reply([&](json_writer& json) {
        json.member("platform_api_key", made.platform_key).member("key_id", made.id);
    });
}

[[nodiscard]] inline reply render_deleted_platform_key(std::uint64_t key_id) {
    return detail::object_reply(
        [&](json_writer& json) { json.member("status", "deleted").member("key_id", key_id); });
}

[[nodiscard]] inline reply render_product_deletion(const product_deletion& deletion) {
    auto out = detail::object_reply([&](json_writer& json) {
        json.member("status", deletion.done ? "deleted" : "deleting")
            .member("product_id", deletion.product_id);
        if (!deletion.done) json.member("engines", deletion.engines);
    });
    if (!deletion.done) out.status = 202;
    return out;
}

[[nodiscard]] inline reply render_products(const product_page& page) {
    return detail::object_reply(
        [&](json_writer& json) {
            json.name("products").open('[');
            for (const auto& product : page.products)
                detail::write_product(json, *product, nullptr);
            json.close(']').member("total", page.total).member("next", page.next);
        },
        64 + 256 * page.products.size());
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
