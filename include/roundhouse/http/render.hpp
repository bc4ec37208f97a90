#pragma once

#include <roundhouse/bounded_calls.hpp>
#include <roundhouse/call_types.hpp>
#include <roundhouse/changes.hpp>
#include <roundhouse/core/policy.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/http/exit_members.hpp>
#include <roundhouse/http/host_paths.hpp>
#include <roundhouse/http/json.hpp>
#include <roundhouse/http/reply.hpp>
#include <roundhouse/http/utf8_stream.hpp>
#include <roundhouse/http/viewer.hpp>
#include <roundhouse/text_stream.hpp>
#include <roundhouse/types.hpp>

#include <chrono>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// Renders the bodies of 2xx replies (SPEC §3).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

namespace detail {

/// The members of an engine object.
struct engine_object {
    const uuid& id;
    std::string_view user_id;
    engine_status status;
    std::string_view url;
    std::optional<std::string_view> api_key; ///< Not shown in listings.
    std::string_view version;
    instant created_at;
    std::optional<instant> last_health_at;
    std::string_view sleep_reason;
    const engine_view* whole = nullptr; ///< Of an admit's engine nothing but the above is shown.
    std::optional<std::string_view> product = {}; ///< Its slug, for administrators.
};

inline void write_failure(json_writer& json, const std::optional<engine_failure>& failure) {
    if (!failure) return (void)json.member("failure", nullptr);
    json.name("failure").open('{').member("reason", without_host_paths(failure->reason));
    write_exit(json, failure->exit);
    json.member("attempts", failure->attempts)
        .member("restart_at", failure->restart_at)
        .member("gave_up", failure->gave_up)
        .close('}');
}

/// Writes the members that the whole engine object has beside those of an admit's.
inline void write_prospects(json_writer& json, const engine_view& engine) {
    write_failure(json, engine.failure);
    json.member("sleeps_at", engine.sleeps_at)
        .member("busy_until", engine.busy_until)
        .member("booted_at", engine.booted_at)
        .member("restarts", engine.restarts);
    if (engine.sleep_mode) json.member("sleep_mode", name_of(*engine.sleep_mode));
    else json.member("sleep_mode", nullptr);
    json.member("sleeping_since", engine.sleeping_since);
}

/// The settings of an engine as they are, or hold from its next boot on. Of its variables the names
/// alone.
inline void write_settings(json_writer& json, const engine_view& engine) {
    const auto& settings = settings_of(*engine.record);
    json.name("metadata").open('{');
    for (const auto& [name, value] : settings.metadata) json.foreign_name(name).value(value);
    json.close('}')
        .name("limits")
        .open('{')
        .member("memory_mb", engine.limits.memory_mb)
        .member("cpus", engine.limits.cpus)
        .member("pids", engine.limits.pids)
        .close('}')
        .name("sleep")
        .open('{')
        .member("after_s", std::chrono::duration<double>(engine.sleep_after).count())
        .member("deep_after_s", std::chrono::duration<double>(engine.deep_sleep_after).count())
        .member("pinned", engine.pinned)
        .close('}')
        .member("stop_grace_s", std::chrono::duration<double>(engine.stop_grace).count())
        .name("env_names")
        .open('[');
    for (const auto& name : engine.env_names) json.value(name);
    json.close(']').member("settings_revision", settings.revision).name("pending").open('[');
    const auto& pending = engine.pending;
    if (pending.limits) json.value("limits");
    if (pending.stop_grace) json.value("stop_grace_s");
    if (pending.env) json.value("env");
    if (pending.version) json.value("engine_version");
    json.close(']');
}

/// The upgrade under way; null if there is none.
inline void write_upgrade(json_writer& json, const engine_upgrade* upgrade) {
    if (upgrade == nullptr) return (void)json.member("upgrade", nullptr);
    json.name("upgrade")
        .open('{')
        .member("from", upgrade->from_version)
        .member("to", upgrade->to_version)
        .member("step", name_of(upgrade->step))
        .close('}');
}

inline void write_engine(json_writer& json, const engine_object& engine) {
    json.open('{').member("engine_id", engine.id).member("user_id", engine.user_id);
    if (engine.product) json.member("product", *engine.product);
    json.member("status", name_of(engine.status)).member("url", engine.url);
    if (engine.api_key) json.member("api_key", *engine.api_key);
    json.member("engine_version", engine.version)
        .member("created_at", engine.created_at)
        .member("last_health_at", engine.last_health_at);
    if (engine.status == engine_status::sleeping) json.member("sleep_reason", engine.sleep_reason);
    if (engine.whole != nullptr) {
        write_prospects(json, *engine.whole);
        write_settings(json, *engine.whole);
        write_upgrade(json, engine.whole->upgrade.get());
    }
    json.close('}');
}

enum class key_shown : bool { no, yes };

inline void write_engine(json_writer& json, const engine_view& engine, key_shown key,
                         viewer seen_by) {
    const auto& record = *engine.record;
    std::optional<std::string_view> api_key;
    std::optional<std::string_view> product;
    if (seen_by == viewer::admin) product = engine.product;
    else if (key == key_shown::yes) api_key = engine.api_key;
    write_engine(json,
                 {record.id, record.user_id, record.status, engine.url, api_key, record.version,
                  record.created_at, engine.last_health_at, record.reason, &engine, product});
}

inline void write_engine(json_writer& json, const admitted_engine& engine) {
    write_engine(json, {engine.id,
                        engine.user_id(),
                        engine_status::running,
                        engine.url,
                        engine.api_key(),
                        engine.version(),
                        engine.created_at,
                        engine.last_health_at,
                        {},
                        nullptr});
}

/// The member `engines`, which never shows their keys.
inline void write_engines(json_writer& json, const std::vector<engine_view>& engines,
                          viewer seen_by) {
    json.name("engines").open('[');
    for (const auto& engine : engines) write_engine(json, engine, key_shown::no, seen_by);
    json.close(']');
}

inline void write_policy(json_writer& json, const policy& limits) {
    json.open('{');
    for (const auto& number : core::policy_numbers)
        if (const auto& value = limits.*number.member) json.member(number.name, *value);
    if (limits.max_cpus) json.member("max_cpus", *limits.max_cpus);
    if (limits.allow_provision) json.member("allow_provision", *limits.allow_provision);
    if (limits.allow_env) json.member("allow_env", *limits.allow_env);
    if (limits.allowed_versions) {
        json.name("allowed_versions").open('[');
        for (const auto& version : *limits.allowed_versions) json.value(version);
        json.close(']');
    }
    json.close('}');
}

/// Writes how many engines there are, in all and in each state.
inline void write_counts(json_writer& json, const fleet_counts& counts) {
    json.member("total", counts.total()).name("by_status").open('{');
    for (const auto status : all_engine_statuses) json.member(name_of(status), counts.of(status));
    json.close('}');
}

inline void write_metadata(json_writer& json, const audit_entry& entry) {
    json.open('{');
    for (const auto& [name, fact] : entry.metadata) {
        json.foreign_name(name);
        const auto* const text = std::get_if<std::string>(&fact);
        if (text != nullptr && name == "reason") json.value(without_host_paths(*text));
        else std::visit([&](const auto& value) { json.value(value); }, fact);
    }
    if (entry.from) json.member("from", name_of(*entry.from));
    if (entry.to) json.member("to", name_of(*entry.to));
    json.close('}');
}

/// The slug of the product that a row is about.
inline std::optional<std::string> product_of(const audit_page& page, const audit_entry& entry) {
    if (!entry.product_id) return std::nullopt;
    const auto known = page.slugs.find(*entry.product_id);
    return known == page.slugs.end() ? std::nullopt : std::optional(known->second);
}

/// `product` is the slug of the product, for administrators: null for none.
inline void write_audit_entry(json_writer& json, const audit_entry& entry,
                              const std::optional<std::string>* product = nullptr) {
    json.open('{')
        .member("id", entry.id)
        .member("timestamp", entry.timestamp)
        .member("product_id", entry.product_id);
    if (product != nullptr) json.member("product", *product);
    json.member("user_id", entry.user_id)
        .member("engine_id", entry.engine_id)
        .member("action", name_of(entry.action))
        .member("actor", entry.actor)
        .name("metadata");
    write_metadata(json, entry);
    json.name("duration_ms");
    if (entry.took) json.value(entry.took->count());
    else json.value(nullptr);
    json.close('}');
}

/// Makes a 200 reply whose body is an object; `write` writes the members.
template <class Write> reply object_reply(Write write, std::size_t expected_bytes = 256) {
    return json_reply(
        [&](json_writer& json) {
            json.open('{');
            write(json);
            json.close('}');
        },
        expected_bytes);
}

inline void write_source(json_writer& json, std::string_view name, setting_source source) {
    if (source == setting_source::none) json.member(name, nullptr);
    else json.member(name, name_of(source));
}

/// Writes the member `settings` of an explanation: where each comes from.
inline void write_sources(json_writer& json, const settings_sources& sources) {
    json.name("settings").open('{');
    write_source(json, "engine_version", sources.version);
    write_source(json, "metadata", sources.metadata);
    json.name("limits").open('{');
    write_source(json, "memory_mb", sources.memory_mb);
    write_source(json, "cpus", sources.cpus);
    write_source(json, "pids", sources.pids);
    json.close('}').name("sleep").open('{');
    write_source(json, "after_s", sources.sleep_after);
    write_source(json, "deep_after_s", sources.deep_sleep_after);
    write_source(json, "pinned", sources.pinned);
    json.close('}');
    write_source(json, "stop_grace_s", sources.stop_grace);
    json.name("env").open('{');
    for (const auto& [name, source] : sources.env) json.foreign_name(name).value(name_of(source));
    json.close('}').close('}');
}

} // namespace detail

