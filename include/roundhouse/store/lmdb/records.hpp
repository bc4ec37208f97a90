#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/crypto/base64url.hpp>
#include <roundhouse/store/lmdb/owner_hash.hpp>
#include <roundhouse/store/lmdb/sections.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// The encoding of the store's records (sections.hpp). Heads have fixed places and never change; a
/// new field is a new section, whose tag is the next that was never used, and raises `layout` in
/// schema.hpp.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// The store's own counters.
struct store_state {
    std::uint64_t last_sequence = 0;
    std::uint64_t last_audit_id = 0;
    std::uint32_t next_port = 0; ///< Where the search for a port goes on (`port_search`).
    instant latest_audit{};      ///< The latest timestamp of any audit row so far.
    duration set_back{};         ///< The most that a row's timestamp was before `latest_audit`.
};

// Engines

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
    last_exit = 17, ///< For code and signal each whether there is one, and its value; a flag.
    restarts,
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
    return out;
}

/// Reads one section into the record. False if the tag is not known.
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
    }
    return false;
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
    in.sections<engine_section>([&](engine_section section, value_reader& values) {
        return decode_section(section, values, engine);
    });
}

// Products

enum class product_section : std::uint8_t {
    slug = 1,
    display_name,
    max_engines,
    rate_limit_rpm,
    allow_provision,
    allowed_versions, ///< Texts. An empty one allows no version.
    max_concurrent_boots,
    max_provisions_per_minute,
    weight,
    rate_limit_burst,
};

[[nodiscard]] inline record_writer encode(const product& record) {
    record_writer out;
    out.number(record.revision);
    out.raw(record.id.bytes);
    out.raw(record.key_hash);
    out.time(record.created_at);

    using enum product_section;
    const auto& limits = record.policy;
    out.text_section(slug, record.slug);
    out.text_section(display_name, record.display_name);
    if (limits.max_engines) out.section(max_engines, [&] { out.number(*limits.max_engines); });
    if (limits.rate_limit_rpm)
        out.section(rate_limit_rpm, [&] { out.number(*limits.rate_limit_rpm); });
    if (limits.allow_provision)
        out.section(allow_provision, [&] {
            out.number(static_cast<std::uint8_t>(*limits.allow_provision ? 1 : 0));
        });
    if (limits.allowed_versions)
        out.section(allowed_versions, [&] {
            for (const auto& version : *limits.allowed_versions) out.text(version);
        });
    if (limits.max_concurrent_boots)
        out.section(max_concurrent_boots, [&] { out.number(*limits.max_concurrent_boots); });
    if (limits.max_provisions_per_minute)
        out.section(max_provisions_per_minute,
                    [&] { out.number(*limits.max_provisions_per_minute); });
    if (limits.weight) out.section(weight, [&] { out.number(*limits.weight); });
    if (limits.rate_limit_burst)
        out.section(rate_limit_burst, [&] { out.number(*limits.rate_limit_burst); });
    return out;
}

inline void decode(record_reader& in, product& record) {
    record.revision = in.number<std::uint64_t>();
    record.id = in.id();
    in.raw(record.key_hash);
    record.created_at = in.time();
    auto& limits = record.policy;
    in.sections<product_section>([&](product_section section, value_reader& values) {
        switch (section) {
            using enum product_section;
        case slug: record.slug = values.rest(); return true;
        case display_name: record.display_name = values.rest(); return true;
        case max_engines: limits.max_engines = values.number<std::uint64_t>(); return true;
        case rate_limit_rpm: limits.rate_limit_rpm = values.number<std::uint64_t>(); return true;
        case allow_provision: limits.allow_provision = values.choice<bool>(2); return true;
        case allowed_versions:
            limits.allowed_versions.emplace();
            while (!values.at_end()) limits.allowed_versions->emplace_back(values.text());
            return true;
        case max_concurrent_boots:
            limits.max_concurrent_boots = values.number<std::uint64_t>();
            return true;
        case max_provisions_per_minute:
            limits.max_provisions_per_minute = values.number<std::uint64_t>();
            return true;
        case weight: limits.weight = values.number<std::uint64_t>(); return true;
        case rate_limit_burst:
            limits.rate_limit_burst = values.number<std::uint64_t>();
            return true;
        }
        return false;
    });
}

// Audit rows

enum class audit_section : std::uint8_t {
    product_id = 1,
    user_id,
    engine_id,
    actor,
    metadata, ///< For each fact its name, its kind (`metadata_value::index`) and its value.
    took,
    from,
    to,
};

inline void encode(record_writer& out, const metadata& facts) {
    for (const auto& [name, value] : facts) {
        out.text(name);
        out.number(static_cast<std::uint8_t>(value.index()));
        if (const auto* const text = std::get_if<std::string>(&value)) out.text(*text);
        else if (const auto* const whole = std::get_if<std::int64_t>(&value))
            out.number(static_cast<std::uint64_t>(*whole));
        else out.number(static_cast<std::uint8_t>(std::get<bool>(value) ? 1 : 0));
    }
}

