#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/engine_upgrade.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

/// Records as text, one line per member, so that a comparison shows which members differ.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

namespace detail {

inline std::string shown(std::string_view text) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string out = "\"";
    for (const char c : text) {
        if (c >= ' ' && c <= '~' && c != '\\') {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += "\\x";
        out += digits[byte >> 4U];
        out += digits[byte & 0xFU];
    }
    return out + '"';
}

inline std::string shown(const std::string& text) { return shown(std::string_view(text)); }
inline std::string shown(bool value) { return value ? "true" : "false"; }
inline std::string shown(std::uint16_t value) { return std::to_string(value); }
inline std::string shown(std::uint32_t value) { return std::to_string(value); }
inline std::string shown(std::uint64_t value) { return std::to_string(value); }
inline std::string shown(std::int32_t value) { return std::to_string(value); }
inline std::string shown(std::int64_t value) { return std::to_string(value); }
inline std::string shown(double value) { return std::to_string(value); }
inline std::string shown(const uuid& id) { return to_string(id); }
inline std::string shown(const sha256_digest& digest) { return to_hex(digest); }
inline std::string shown(duration span) { return std::to_string(span.count()) + " ms"; }
inline std::string shown(instant at) { return shown(at.time_since_epoch()); }
inline std::string shown(engine_status status) { return std::string(name_of(status)); }
inline std::string shown(intent intent) { return std::string(name_of(intent)); }
inline std::string shown(sleep_mode mode) { return std::string(name_of(mode)); }
inline std::string shown(audit_action action) { return std::string(name_of(action)); }
inline std::string shown(boot_reason reason) {
    return "boot reason " + std::to_string(static_cast<int>(reason));
}

inline std::string shown(const std::vector<std::string>& texts) {
    std::string out = "[";
    for (const auto& text : texts) out += shown(text) + ' ';
    return out + ']';
}

inline std::string shown(const metadata& facts) {
    std::string out = "{";
    for (const auto& [name, value] : facts) {
        out += shown(name) + ": ";
        out += std::visit([](const auto& fact) { return shown(fact); }, value) + ' ';
    }
    return out + '}';
}

inline std::string shown(const named_texts& texts) {
    std::string out = "{";
    for (const auto& [name, text] : texts) out += shown(name) + ": " + shown(text) + ' ';
    return out + '}';
}

template <class T> std::string shown(const std::optional<T>& value) {
    return value ? shown(*value) : "none";
}

inline std::string shown(const std::vector<platform_key>& keys) {
    std::string out = "[";
    for (const auto& [id, hash, created_at, expires_at, configured] : keys)
        out += shown(id) + ' ' + shown(hash) + " created " + shown(created_at) + " expires " +
               shown(expires_at) + (configured ? " configured, " : ", ");
    return out + ']';
}

inline std::string shown(const exit_status& exit) {
    return "code " + shown(exit.exit_code) + " signal " +
           (exit.signal ? std::to_string(*exit.signal) : "none") + " out of memory " +
           shown(exit.out_of_memory);
}

template <class T> std::string line(std::string_view name, const T& value) {
    return std::string(name) + ": " + shown(value) + '\n';
}

} // namespace detail

// Each text_of binds every member of its record, so that a new member does not compile here until
// it is shown as well.

/// Of settings that say nothing this is empty, as if there were none.
[[nodiscard]] inline std::string text_of(const engine_settings& settings) {
    using detail::line;
    const auto& [env_names, sealed_env, metadata, limits, stop_grace, sleep, revision,
                 pending] = settings;
    const auto& [memory_mb, cpus, pids] = limits;
    if (settings == engine_settings{}) return {};
    return line("env_names", env_names) + line("sealed_env", sealed_env) +
           line("metadata", metadata) + line("memory_mb", memory_mb) + line("cpus", cpus) +
           line("pids", pids) + line("stop_grace", stop_grace) + line("sleep_after", sleep.after) +
           line("deep_sleep_after", sleep.deep_after) + line("pinned", sleep.pinned) +
           line("settings_revision", revision) + line("pending_env", pending.env) +
           line("pending_limits", pending.limits) + line("pending_stop_grace", pending.stop_grace) +
           line("pending_sealed_env", pending.sealed_env) +
           line("memory_mb_before", pending.limits_before.memory_mb) +
           line("cpus_before", pending.limits_before.cpus) +
           line("pids_before", pending.limits_before.pids) +
           line("stop_grace_before", pending.stop_grace_before) +
           line("pending_version", pending.version) +
           line("version_before", pending.version_before);
}