[[nodiscard]] inline reply render_registration(const registration& product) {
    return detail::object_reply([&](json_writer& json) {
        json.member("product_id", product.product_id)
            .member("slug", product.slug)
            .member("platform_api_key", product.platform_key);
    });
}

[[nodiscard]] inline reply render_policy(const policy& limits) {
    return detail::object_reply([&](json_writer& json) {
        json.name("policy");
        detail::write_policy(json, limits);
    });
}

[[nodiscard]] inline reply render_destroyed(const uuid& engine) {
    return detail::object_reply(
        [&](json_writer& json) { json.member("status", "destroyed").member("engine_id", engine); });
}

[[nodiscard]] inline reply render_stopped() {
    return detail::object_reply([](json_writer& json) { json.member("status", "stopped"); });
}

[[nodiscard]] inline reply render_rotated(const std::string& key,
                                          viewer seen_by = viewer::product) {
    return detail::object_reply([&](json_writer& json) {
        if (seen_by == viewer::admin) json.member("status", "rotated");
        else json.member("new_api_key", key);
    });
}

[[nodiscard]] inline reply render_activity(const std::optional<instant>& sleeps_at) {
    return detail::object_reply([&](json_writer& json) { json.member("sleeps_at", sleeps_at); });
}

/// Renders an engine, for its product with its key if the view has it.
[[nodiscard]] inline reply render_engine(const engine_view& engine,
                                         viewer seen_by = viewer::product) {
    const auto key = engine.api_key.empty() ? detail::key_shown::no : detail::key_shown::yes;
    return json_reply([&](json_writer& json) { detail::write_engine(json, engine, key, seen_by); },
                      512);
}

