#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/store/lmdb/bytes.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// The encoding of the store's records. `encode` writes the newest version of a record; `decode`
/// reads the members in the same order.
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

/// The newest known version of each record, in which it is written.
template <class Record> inline constexpr std::uint8_t newest_version = 0;
template <> inline constexpr std::uint8_t newest_version<engine_record> = 1;
template <> inline constexpr std::uint8_t newest_version<product> = 1;
template <> inline constexpr std::uint8_t newest_version<audit_entry> = 1;
template <> inline constexpr std::uint8_t newest_version<fleet_counts> = 1;
template <> inline constexpr std::uint8_t newest_version<store_state> = 1;

// Engines

[[nodiscard]] inline record_writer encode(const engine_record& engine) {
    record_writer out(newest_version<engine_record>);
    out.number(engine.revision);
    out.raw(engine.id.bytes);
    out.raw(engine.product_id.bytes);
    out.text(engine.user_id);
    out.text(engine.version);
    out.number(static_cast<std::uint8_t>(engine.status));
    out.number(static_cast<std::uint8_t>(engine.intent));
    out.number(static_cast<std::uint8_t>(engine.boot));
    out.number(static_cast<std::uint8_t>(engine.origin));
    out.number(engine.sequence);
    out.number(engine.generation);
    out.number(engine.port);
    out.raw(engine.key_hash);
    out.text(engine.sealed_key);
    out.raw(engine.next_key_hash);
    out.text(engine.next_sealed_key);
    out.time(engine.created_at);
    out.time(engine.operation_started_at);
    out.maybe(engine.last_health_at);
    out.time(engine.last_activity_at);
    out.time(engine.busy_until);
    out.maybe(engine.deadline);
    out.maybe(engine.restart_at);
    out.maybe(engine.healthy_since);
    out.number(engine.restart_attempts);
    out.number(engine.retries);
    out.text(engine.reason);
    return out;
}

inline void decode(record_reader& in, engine_record& engine) {
    engine.revision = in.number<std::uint64_t>();
    in.raw(engine.id.bytes);
    in.raw(engine.product_id.bytes);
    engine.user_id = in.text();
    engine.version = in.text();
    engine.status = in.choice<engine_status>(all_engine_statuses.size());
    engine.intent = in.choice<intent>(all_intents.size());
    engine.boot = in.choice<boot_reason>(all_boot_reasons.size());
    engine.origin = in.choice<engine_status>(all_engine_statuses.size());
    engine.sequence = in.number<std::uint64_t>();
    engine.generation = in.number<std::uint64_t>();
    engine.port = in.number<std::uint16_t>();
    in.raw(engine.key_hash);
    engine.sealed_key = in.text();
    in.raw(engine.next_key_hash);
    engine.next_sealed_key = in.text();
    engine.created_at = in.time();
    engine.operation_started_at = in.time();
    in.maybe(engine.last_health_at);
    engine.last_activity_at = in.time();
    engine.busy_until = in.time();
    in.maybe(engine.deadline);
    in.maybe(engine.restart_at);
    in.maybe(engine.healthy_since);
    engine.restart_attempts = in.number<std::uint32_t>();
    engine.retries = in.number<std::uint32_t>();
    engine.reason = in.text();
}

// Products

[[nodiscard]] inline record_writer encode(const product& record) {
    record_writer out(newest_version<product>);
    const auto number = [&](std::uint64_t value) { out.number(value); };
    out.number(record.revision);
    out.raw(record.id.bytes);
    out.text(record.slug);
    out.text(record.display_name);
    out.raw(record.key_hash);
    out.maybe(record.policy.max_engines, number);
    out.maybe(record.policy.rate_limit_rpm, number);
    out.maybe(record.policy.allow_provision,
              [&](bool value) { out.number(static_cast<std::uint8_t>(value ? 1 : 0)); });
    out.maybe(record.policy.allowed_versions, [&](const std::vector<std::string>& versions) {
        out.number(static_cast<std::uint32_t>(versions.size()));
        for (const auto& version : versions) out.text(version);
    });
    out.time(record.created_at);
    return out;
}

