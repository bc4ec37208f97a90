#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// Records and change sets for the cases. Different numbers give different ids and short ids.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing::samples {

[[nodiscard]] constexpr uuid numbered(std::uint32_t n) {
    uuid id;
    for (std::size_t i = 0; i < id.bytes.size(); ++i)
        id.bytes[i] = static_cast<std::uint8_t>(n >> (8U * (i % 4U)));
    return id;
}

inline constexpr uuid demo = numbered(0xD0);
inline constexpr uuid other = numbered(0xD1);

[[nodiscard]] inline instant at(std::int64_t ms) { return instant(duration(ms)); }

[[nodiscard]] inline engine_record engine(std::uint32_t n, std::string user,
                                          const uuid& owner = demo) {
    engine_record out;
    out.id = numbered(n);
    out.product_id = owner;
    out.user_id = std::move(user);
    return out;
}

[[nodiscard]] inline engine_record nth_engine(std::uint32_t n) {
    return engine(n, "user" + std::to_string(n));
}

[[nodiscard]] inline product tenant(std::uint32_t n, std::string slug) {
    product out;
    out.id = numbered(n);
    out.slug = std::move(slug);
    out.keys.emplace_back().hash.fill(static_cast<std::uint8_t>(n));
    return out;
}

[[nodiscard]] inline audit_entry row(const uuid& owner, std::int64_t ms) {
    audit_entry out;
    out.product_id = owner;
    out.timestamp = at(ms);
    out.actor = "system";
    return out;
}

// Batches of one change

[[nodiscard]] inline change_set batch(change only) {
    change_set set;
    set.changes.push_back(std::move(only));
    return set;
}

[[nodiscard]] inline change_set insert(engine_record record,
                                       std::optional<std::uint64_t> max_engines = {},
                                       std::optional<port_request> port = {}) {
    return batch(insert_engine{std::move(record), max_engines, std::move(port)});
}

/// Under a quota of what the engines of the product reserve.
[[nodiscard]] inline insert_engine reserving(engine_record record, std::uint64_t memory_mb,
                                             std::optional<std::uint64_t> max_total_memory_mb) {
    record.reserved_memory_mb = memory_mb;
    return {std::move(record), {}, {}, max_total_memory_mb};
}

/// Changes what a stored engine reserves, under a quota.
[[nodiscard]] inline update_engine
reserving_anew(engine_record record, std::uint64_t memory_mb,
               std::optional<std::uint64_t> max_total_memory_mb) {
    record.reserved_memory_mb = memory_mb;
    return {std::move(record), {}, max_total_memory_mb};
}

[[nodiscard]] inline change_set update(engine_record record,
                                       std::optional<port_request> port = {}) {
    return batch(update_engine{std::move(record), std::move(port)});
}

[[nodiscard]] inline change_set erase(const engine_record& record, bool undone = false) {
    return batch(erase_engine{record.product_id, record.user_id, record.revision, undone});
}

[[nodiscard]] inline change_set put(product record) {
    return batch(put_product{std::move(record)});
}

[[nodiscard]] inline change_set audit(std::vector<audit_entry> rows) {
    change_set set;
    set.audit = std::move(rows);
    return set;
}

[[nodiscard]] inline change_set amend(std::uint64_t id, metadata facts) {
    audit_entry changed;
    changed.id = id;
    changed.metadata = std::move(facts);
    change_set set;
    set.amend = std::move(changed);
    return set;
}

/// Any port from `min` to `max`.
[[nodiscard]] inline port_request ports(std::uint16_t min, std::uint16_t max) {
    return {min, max, [](std::uint16_t) { return true; }};
}

[[nodiscard]] inline port_request ports(std::uint16_t min, std::uint16_t max,
                                        std::function<bool(std::uint16_t)> usable) {
    return {min, max, std::move(usable)};
}

// Queries

inline constexpr std::size_t many = 1000; ///< More than any case stores.

[[nodiscard]] inline engine_query every_engine(const uuid& owner,
                                               std::optional<engine_status> status = {}) {
    return {owner, status, 0, many};
}

[[nodiscard]] inline audit_query every_row(const uuid& owner) {
    audit_query query;
    query.product_id = owner;
    query.limit = many;
    return query;
}

} // namespace testing::samples
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