[[nodiscard]] inline metadata decode_metadata(value_reader& in) {
    metadata facts;
    while (!in.at_end()) {
        std::string name(in.text());
        metadata_value value;
        switch (in.choice<std::uint8_t>(std::variant_size_v<metadata_value>)) {
        case 0: value = std::string(in.text()); break;
        case 1: value = static_cast<std::int64_t>(in.number<std::uint64_t>()); break;
        default: value = in.choice<bool>(2); break;
        }
        facts.emplace_back(std::move(name), std::move(value));
    }
    return facts;
}

[[nodiscard]] inline record_writer encode(const audit_entry& row) {
    record_writer out;
    out.number(row.id);
    out.time(row.timestamp);
    out.number(static_cast<std::uint8_t>(row.action));

    using enum audit_section;
    const auto byte = [&](engine_status status) { out.number(static_cast<std::uint8_t>(status)); };
    if (row.product_id) out.section(product_id, [&] { out.raw(row.product_id->bytes); });
    if (row.user_id) out.section(user_id, [&] { out.raw(*row.user_id); });
    if (row.engine_id) out.section(engine_id, [&] { out.raw(row.engine_id->bytes); });
    out.text_section(actor, row.actor);
    if (!row.metadata.empty()) out.section(metadata, [&] { encode(out, row.metadata); });
    if (row.took)
        out.section(took, [&] { out.number(static_cast<std::uint64_t>(row.took->count())); });
    if (row.from) out.section(from, [&] { byte(*row.from); });
    if (row.to) out.section(to, [&] { byte(*row.to); });
    return out;
}

inline void decode(record_reader& in, audit_entry& row) {
    row.id = in.number<std::uint64_t>();
    row.timestamp = in.time();
    row.action = in.choice<audit_action>(all_audit_actions.size());
    in.sections<audit_section>([&](audit_section section, value_reader& values) {
        const auto status = [&] {
            return values.choice<engine_status>(all_engine_statuses.size());
        };
        switch (section) {
            using enum audit_section;
        case product_id: row.product_id = values.id(); return true;
        case user_id: row.user_id.emplace(values.rest()); return true;
        case engine_id: row.engine_id = values.id(); return true;
        case actor: row.actor = values.rest(); return true;
        case metadata: row.metadata = decode_metadata(values); return true;
        case took:
            row.took = duration{static_cast<std::int64_t>(values.number<std::uint64_t>())};
            return true;
        case from: row.from = status(); return true;
        case to: row.to = status(); return true;
        }
        return false;
    });
}

// Counters and the store itself

/// The sections of the records that have none so far.
enum class no_section : std::uint8_t {};

inline bool decode_no_section(no_section, value_reader&) noexcept { return false; }

[[nodiscard]] inline record_writer encode(const fleet_counts& counts) {
    record_writer out;
    for (const auto count : counts.by_status) out.number(count);
    out.number(counts.total_provisions);
    out.number(counts.total_destroys);
    return out;
}

inline void decode(record_reader& in, fleet_counts& counts) {
    for (auto& count : counts.by_status) count = in.number<std::uint64_t>();
    counts.total_provisions = in.number<std::uint64_t>();
    counts.total_destroys = in.number<std::uint64_t>();
    in.sections<no_section>(decode_no_section);
}

[[nodiscard]] inline record_writer encode(const store_state& state) {
    record_writer out;
    out.number(state.last_sequence);
    out.number(state.last_audit_id);
    out.number(state.next_port);
    out.time(state.latest_audit);
    out.number(static_cast<std::uint64_t>(state.set_back.count()));
    return out;
}

inline void decode(record_reader& in, store_state& state) {
    state.last_sequence = in.number<std::uint64_t>();
    state.last_audit_id = in.number<std::uint64_t>();
    state.next_port = in.number<std::uint32_t>();
    state.latest_audit = in.time();
    state.set_back = duration{static_cast<std::int64_t>(in.number<std::uint64_t>())};
    in.sections<no_section>(decode_no_section);
}

[[nodiscard]] inline record_writer encode(const owner_hash_key& key) {
    record_writer out;
    for (const auto word : key.secret) out.number(word);
    out.number(key.bits);
    return out;
}

inline void decode(record_reader& in, owner_hash_key& key) {
    for (auto& word : key.secret) word = in.number<std::uint64_t>();
    key.bits = in.number<std::uint8_t>();
    if (key.bits == 0 || key.bits > owner_hash_key::most_bits)
        in.fail("a value is out of its range");
    in.sections<no_section>(decode_no_section);
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