[[nodiscard]] inline reply render_explanation(const engine_explanation& engine) {
    const auto status = [](json_writer& json, std::string_view name,
                           std::optional<engine_status> of) {
        if (of) json.member(name, name_of(*of));
        else json.member(name, nullptr);
    };
    return detail::object_reply([&](json_writer& json) {
        json.member("engine_id", engine.record->id)
            .member("user_id", engine.record->user_id)
            .member("status", name_of(engine.record->status))
            .member("why", without_host_paths(engine.why))
            .name("next");
        if (engine.next) {
            json.open('{').member("step", engine.next->step);
            status(json, "becomes", engine.next->becomes);
            json.member("at", engine.next->at).member("by", engine.next->by);
            status(json, "otherwise", engine.next->otherwise);
            json.close('}');
        } else {
            json.value(nullptr);
        }
        json.name("last_use").open('{').member("at", engine.last_used_at).name("by");
        if (engine.last_used_by == engine_use::unknown) json.value(nullptr);
        else json.value(name_of(engine.last_used_by));
        json.close('}');
        detail::write_sources(json, engine.settings);
    });
}

[[nodiscard]] inline reply render_admission(const admission& answer) {
    auto out = detail::object_reply(
        [&](json_writer& json) {
            json.member("admitted", answer.engine.has_value()).name("engine");
            if (answer.engine) return detail::write_engine(json, *answer.engine);
            json.value(nullptr).member("reason", name_of(answer.reason)).name("status");
            if (answer.status) json.value(name_of(*answer.status));
            else json.value(nullptr);
            if (answer.retry_after_s > 0) json.member("retry_after_s", answer.retry_after_s);
        },
        512);
    out.retry_after_s = answer.retry_after_s;
    if (!answer.engine && answer.reason == denial::engine_starting) out.status = 202;
    return out;
}

/// Renders how far a call or a wait has come, with the engine; 202 if the time has run out first.
[[nodiscard]] inline reply render_progress(const call_progress& progress,
                                           viewer seen_by = viewer::product) {
    auto out = render_engine(progress.engine, seen_by);
    if (!progress.done) out.status = 202;
    return out;
}
[[nodiscard]] inline reply render_stop_progress(const call_progress& progress,
                                                viewer seen_by = viewer::product) {
    return progress.done ? render_stopped() : render_progress(progress, seen_by);
}
[[nodiscard]] inline reply render_rotation_progress(const call_progress& progress,
                                                    viewer seen_by = viewer::product) {
    return progress.done ? render_rotated(progress.new_key, seen_by)
                         : render_progress(progress, seen_by);
}

