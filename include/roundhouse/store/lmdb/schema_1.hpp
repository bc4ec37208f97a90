#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/store/lmdb/bytes.hpp>
#include <roundhouse/store/lmdb/records.hpp>
#include <roundhouse/store/lmdb/sections.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// How the first schema, of version 0.1.0, kept its records: members in order, numbers big-endian,
/// sealed keys as text. It is only read, to be converted.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb::schema_1 {

/// Reads a record: a version, which is 1, its members in order, and a checksum.
class record_reader : public ordered_reader<std::endian::big> {
public:
    explicit record_reader(std::string_view record) noexcept
        : ordered_reader(record.substr(0, record.size() - std::min(sum_bytes, record.size()))) {
        if (record.size() < sum_bytes + 1) {
            fail("it is too short");
            return;
        }
        const auto body = record.substr(0, record.size() - sum_bytes);
        if (load_big_endian<std::uint64_t>(record.data() + body.size()) != checksum(body))
            fail("its checksum is wrong");
        else if (number<std::uint8_t>() != 1) fail("its version is not known");
    }

    template <class Value, class Read> void maybe(std::optional<Value>& into, const Read& read) {
        if (choice<bool>(2)) into = read();
        else into.reset();
    }

    void maybe(std::optional<instant>& into) {
        maybe(into, [this] { return time(); });
    }

    /// Checks that the whole record has been read. Returns what is wrong with the record; null if
    /// nothing is.
    [[nodiscard]] const char* finish() noexcept {
        if (!damaged() && !at_end()) fail("it is too long");
        return damage();
    }

private:
    static constexpr auto sum_bytes = sizeof(std::uint64_t);
};

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

inline void decode(record_reader& in, product& record) {
    const auto number = [&] { return in.number<std::uint64_t>(); };
    record.revision = number();
    in.raw(record.id.bytes);
    record.slug = in.text();
    record.display_name = in.text();
    in.raw(record.keys.emplace_back().hash);
    in.maybe(record.policy.max_engines, number);
    in.maybe(record.policy.rate_limit_rpm, number);
    in.maybe(record.policy.allow_provision, [&] { return in.choice<bool>(2); });
    in.maybe(record.policy.allowed_versions, [&] {
        std::vector<std::string> versions;
        for (auto left = in.number<std::uint32_t>(); left != 0 && !in.damaged(); --left)
            versions.emplace_back(in.text());
        return versions;
    });
    record.keys.front().created_at = record.created_at = in.time();
}

[[nodiscard]] inline metadata decode_metadata(record_reader& in) {
    metadata facts;
    for (auto left = in.number<std::uint32_t>(); left != 0 && !in.damaged(); --left) {
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

inline void decode(record_reader& in, audit_entry& row) {
    const auto id = [&] { return in.id(); };
    const auto status = [&] { return in.choice<engine_status>(all_engine_statuses.size()); };
    row.id = in.number<std::uint64_t>();
    row.timestamp = in.time();
    in.maybe(row.product_id, id);
    in.maybe(row.user_id, [&] { return std::string(in.text()); });
    in.maybe(row.engine_id, id);
    row.action = in.choice<audit_action>(all_audit_actions.size());
    row.actor = in.text();
    row.metadata = decode_metadata(in);
    in.maybe(row.took,
             [&] { return duration{static_cast<std::int64_t>(in.number<std::uint64_t>())}; });
    in.maybe(row.from, status);
    in.maybe(row.to, status);
}

inline void decode(record_reader& in, fleet_counts& counts) {
    for (auto& count : counts.by_status) count = in.number<std::uint64_t>();
    counts.total_provisions = in.number<std::uint64_t>();
    counts.total_destroys = in.number<std::uint64_t>();
}

inline void decode(record_reader& in, store_state& state) {
    state.last_sequence = in.number<std::uint64_t>();
    state.last_audit_id = in.number<std::uint64_t>();
    state.next_port = in.number<std::uint32_t>();
    state.latest_audit = in.time();
    state.set_back = duration{static_cast<std::int64_t>(in.number<std::uint64_t>())};
}

} // namespace detail::lmdb::schema_1
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