[[nodiscard]] inline std::string text_of(const engine_upgrade& upgrade) {
    using detail::line;
    const auto& [step, from_version, to_version, healthy_for, keep_copy, has_copy, drops_copy,
                 failure, cause, exit] = upgrade;
    return line("upgrade_step", name_of(step)) + line("from_version", from_version) +
           line("to_version", to_version) + line("healthy_for", healthy_for) +
           line("keep_copy", keep_copy) + line("has_copy", has_copy) +
           line("drops_copy", drops_copy) + line("failure", failure) +
           line("cause", name_of(cause)) + line("exit", exit);
}

[[nodiscard]] inline std::string text_of(const engine_record& record) {
    using detail::line;
    const auto& [id, product_id, user_id, version, status, intent, boot, origin, last_exit,
                 revision, sequence, generation, port, sleep_mode, restarts, reserved_memory_mb,
                 defaults_revision, key_hash, sealed_key, next_key_hash, next_sealed_key,
                 created_at, operation_started_at, last_health_at, last_activity_at, busy_until,
                 sleeping_since, deadline, restart_at, healthy_since, restart_attempts, retries,
                 reason, asked_by, settings, upgrade] = record;
    return "engine\n" + line("id", id) + line("product_id", product_id) + line("user_id", user_id) +
           line("version", version) + line("status", status) + line("intent", intent) +
           line("boot", boot) + line("origin", origin) + line("sleep_mode", sleep_mode) +
           line("last_exit", last_exit) + line("revision", revision) + line("sequence", sequence) +
           line("generation", generation) + line("port", port) + line("restarts", restarts) +
           line("reserved_memory_mb", reserved_memory_mb) +
           line("defaults_revision", defaults_revision) + line("key_hash", key_hash) +
           line("sealed_key", sealed_key) + line("next_key_hash", next_key_hash) +
           line("next_sealed_key", next_sealed_key) + line("created_at", created_at) +
           line("operation_started_at", operation_started_at) +
           line("last_health_at", last_health_at) + line("last_activity_at", last_activity_at) +
           line("busy_until", busy_until) + line("sleeping_since", sleeping_since) +
           line("deadline", deadline) + line("restart_at", restart_at) +
           line("healthy_since", healthy_since) + line("restart_attempts", restart_attempts) +
           line("retries", retries) + line("reason", reason) + line("asked_by", asked_by) +
           (settings ? text_of(*settings) : std::string()) +
           (upgrade ? text_of(*upgrade) : std::string());
}

[[nodiscard]] inline std::string text_of(const product_defaults& defaults) {
    using detail::line;
    const auto& [version, settings, env_changed, limits_changed, stop_grace_changed,
                 former] = defaults;
    auto out = line("default version", version) + text_of(settings) +
               line("env_changed", env_changed) + line("limits_changed", limits_changed) +
               line("stop_grace_changed", stop_grace_changed);
    for (const auto& [first_revision, last_revision, env_names, sealed_env, limits, stop_grace] :
         former)
        out += line("former from", first_revision) + line("former to", last_revision) +
               line("env_names", env_names) + line("sealed_env", sealed_env) +
               line("memory_mb", limits.memory_mb) + line("cpus", limits.cpus) +
               line("pids", limits.pids) + line("stop_grace", stop_grace);
    return out;
}

[[nodiscard]] inline std::string text_of(const product& record) {
    using detail::line;
    // `called_by` is not stored.
    const auto& [id, slug, display_name, keys, last_key_id, limits, created_at, revision, defaults,
                 deleting_since, called_by] = record;
    const auto& [max_engines, rate_limit_rpm, rate_limit_burst, max_concurrent_boots,
                 max_provisions_per_minute, weight, max_memory_mb, max_cpus, max_pids,
                 max_total_memory_mb, allow_provision, allow_env, allowed_versions] = limits;
    return "product\n" + line("id", id) + line("slug", slug) + line("display_name", display_name) +
           line("keys", keys) + line("last_key_id", last_key_id) +
           line("max_engines", max_engines) + line("rate_limit_rpm", rate_limit_rpm) +
           line("rate_limit_burst", rate_limit_burst) +
           line("max_concurrent_boots", max_concurrent_boots) +
           line("max_provisions_per_minute", max_provisions_per_minute) + line("weight", weight) +
           line("max_memory_mb", max_memory_mb) + line("max_cpus", max_cpus) +
           line("max_pids", max_pids) + line("max_total_memory_mb", max_total_memory_mb) +
           line("allow_provision", allow_provision) + line("allow_env", allow_env) +
           line("allowed_versions", allowed_versions) + line("created_at", created_at) +
           line("revision", revision) + line("deleting_since", deleting_since) +
           (defaults ? text_of(*defaults) : std::string());
}