inline void decode(record_reader& in, product& record) {
    const auto number = [&] { return in.number<std::uint64_t>(); };
    record.revision = number();
    in.raw(record.id.bytes);
    record.slug = in.text();
    record.display_name = in.text();
    in.raw(record.key_hash);
    in.maybe(record.policy.max_engines, number);
    in.maybe(record.policy.rate_limit_rpm, number);
    in.maybe(record.policy.allow_provision, [&] { return in.choice<bool>(2); });
    in.maybe(record.policy.allowed_versions, [&] {
        std::vector<std::string> versions;
        for (auto left = in.number<std::uint32_t>(); left != 0 && !in.damaged(); --left)
            versions.push_back(in.text());
        return versions;
    });
    record.created_at = in.time();
}

// Audit rows

inline void encode(record_writer& out, const metadata& facts) {
    out.number(static_cast<std::uint32_t>(facts.size()));
    for (const auto& [name, value] : facts) {
        out.text(name);
        out.number(static_cast<std::uint8_t>(value.index()));
        if (const auto* const text = std::get_if<std::string>(&value)) out.text(*text);
        else if (const auto* const whole = std::get_if<std::int64_t>(&value))
            out.number(static_cast<std::uint64_t>(*whole));
        else out.number(static_cast<std::uint8_t>(std::get<bool>(value) ? 1 : 0));
    }
}

[[nodiscard]] inline metadata decode_metadata(record_reader& in) {
    metadata facts;
    for (auto left = in.number<std::uint32_t>(); left != 0 && !in.damaged(); --left) {
        auto name = in.text();
        metadata_value value;
        switch (in.choice<std::uint8_t>(std::variant_size_v<metadata_value>)) {
        case 0: value = in.text(); break;
        case 1: value = static_cast<std::int64_t>(in.number<std::uint64_t>()); break;
        default: value = in.choice<bool>(2); break;
        }
        facts.emplace_back(std::move(name), std::move(value));
    }
    return facts;
}

[[nodiscard]] inline record_writer encode(const audit_entry& row) {
    record_writer out(newest_version<audit_entry>);
    const auto id = [&](const uuid& value) { out.raw(value.bytes); };
    const auto status = [&](engine_status value) { out.number(static_cast<std::uint8_t>(value)); };
    out.number(row.id);
    out.time(row.timestamp);
    out.maybe(row.product_id, id);
    out.maybe(row.user_id, [&](const std::string& user) { out.text(user); });
    out.maybe(row.engine_id, id);
    out.number(static_cast<std::uint8_t>(row.action));
    out.text(row.actor);
    encode(out, row.metadata);
    out.maybe(row.took,
              [&](duration took) { out.number(static_cast<std::uint64_t>(took.count())); });
    out.maybe(row.from, status);
    out.maybe(row.to, status);
    return out;
}

inline void decode(record_reader& in, audit_entry& row) {
    const auto id = [&] {
        uuid value;
        in.raw(value.bytes);
        return value;
    };
    const auto status = [&] { return in.choice<engine_status>(all_engine_statuses.size()); };
    row.id = in.number<std::uint64_t>();
    row.timestamp = in.time();
    in.maybe(row.product_id, id);
    in.maybe(row.user_id, [&] { return in.text(); });
    in.maybe(row.engine_id, id);
    row.action = in.choice<audit_action>(all_audit_actions.size());
    row.actor = in.text();
    row.metadata = decode_metadata(in);
    in.maybe(row.took,
             [&] { return duration{static_cast<std::int64_t>(in.number<std::uint64_t>())}; });
    in.maybe(row.from, status);
    in.maybe(row.to, status);
}

// Counters

[[nodiscard]] inline record_writer encode(const fleet_counts& counts) {
    record_writer out(newest_version<fleet_counts>);
    for (const auto count : counts.by_status) out.number(count);
    out.number(counts.total_provisions);
    out.number(counts.total_destroys);
    return out;
}

inline void decode(record_reader& in, fleet_counts& counts) {
    for (auto& count : counts.by_status) count = in.number<std::uint64_t>();
    counts.total_provisions = in.number<std::uint64_t>();
    counts.total_destroys = in.number<std::uint64_t>();
}

[[nodiscard]] inline record_writer encode(const store_state& state) {
    record_writer out(newest_version<store_state>);
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
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
