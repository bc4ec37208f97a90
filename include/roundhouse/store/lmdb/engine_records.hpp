#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/crypto/base64url.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/engine_upgrade.hpp>
#include <roundhouse/store/lmdb/sections.hpp>
#include <roundhouse/types.hpp>

#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// The encoding of the records of engines (records.hpp).
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// The sections of an engine.
enum class engine_section : std::uint8_t {
    user_id = 1,
    version,
    sealed_key,           ///< The bytes of the Fernet token.
    sealed_key_text,      ///< In its place: a text that is not the base64url of bytes.
    next_key_hash,        ///< With the sealed key that follows: a rotation is under way.
    next_sealed_key,      ///< As `sealed_key`.
    next_sealed_key_text, ///< As `sealed_key_text`.
    last_health_at,
    deadline,
    restart_at,
    healthy_since,
    reason,
    env_names,       ///< Texts.
    sealed_env,      ///< As `sealed_key`.
    sealed_env_text, ///< As `sealed_key_text`.
    metadata,        ///< For each member its name and its value.
    last_exit,       ///< For code and signal each whether there is one, and its value; a flag.
    restarts,
    memory_mb,
    cpus, ///< The bits of the number (IEEE 754).
    pids,
    stop_grace,  ///< Milliseconds.
    sleep_after, ///< Milliseconds.
    pinned,
    settings_revision,
    pending,            ///< A flag each; then each ceiling and the grace that there was.
    pending_sealed_env, ///< The text of the Fernet token.
    reserved_memory_mb,
    deep_sleep_after, ///< Milliseconds.
    sleep_mode,
    sleeping_since,
    defaults_revision = 33,
    upgrade,         ///< Numbers and flags; then the versions, the failure and how that ended.
    pending_version, ///< The version that there was.
    asked_by = 40,
};

/// Writes a Fernet token, which is base64url with padding, as the bytes that it stands for.
inline void write_token(record_writer& out, std::string_view token, engine_section as_bytes,
                        engine_section as_text) {
    const auto bytes = crypto::base64url_decode(token, crypto::padding::required);
    if (!bytes) return out.text_section(as_text, token);
    out.text_section(as_bytes, {reinterpret_cast<const char*>(bytes->data()), bytes->size()});
}

[[nodiscard]] inline std::string read_token(value_reader& in) {
    const auto bytes = in.rest();
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4); // with its padding, so that it is allocated once
    crypto::base64url_append(text,
                             {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                             crypto::padding::required);
    return text;
}

inline void encode(record_writer& out, const exit_status& exit) {
    out.number(static_cast<std::uint8_t>(exit.exit_code ? 1 : 0));
    out.number(static_cast<std::uint32_t>(exit.exit_code.value_or(0)));
    out.number(static_cast<std::uint8_t>(exit.signal ? 1 : 0));
    out.number(exit.signal.value_or(std::uint8_t{0}));
    out.number(static_cast<std::uint8_t>(exit.out_of_memory ? 1 : 0));
}

[[nodiscard]] inline exit_status decode_exit_status(value_reader& in) {
    exit_status exit;
    const bool has_code = in.choice<bool>(2);
    const auto code = static_cast<std::int32_t>(in.number<std::uint32_t>());
    const bool has_signal = in.choice<bool>(2);
    const auto signal = in.number<std::uint8_t>();
    if (has_code) exit.exit_code = code;
    if (has_signal) exit.signal = signal;
    exit.out_of_memory = in.choice<bool>(2);
    return exit;
}

inline void write_pending(record_writer& out, const pending_settings& settings) {
    const auto& limits = settings.limits_before;
    const auto optional = [&out](const auto& value) {
        out.number(static_cast<std::uint8_t>(value ? 1 : 0));
        out.number(value ? std::bit_cast<std::uint64_t>(*value) : std::uint64_t{0});
    };
    out.section(engine_section::pending, [&] {
        for (const bool flag : {settings.env, settings.limits, settings.stop_grace})
            out.number(static_cast<std::uint8_t>(flag));
        optional(limits.memory_mb);
        optional(limits.cpus);
        optional(limits.pids);
        optional(settings.stop_grace_before);
    });
    out.text_section(engine_section::pending_sealed_env, settings.sealed_env);
    if (settings.version)
        out.section(engine_section::pending_version, [&] { out.text(settings.version_before); });
}

