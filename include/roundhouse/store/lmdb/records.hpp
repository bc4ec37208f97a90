#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/store/lmdb/defaults_records.hpp>
#include <roundhouse/store/lmdb/engine_records.hpp>
#include <roundhouse/store/lmdb/owner_hash.hpp>
#include <roundhouse/store/lmdb/sections.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <bit>
#include <cstdint>
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
    max_memory_mb,
    max_cpus, ///< The bits of the number (IEEE 754).
    max_pids,
    max_total_memory_mb,
    allow_env,
    /// The highest id so far, and the keys. Left out of a product that has the key of its
    /// registration alone.
    keys = 32,
    configured_keys = 40, ///< The ids of the keys that an operator has configured.
    defaults = 48, ///< What its engines get that have nothing of their own (defaults_records.hpp).
    deleting_since = 52,
};

/// The keys of a product that has only that of its registration, which has this hash.
[[nodiscard]] inline std::vector<platform_key> registered_keys(const product& record,
                                                               const sha256_digest& hash) {
    return {platform_key{1, hash, record.created_at}};
}

inline void encode_keys(record_writer& out, const product& record) {
    out.number(record.last_key_id);
    for (const auto& key : record.keys) {
        out.number(key.id);
        out.raw(key.hash);
        out.time(key.created_at);
        out.number(static_cast<std::uint8_t>(key.expires_at ? 1 : 0));
        if (key.expires_at) out.time(*key.expires_at);
    }
}

inline void decode_keys(value_reader& in, product& record) {
    record.last_key_id = in.number<std::uint64_t>();
    record.keys.clear();
    while (!in.at_end()) {
        auto& key = record.keys.emplace_back();
        key.id = in.number<std::uint64_t>();
        in.raw(key.hash);
        key.created_at = in.time();
        if (in.choice<bool>(2)) key.expires_at = in.time();
    }
}

/// Comes behind the keys.
inline void decode_configured_keys(value_reader& in, product& record) {
    while (!in.at_end()) {
        const auto key = std::ranges::find(record.keys, in.number<std::uint64_t>(),
                                           &platform_key::id);
        if (key != record.keys.end()) key->configured = true;
    }
}

[[nodiscard]] inline record_writer encode(const product& record) {
    record_writer out;
    out.number(record.revision);
    out.raw(record.id.bytes);
    const auto first = record.keys.empty() ? sha256_digest{} : record.keys.front().hash;
    out.raw(first);
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
    if (limits.max_memory_mb)
        out.section(max_memory_mb, [&] { out.number(*limits.max_memory_mb); });
    if (limits.max_cpus)
        out.section(max_cpus, [&] { out.number(std::bit_cast<std::uint64_t>(*limits.max_cpus)); });
    if (limits.max_pids) out.section(max_pids, [&] { out.number(*limits.max_pids); });
    if (limits.max_total_memory_mb)
        out.section(max_total_memory_mb, [&] { out.number(*limits.max_total_memory_mb); });
    if (limits.allow_env)
        out.section(allow_env,
                    [&] { out.number(static_cast<std::uint8_t>(*limits.allow_env ? 1 : 0)); });
    if (record.last_key_id != 1 || record.keys != registered_keys(record, first))
        out.section(keys, [&] { encode_keys(out, record); });
    if (std::ranges::any_of(record.keys, &platform_key::configured))
        out.section(configured_keys, [&] {
            for (const auto& key : record.keys)
                if (key.configured) out.number(key.id);
        });
    if (record.defaults) out.section(defaults, [&] { write_defaults(out, *record.defaults); });
    out.time_section(deleting_since, record.deleting_since);
    return out;
}

inline void decode(record_reader& in, product& record) {
    record.revision = in.number<std::uint64_t>();
    record.id = in.id();
    sha256_digest first{};
    in.raw(first);
    record.created_at = in.time();
    record.keys = registered_keys(record, first);
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
        case max_memory_mb: limits.max_memory_mb = values.number<std::uint64_t>(); return true;
        case max_cpus:
            limits.max_cpus = std::bit_cast<double>(values.number<std::uint64_t>());
            return true;
        case max_pids: limits.max_pids = values.number<std::uint64_t>(); return true;
        case max_total_memory_mb:
            limits.max_total_memory_mb = values.number<std::uint64_t>();
            return true;
        case allow_env: limits.allow_env = values.choice<bool>(2); return true;
        case keys: decode_keys(values, record); return true;
        case configured_keys: decode_configured_keys(values, record); return true;
        case defaults: record.defaults = decode_defaults(values); return true;
        case deleting_since: record.deleting_since = values.time(); return true;
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

// Counters, idempotency records and the store itself

enum class counters_section : std::uint8_t {
    reserved_memory_mb = 1, ///< Left out if it is 0.
};

/// The sections of the records that have none so far.
enum class no_section : std::uint8_t {};

inline bool decode_no_section(no_section, value_reader&) noexcept { return false; }

[[nodiscard]] inline record_writer encode(const fleet_counts& counts) {
    record_writer out;
    for (const auto count : counts.by_status) out.number(count);
    out.number(counts.total_provisions);
    out.number(counts.total_destroys);
    if (counts.reserved_memory_mb > 0)
        out.section(counters_section::reserved_memory_mb,
                    [&] { out.number(counts.reserved_memory_mb); });
    return out;
}

inline void decode(record_reader& in, fleet_counts& counts) {
    for (auto& count : counts.by_status) count = in.number<std::uint64_t>();
    counts.total_provisions = in.number<std::uint64_t>();
    counts.total_destroys = in.number<std::uint64_t>();
    in.sections<counters_section>([&](counters_section section, value_reader& values) {
        if (section != counters_section::reserved_memory_mb) return false;
        counts.reserved_memory_mb = values.number<std::uint64_t>();
        return true;
    });
}

enum class idempotency_section : std::uint8_t {
    sealed_answer = 1, ///< Left out while there is none.
};

[[nodiscard]] inline record_writer encode(const idempotency_record& record) {
    record_writer out;
    out.raw(record.id.product_id.bytes);
    out.raw(record.id.key_hash);
    out.raw(record.request);
    out.raw(record.engine_id.bytes);
    out.time(record.created_at);
    out.number(record.sequence);
    out.text_section(idempotency_section::sealed_answer, record.sealed_answer);
    return out;
}

inline void decode(record_reader& in, idempotency_record& record) {
    record.id.product_id = in.id();
    in.raw(record.id.key_hash);
    in.raw(record.request);
    record.engine_id = in.id();
    record.created_at = in.time();
    record.sequence = in.number<std::uint64_t>();
    in.sections<idempotency_section>([&](idempotency_section section, value_reader& values) {
        if (section != idempotency_section::sealed_answer) return false;
        record.sealed_answer = values.rest();
        return true;
    });
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