[[nodiscard]] inline std::string text_of(const audit_entry& row) {
    using detail::line;
    const auto& [id, timestamp, product_id, user_id, engine_id, action, actor, facts, took, from,
                 to] = row;
    return "audit row\n" + line("id", id) + line("timestamp", timestamp) +
           line("product_id", product_id) + line("user_id", user_id) +
           line("engine_id", engine_id) + line("action", action) + line("actor", actor) +
           line("metadata", facts) + line("took", took) + line("from", from) + line("to", to);
}

[[nodiscard]] inline std::string text_of(const idempotency_record& record) {
    using detail::line;
    const auto& [id, request, engine_id, created_at, sealed_answer, sequence] = record;
    return "idempotency record\n" + line("product_id", id.product_id) +
           line("key_hash", id.key_hash) + line("request", request) + line("engine_id", engine_id) +
           line("created_at", created_at) + line("sealed_answer", sealed_answer) +
           line("sequence", sequence);
}

[[nodiscard]] inline std::string text_of(const fleet_counts& counts) {
    std::string out = "counts\n";
    for (const auto status : all_engine_statuses)
        out += detail::line(name_of(status), counts.of(status));
    return out + detail::line("total_provisions", counts.total_provisions) +
           detail::line("total_destroys", counts.total_destroys) +
           detail::line("reserved_memory_mb", counts.reserved_memory_mb);
}

template <class Record>
[[nodiscard]] std::string text_of(const std::shared_ptr<const Record>& record) {
    return record ? text_of(*record) : "nothing\n";
}

template <class Record> [[nodiscard]] std::string text_of(const std::vector<Record>& records) {
    std::string out;
    for (const auto& record : records) out += text_of(record);
    return out;
}

[[nodiscard]] inline std::string text_of(const engine_page& page) {
    return "page of engines\n" + detail::line("total", page.total) + text_of(page.engines);
}

[[nodiscard]] inline std::string text_of(const product_page& page) {
    return "page of products\n" + detail::line("total", page.total) +
           detail::line("next", page.next) + text_of(page.products);
}

[[nodiscard]] inline std::string text_of(const audit_page& page) {
    return "page of audit rows\n" + detail::line("next_before", page.next_before) +
           text_of(page.entries);
}

[[nodiscard]] inline std::string text_of(const committed& done) {
    std::string out = "committed\n" + text_of(done.engines);
    for (const auto id : done.audit_ids) out += detail::line("audit id", id);
    return out;
}

/// The answer to a call. Of a failure only the code is shown, because messages differ by store.
template <class T> [[nodiscard]] std::string text_of(const result<T>& answer) {
    if (!answer) return "refused: " + std::to_string(static_cast<int>(answer.error().code)) + '\n';
    if constexpr (std::is_void_v<T>) return "done\n";
    else if constexpr (std::is_integral_v<T>) return std::to_string(*answer) + '\n';
    else return text_of(*answer);
}

/// The first line in which two texts differ, with the line that begins its record. Empty if the
/// texts are equal.
[[nodiscard]] inline std::string difference(std::string_view got, std::string_view wanted) {
    std::string record;
    while (!got.empty() || !wanted.empty()) {
        const auto left = got.substr(0, got.find('\n'));
        const auto right = wanted.substr(0, wanted.find('\n'));
        if (left != right)
            return "in " + record + "\n  got    " + std::string(left) + "\n  wanted " +
                   std::string(right);
        if (left.find(": ") == left.npos) record.clear();
        if (record.size() < 200) record += ' ' + std::string(left);
        got.remove_prefix(std::min(left.size() + 1, got.size()));
        wanted.remove_prefix(std::min(right.size() + 1, wanted.size()));
    }
    return {};
}

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