inline void write_upgrade(record_writer& out, const engine_upgrade& upgrade) {
    const auto flag = [&out](bool value) { out.number(static_cast<std::uint8_t>(value)); };
    out.section(engine_section::upgrade, [&] {
        out.number(static_cast<std::uint8_t>(upgrade.step));
        out.number(std::bit_cast<std::uint64_t>(upgrade.healthy_for.count()));
        flag(upgrade.keep_copy.has_value());
        flag(upgrade.keep_copy.value_or(false));
        flag(upgrade.has_copy);
        flag(upgrade.drops_copy);
        out.text(upgrade.from_version);
        out.text(upgrade.to_version);
        out.text(upgrade.failure);
        out.number(static_cast<std::uint8_t>(upgrade.cause));
        encode(out, upgrade.exit);
    });
}

[[nodiscard]] inline engine_upgrade decode_upgrade(value_reader& in) {
    engine_upgrade upgrade;
    upgrade.step = in.choice<upgrade_step>(all_upgrade_steps.size());
    upgrade.healthy_for = duration{std::bit_cast<std::int64_t>(in.number<std::uint64_t>())};
    const bool has_choice = in.choice<bool>(2);
    const bool choice = in.choice<bool>(2);
    if (has_choice) upgrade.keep_copy = choice;
    upgrade.has_copy = in.choice<bool>(2);
    upgrade.drops_copy = in.choice<bool>(2);
    upgrade.from_version = in.text();
    upgrade.to_version = in.text();
    upgrade.failure = in.text();
    upgrade.cause = in.choice<boot_failure>(all_boot_failures.size());
    upgrade.exit = decode_exit_status(in);
    return upgrade;
}

[[nodiscard]] inline pending_settings decode_pending(value_reader& in) {
    pending_settings pending;
    pending.env = in.choice<bool>(2);
    pending.limits = in.choice<bool>(2);
    pending.stop_grace = in.choice<bool>(2);
    const auto optional = [&in]<class T>(std::optional<T>& value) {
        const bool is_set = in.choice<bool>(2);
        const auto bits = in.number<std::uint64_t>();
        if (is_set) value = std::bit_cast<T>(bits);
    };
    optional(pending.limits_before.memory_mb);
    optional(pending.limits_before.cpus);
    optional(pending.limits_before.pids);
    optional(pending.stop_grace_before);
    return pending;
}

/// Writes what is set. A record without the sections has no settings.
inline void write_settings(record_writer& out, const engine_settings& settings) {
    using enum engine_section;
    const auto number = [&](engine_section section, const auto& value) {
        if (value) out.section(section, [&] { out.number(std::bit_cast<std::uint64_t>(*value)); });
    };
    if (!settings.env_names.empty())
        out.section(env_names, [&] {
            for (const auto& name : settings.env_names) out.text(name);
        });
    write_token(out, settings.sealed_env, sealed_env, sealed_env_text);
    if (!settings.metadata.empty())
        out.section(metadata, [&] {
            for (const auto& [name, value] : settings.metadata) {
                out.text(name);
                out.text(value);
            }
        });
    number(memory_mb, settings.limits.memory_mb);
    number(cpus, settings.limits.cpus);
    number(pids, settings.limits.pids);
    const auto time = [&](engine_section section, const std::optional<duration>& value) {
        if (value)
            out.section(section, [&] { out.number(static_cast<std::uint64_t>(value->count())); });
    };
    time(stop_grace, settings.stop_grace);
    time(sleep_after, settings.sleep.after);
    time(deep_sleep_after, settings.sleep.deep_after);
    if (settings.sleep.pinned)
        out.section(pinned, [&] { out.number(static_cast<std::uint8_t>(*settings.sleep.pinned)); });
    if (settings.revision != 1)
        out.section(settings_revision, [&] { out.number(settings.revision); });
    if (settings.pending != pending_settings{}) write_pending(out, settings.pending);
}

