#pragma once

#include <roundhouse/error.hpp>
#include <roundhouse/idempotency.hpp>
#include <roundhouse/store/lmdb/bytes.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/records.hpp>
#include <roundhouse/store/lmdb/tables.hpp>
#include <roundhouse/types.hpp>

#include <lmdb.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The idempotency records of the store.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

[[nodiscard]] inline key_bytes key_of(const idempotency_id& id) {
    return key_bytes().id(id.product_id).raw(id.key_hash);
}
[[nodiscard]] inline key_bytes sequence_key_of(const uuid& product, std::uint64_t sequence) {
    return key_bytes().id(product).number(sequence);
}

/// The sequence in a key of `database::idempotency_by_sequence`.
[[nodiscard]] inline std::uint64_t sequence_in(std::string_view key) noexcept {
    return load_big_endian<std::uint64_t>(key.data() + sizeof(uuid::bytes));
}

[[nodiscard]] inline idempotency_ptr find_idempotency(const transaction& txn,
                                                      const idempotency_id& id) {
    auto found = find_record<idempotency_record>(txn, database::idempotency, key_of(id).view());
    if (!found) return nullptr;
    return std::make_shared<const idempotency_record>(std::move(*found));
}

/// Of a product's records the sequence that comes first, or with `last` the one that comes last;
/// nothing if there are none.
[[nodiscard]] inline std::optional<std::uint64_t> sequence_of(const transaction& txn,
                                                              const uuid& product, bool last) {
    cursor sequences(txn, database::idempotency_by_sequence);
    const bool found = last ? sequences.seek_before(sequence_key_of(product, UINT64_MAX).view())
                            : sequences.seek(sequence_key_of(product, 0).view());
    if (!found || !sequences.key().starts_with(bytes_of(product))) return std::nullopt;
    return sequence_in(sequences.key());
}

/// Removes the record with this sequence, whether or not it can be read.
inline void remove_idempotency(const transaction& txn, const uuid& product,
                               std::uint64_t sequence) {
    const auto place = sequence_key_of(product, sequence);
    if (const auto found = txn.find(database::idempotency_by_sequence, place.view()))
        txn.remove(database::idempotency, std::string(*found));
    txn.remove(database::idempotency_by_sequence, place.view());
}

/// Removes all records of a product, whether or not they can be read.
inline void remove_idempotency(const transaction& txn, const uuid& product) {
    while (const auto first = sequence_of(txn, product, false))
        remove_idempotency(txn, product, *first);
}

/// Puts a record in place of the one with its id, and removes the oldest ones of its product beyond
/// `max_idempotency_records`. Throws `failure` if the one with its id is damaged.
inline void put_idempotency_record(const transaction& txn, idempotency_record record) {
    const auto& product = record.id.product_id;
    const auto before = find_idempotency(txn, record.id);
    if (before && before->engine_id == record.engine_id) {
        record.sequence = before->sequence;
    } else {
        if (before) remove_idempotency(txn, product, before->sequence);
        record.sequence = sequence_of(txn, product, true).value_or(0) + 1;
    }
    const auto key = key_of(record.id);
    put_record(txn, database::idempotency, key.view(), record);
    txn.put(database::idempotency_by_sequence, sequence_key_of(product, record.sequence).view(),
            key.view());
    while (const auto first = sequence_of(txn, product, false)) {
        if (!are_too_many(*first, record.sequence)) break;
        remove_idempotency(txn, product, *first);
    }
}

/// The places of records from before a time: of each product those that come first, and at most so
/// many of all. One that is damaged counts as old.
[[nodiscard]] inline std::vector<std::string>
find_old_idempotency(const transaction& txn, instant before, std::size_t most) {
    std::vector<std::string> old;
    cursor sequences(txn, database::idempotency_by_sequence);
    for (bool more = sequences.first(); more && old.size() < most;) {
        const auto value = txn.find(database::idempotency, sequences.value());
        bool is_old = true;
        if (value) {
            record_reader reader(*value);
            idempotency_record record;
            decode(reader, record);
            is_old = reader.damaged() || record.created_at < before;
        }
        if (is_old) {
            old.emplace_back(sequences.key());
            more = sequences.next();
        } else { // to the next product
            const auto product = to_uuid(sequences.key());
            more = sequences.seek(sequence_key_of(product, UINT64_MAX).view());
        }
    }
    return old;
}

/// Removes such records, and returns how many they were.
inline std::size_t prune_idempotency(const transaction& txn, instant before, std::size_t most) {
    const auto old = find_old_idempotency(txn, before, most);
    for (const auto& place : old) remove_idempotency(txn, to_uuid(place), sequence_in(place));
    return old.size();
}

inline void visit_idempotency(const transaction& txn,
                              const std::function<void(const result<idempotency_ptr>&)>& visit) {
    cursor records(txn, database::idempotency);
    for (bool more = records.first(); more; more = records.next()) {
        idempotency_record record;
        try {
            read_record(database::idempotency, records.key(), records.value(), record);
        } catch (const failure& failed) {
            visit(unexpected(failed.cause()));
            continue;
        }
        visit(std::make_shared<const idempotency_record>(std::move(record)));
    }
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
