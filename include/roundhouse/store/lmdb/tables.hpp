#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/names.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/store/lmdb/bytes.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/records.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// The keys of the databases, and access to records by their keys.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// The longest user id that fits into every key that it is part of; the longest of these is the one
/// of `database::audit_by_user`.
inline constexpr std::size_t longest_user_id = max_key_bytes - sizeof(uuid::bytes) -
                                               sizeof(std::uint8_t) - sizeof(std::uint64_t);
/// The longest slug that fits into a key.
inline constexpr std::size_t longest_slug = max_key_bytes;

static_assert(core::names::max_user_id_bytes <= longest_user_id);
static_assert(core::names::max_slug_bytes <= longest_slug);

[[nodiscard]] inline key_bytes key_of(const uuid& id) { return key_bytes().id(id); }
[[nodiscard]] inline key_bytes key_of(const sha256_digest& digest) {
    return key_bytes().raw(digest);
}
[[nodiscard]] inline key_bytes sequence_key_of(const engine_record& engine) {
    return key_bytes().id(engine.product_id).number(engine.sequence);
}
[[nodiscard]] inline key_bytes status_prefix_of(const uuid& product, engine_status status) {
    return key_bytes().id(product).number(static_cast<std::uint8_t>(status));
}
[[nodiscard]] inline key_bytes status_key_of(const engine_record& engine, engine_status status) {
    return status_prefix_of(engine.product_id, status).number(engine.sequence);
}
[[nodiscard]] inline key_bytes port_key_of(std::uint16_t port) { return key_bytes().number(port); }

[[nodiscard]] inline std::string_view bytes_of(const uuid& id) noexcept {
    return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()};
}

[[nodiscard]] inline uuid to_uuid(std::string_view bytes) noexcept {
    uuid id;
    std::memcpy(id.bytes.data(), bytes.data(), std::min(bytes.size(), id.bytes.size()));
    return id;
}

/// A key for people: names as they are, other bytes in hexadecimal.
[[nodiscard]] inline std::string describe(database from, std::string_view key) {
    if (from == database::engines && key.size() == sizeof(std::uint64_t))
        return std::to_string(number_bytes::read(key));
    const bool has_owner = from == database::engines_by_user || from == database::engines;
    if (has_owner && key.size() > sizeof(uuid::bytes)) // in `engines` of schema 1
        return to_string(to_uuid(key)) + "/" + std::string(key.substr(sizeof(uuid::bytes)));
    if (from == database::products && key.size() == sizeof(uuid::bytes))
        return to_string(to_uuid(key));
    if (from == database::audit && key.size() == sizeof(std::uint64_t))
        return std::to_string(load_big_endian<std::uint64_t>(key.data()));
    if (from == database::meta || from == database::products_by_slug) return std::string(key);
    return to_hex(key);
}

[[nodiscard]] inline failure damaged(database from, std::string_view key, std::string_view why) {
    return failure({errc::internal_error, "store: the record " + describe(from, key) +
                                              " in database " + std::string(name_of(from)) +
                                              " is damaged: " + std::string(why) +
                                              ". Check the store with --verify-store, and restore "
                                              "a backup"});
}

/// Reads a record that was found under a key. Throws `failure` if it is damaged.
template <class Record>
void read_record(database from, std::string_view key, std::string_view bytes, Record& into) {
    record_reader reader(bytes);
    decode(reader, into);
    if (const auto* const why = reader.damage()) throw damaged(from, key, why);
}

template <class Record>
[[nodiscard]] std::optional<Record> find_record(const transaction& txn, database from,
                                                std::string_view key) {
    const auto bytes = txn.find(from, key);
    if (!bytes) return std::nullopt;
    Record record;
    read_record(from, key, *bytes, record);
    return record;
}

template <class Record>
void put_record(const transaction& txn, database into, std::string_view key, const Record& record) {
    auto bytes = encode(record);
    txn.put(into, key, bytes.finish());
}

/// The engine with this number; null if there is none.
[[nodiscard]] inline engine_ptr find_engine(const transaction& txn, std::string_view number) {
    const auto bytes = txn.find(database::engines, number);
    if (!bytes) return nullptr;
    auto engine = std::make_shared<engine_record>();
    read_record(database::engines, number, *bytes, *engine);
    return engine;
}