/// Reads one section into the settings. False if it is none of theirs.
inline bool decode_section(engine_section section, value_reader& in, engine_settings& settings) {
    const auto whole = [&in] { return in.number<std::uint64_t>(); };
    switch (section) {
        using enum engine_section;
    case env_names:
        while (!in.at_end()) settings.env_names.emplace_back(in.text());
        return true;
    case sealed_env: settings.sealed_env = read_token(in); return true;
    case sealed_env_text: settings.sealed_env = in.rest(); return true;
    case metadata:
        while (!in.at_end()) {
            std::string name(in.text());
            settings.metadata[std::move(name)] = in.text();
        }
        return true;
    case memory_mb: settings.limits.memory_mb = whole(); return true;
    case cpus: settings.limits.cpus = std::bit_cast<double>(whole()); return true;
    case pids: settings.limits.pids = whole(); return true;
    case stop_grace:
        settings.stop_grace = duration{static_cast<std::int64_t>(whole())};
        return true;
    case sleep_after:
        settings.sleep.after = duration{static_cast<std::int64_t>(whole())};
        return true;
    case deep_sleep_after:
        settings.sleep.deep_after = duration{static_cast<std::int64_t>(whole())};
        return true;
    case pinned: settings.sleep.pinned = in.choice<bool>(2); return true;
    case settings_revision: settings.revision = whole(); return true;
    case pending: {
        auto before = std::move(settings.pending); // of which the rest may come before
        settings.pending = decode_pending(in);
        settings.pending.sealed_env = std::move(before.sealed_env);
        settings.pending.version = before.version;
        settings.pending.version_before = std::move(before.version_before);
        return true;
    }
    case pending_sealed_env: settings.pending.sealed_env = in.rest(); return true;
    case pending_version:
        settings.pending.version = true;
        settings.pending.version_before = in.text();
        return true;
    default: return false;
    }
}

[[nodiscard]] inline record_writer encode(const engine_record& engine) {
    record_writer out;
    out.number(static_cast<std::uint8_t>(engine.status));
    out.number(static_cast<std::uint8_t>(engine.intent));
    out.number(static_cast<std::uint8_t>(engine.boot));
    out.number(static_cast<std::uint8_t>(engine.origin));
    out.number(std::uint32_t{engine.port});
    out.number(engine.revision);
    out.number(engine.sequence);
    out.number(engine.generation);
    out.raw(engine.id.bytes);
    out.raw(engine.product_id.bytes);
    out.raw(engine.key_hash);
    out.time(engine.created_at);
    out.time(engine.operation_started_at);
    out.time(engine.last_activity_at);
    out.time(engine.busy_until);
    out.number(engine.restart_attempts);
    out.number(engine.retries);

    using enum engine_section;
    out.text_section(user_id, engine.user_id);
    out.text_section(version, engine.version);
    write_token(out, engine.sealed_key, sealed_key, sealed_key_text);
    if (engine.next_key_hash != sha256_digest{})
        out.section(next_key_hash, [&] { out.raw(engine.next_key_hash); });
    write_token(out, engine.next_sealed_key, next_sealed_key, next_sealed_key_text);
    out.time_section(last_health_at, engine.last_health_at);
    out.time_section(deadline, engine.deadline);
    out.time_section(restart_at, engine.restart_at);
    out.time_section(healthy_since, engine.healthy_since);
    out.text_section(reason, engine.reason);
    if (engine.last_exit != exit_status{})
        out.section(last_exit, [&] { encode(out, engine.last_exit); });
    if (engine.restarts > 0) out.section(restarts, [&] { out.number(engine.restarts); });
    if (engine.reserved_memory_mb > 0)
        out.section(reserved_memory_mb, [&] { out.number(engine.reserved_memory_mb); });
    if (engine.defaults_revision > 0)
        out.section(defaults_revision, [&] { out.number(engine.defaults_revision); });
    if (engine.sleep_mode != roundhouse::sleep_mode::paused)
        out.section(sleep_mode, [&] { out.number(static_cast<std::uint8_t>(engine.sleep_mode)); });
    if (engine.sleeping_since != instant{})
        out.section(sleeping_since, [&] { out.time(engine.sleeping_since); });
    if (engine.upgrade) write_upgrade(out, *engine.upgrade);
    out.text_section(asked_by, engine.asked_by);
    if (engine.settings) write_settings(out, *engine.settings);
    return out;
}