/// Renders a listing, which never shows engine keys.
[[nodiscard]] inline reply render_engines(const engine_view_page& page,
                                          viewer seen_by = viewer::product) {
    return detail::object_reply(
        [&](json_writer& json) {
            detail::write_engines(json, page.engines, seen_by);
            json.member("total", page.total).name("next");
            if (page.next) json.value(std::to_string(*page.next));
            else json.value(nullptr);
        },
        64 + 256 * page.engines.size());
}

/// Renders the engines of several users, without their keys.
[[nodiscard]] inline reply render_looked_up(const std::vector<engine_view>& engines,
                                            viewer seen_by = viewer::product) {
    return detail::object_reply(
        [&](json_writer& json) { detail::write_engines(json, engines, seen_by); },
        64 + 256 * engines.size());
}

namespace detail {

inline void write_health(json_writer& json, const fleet_status& fleet) {
    write_counts(json, fleet.counts);
    json.member("health", name_of(fleet.health))
        .member("unhealthy_count", fleet.counts.of(engine_status::failed));
}

/// Writes the members of a brake that is on.
inline void write_brake(json_writer& json, const brake_status& brake) {
    json.member("since", brake.since)
        .member("failing", brake.failing)
        .member("running", brake.running);
}

} // namespace detail

[[nodiscard]] inline reply render_status(const fleet_status& fleet) {
    return detail::object_reply([&](json_writer& json) {
        detail::write_health(json, fleet);
        if (!fleet.brake) return (void)json.member("brake", nullptr);
        json.name("brake").open('{');
        detail::write_brake(json, *fleet.brake);
        json.close('}');
    });
}

/// Renders the status of all products, with the brakes that are on.
[[nodiscard]] inline reply render_status_of_all(const fleet_status& fleet) {
    return detail::object_reply([&](json_writer& json) {
        detail::write_health(json, fleet);
        json.name("brakes").open('[');
        for (const auto& product : fleet.brakes) {
            json.open('{').member("product", product.slug);
            detail::write_brake(json, product.brake);
            json.close('}');
        }
        json.close(']');
    });
}

/// Renders the metrics, with the mean boot time rounded to microseconds.
[[nodiscard]] inline reply render_metrics(const fleet_metrics& figures) {
    return detail::object_reply([&](json_writer& json) {
        json.member("provisions_1h", figures.provisions_1h)
            .member("crashes_1h", figures.crashes_1h)
            .member("restarts_1h", figures.restarts_1h)
            .member("avg_boot_ms", std::round(figures.avg_boot_ms * 1'000) / 1'000)
            .member("total_provisions", figures.total_provisions)
            .member("total_destroys", figures.total_destroys);
    });
}

[[nodiscard]] inline reply render_audit(const audit_page& page, viewer seen_by = viewer::product) {
    return detail::object_reply(
        [&](json_writer& json) {
            json.name("entries").open('[');
            for (const auto& entry : page.entries) {
                const auto product = detail::product_of(page, entry);
                detail::write_audit_entry(json, entry,
                                          seen_by == viewer::admin ? &product : nullptr);
            }
            json.close(']').member("next_before", page.next_before);
        },
        64 + 384 * page.entries.size());
}

[[nodiscard]] inline reply render_logs(const std::string& lines) {
    reply out;
    out.content_type = text_type;
    out.body = as_utf8(lines);
    return out;
}

[[nodiscard]] inline reply render_log_stream(const text_stream_ptr& lines, bool follows) {
    reply out;
    out.content_type = text_type;
    out.stream = std::make_shared<utf8_stream>(lines);
    out.follows = follows;
    return out;
}

/// Renders the health of an orchestrator that is not starting. Names what is in trouble; only for
/// the administrator also why, because causes hold paths and addresses of the host, and how engines
/// are isolated.
[[nodiscard]] inline reply render_health(const orchestrator_health& health, bool for_admin) {
    const bool is_well = !health.backend_trouble && !health.store_trouble;
    return detail::object_reply([&](json_writer& json) {
        json.member("status", is_well ? "ok" : "degraded")
            .member("version", version_string)
            .member("uptime_seconds",
                    std::chrono::floor<std::chrono::seconds>(health.uptime).count())
            .member("backend", health.backend)
            .member("store", health.store);
        if (for_admin && health.isolation) {
            json.name("isolation").open('[');
            for (const auto& part : *health.isolation) json.value(part);
            json.close(']');
        }
        if (is_well) return;
        json.name("degraded").open('[');
        const auto tell = [&](std::string_view part, const std::optional<std::string>& trouble) {
            if (!trouble) return;
            json.value(std::string(part) +
                       (for_admin ? ": " + *trouble : std::string(" is in trouble")));
        };
        tell("backend", health.backend_trouble);
        tell("store", health.store_trouble);
        json.close(']');
    });
}

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