/// The engine of this owner; null if there is none. Throws `failure` if it is not found, and a record
/// that may be its record is damaged.
[[nodiscard]] inline engine_ptr find_engine(const transaction& txn, const uuid& product,
                                            std::string_view user) {
    std::optional<error> damage;
    const auto look_at = [&](std::string_view number) -> engine_ptr {
        try {
            auto engine = find_engine(txn, number);
            const bool owned = engine && engine->product_id == product && engine->user_id == user;
            return owned ? engine : nullptr;
        } catch (const failure& failed) {
            if (failed.code() != MDB_SUCCESS) throw;
            damage = failed.cause();
            return nullptr;
        }
    };
    const number_bytes hash(txn.owner_hash(product, user));
    if (auto engine = look_at(hash.view())) return engine;
    cursor displaced(txn, database::engines_displaced);
    for (bool more = displaced.find(hash.view()); more; more = displaced.next_value())
        if (auto engine = look_at(displaced.value())) return engine;
    if (!damage) return nullptr;
    damage->message += ". It is that of " + to_string(product) + "/" + std::string(user);
    throw failure(std::move(*damage));
}

/// The number of a stored engine. Throws `failure` if the index lacks it.
[[nodiscard]] inline number_bytes number_of(const transaction& txn, const engine_record& engine) {
    const auto key = key_of(engine.id);
    const auto found = txn.find(database::engines_by_id, key.view());
    if (!found) throw damaged(database::engines_by_id, key.view(), "it is not there");
    return number_bytes(number_bytes::read(*found));
}

/// A number for an engine that is added, under which it will be found by its owner.
[[nodiscard]] inline number_bytes make_number(const transaction& txn, const engine_record& engine) {
    const auto hash = txn.owner_hash(engine.product_id, engine.user_id);
    auto number = hash;
    while (txn.has(database::engines, number_bytes(number).view())) ++number;
    if (number != hash)
        txn.put(database::engines_displaced, number_bytes(hash).view(),
                number_bytes(number).view());
    return number_bytes(number);
}

/// Frees the number of an engine that is removed.
inline void free_number(const transaction& txn, const engine_record& engine,
                        const number_bytes& number) {
    const number_bytes hash(txn.owner_hash(engine.product_id, engine.user_id));
    if (hash.view() != number.view())
        txn.remove(database::engines_displaced, hash.view(), number.view());
    txn.remove(database::engines, number.view());
}

[[nodiscard]] inline product_ptr find_product(const transaction& txn, const uuid& id) {
    const auto key = key_of(id);
    const auto bytes = txn.find(database::products, key.view());
    if (!bytes) return nullptr;
    auto row = std::make_shared<product>();
    read_record(database::products, key.view(), *bytes, *row);
    return row;
}

/// The product that an index entry leads to; null if there is no such entry.
[[nodiscard]] inline product_ptr find_product(const transaction& txn, database index,
                                              std::string_view key) {
    const auto id = txn.find(index, key);
    return id ? find_product(txn, to_uuid(*id)) : nullptr;
}

/// Puts a product and its index entries.
inline void put_row(const transaction& txn, const product& row) {
    put_record(txn, database::products, key_of(row.id).view(), row);
    txn.put(database::products_by_slug, row.slug, bytes_of(row.id));
    for (const auto& key : row.keys)
        txn.put(database::products_by_key, key_of(key.hash).view(), bytes_of(row.id));
}

[[nodiscard]] inline fleet_counts read_counts(const transaction& txn, const uuid& product) {
    return find_record<fleet_counts>(txn, database::counters, key_of(product).view())
        .value_or(fleet_counts{});
}

/// The sums of the counters of all products.
[[nodiscard]] inline fleet_counts read_all_counts(const transaction& txn) {
    fleet_counts sum;
    cursor products(txn, database::counters);
    for (bool more = products.first(); more; more = products.next()) {
        fleet_counts counts;
        read_record(database::counters, products.key(), products.value(), counts);
        sum.add(counts);
    }
    return sum;
}

inline constexpr std::string_view state_key = "state";

[[nodiscard]] inline store_state read_state(const transaction& txn) {
    return find_record<store_state>(txn, database::meta, state_key).value_or(store_state{});
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