/// Reads one section into the record, but for its settings. False if it is none of the rest.
inline bool decode_section(engine_section section, value_reader& in, engine_record& engine) {
    switch (section) {
        using enum engine_section;
    case user_id: engine.user_id = in.rest(); return true;
    case version: engine.version = in.rest(); return true;
    case sealed_key: engine.sealed_key = read_token(in); return true;
    case sealed_key_text: engine.sealed_key = in.rest(); return true;
    case next_key_hash: in.raw(engine.next_key_hash); return true;
    case next_sealed_key: engine.next_sealed_key = read_token(in); return true;
    case next_sealed_key_text: engine.next_sealed_key = in.rest(); return true;
    case last_health_at: engine.last_health_at = in.time(); return true;
    case deadline: engine.deadline = in.time(); return true;
    case restart_at: engine.restart_at = in.time(); return true;
    case healthy_since: engine.healthy_since = in.time(); return true;
    case reason: engine.reason = in.rest(); return true;
    case last_exit: engine.last_exit = decode_exit_status(in); return true;
    case restarts: engine.restarts = in.number<std::uint32_t>(); return true;
    case reserved_memory_mb: engine.reserved_memory_mb = in.number<std::uint64_t>(); return true;
    case defaults_revision: engine.defaults_revision = in.number<std::uint64_t>(); return true;
    case sleep_mode:
        engine.sleep_mode = in.choice<roundhouse::sleep_mode>(all_sleep_modes.size());
        return true;
    case sleeping_since: engine.sleeping_since = in.time(); return true;
    case upgrade:
        engine.upgrade = std::make_shared<const engine_upgrade>(decode_upgrade(in));
        return true;
    case asked_by: engine.asked_by = in.rest(); return true;
    default: return false;
    }
}

inline void decode(record_reader& in, engine_record& engine) {
    engine.status = in.choice<engine_status>(all_engine_statuses.size());
    engine.intent = in.choice<intent>(all_intents.size());
    engine.boot = in.choice<boot_reason>(all_boot_reasons.size());
    engine.origin = in.choice<engine_status>(all_engine_statuses.size());
    engine.port = static_cast<std::uint16_t>(in.number<std::uint32_t>());
    engine.revision = in.number<std::uint64_t>();
    engine.sequence = in.number<std::uint64_t>();
    engine.generation = in.number<std::uint64_t>();
    engine.id = in.id();
    engine.product_id = in.id();
    in.raw(engine.key_hash);
    engine.created_at = in.time();
    engine.operation_started_at = in.time();
    engine.last_activity_at = in.time();
    engine.busy_until = in.time();
    engine.restart_attempts = in.number<std::uint32_t>();
    engine.retries = in.number<std::uint32_t>();
    std::shared_ptr<engine_settings> settings;
    in.sections<engine_section>([&](engine_section section, value_reader& values) {
        if (decode_section(section, values, engine)) return true;
        if (!settings) settings = std::make_shared<engine_settings>();
        return decode_section(section, values, *settings);
    });
    engine.settings = std::move(settings);
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
