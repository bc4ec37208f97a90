#pragma once

#include <roundhouse/core/store_plan/index_entries.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/store/lmdb/bytes.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/tables.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

/// The entries of the indexes of engines.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// The key of a user's entry in `engines_by_user`, which is also a prefix of the keys of the users
/// whose ids begin with this one.
[[nodiscard]] inline key_bytes user_key_of(const uuid& product, std::string_view user) {
    return key_bytes().id(product).text(user);
}

/// The key of a member of metadata in `engines_by_metadata`. Names and values may be longer than a
/// key, so that it is a hash of them.
[[nodiscard]] inline key_bytes member_key_of(const uuid& product, std::string_view name,
                                             std::string_view value) {
    std::array<char, sizeof(std::uint64_t)> length{};
    store_big_endian(std::uint64_t{name.size()}, length.data());
    std::string text(bytes_of(product));
    text.append(length.data(), length.size()).append(name).append(value);
    return key_of(crypto::sha256(text));
}

/// An entry of an index as it is stored.
struct engine_entry {
    database index = database::engines_by_id;
    key_bytes key;
    number_bytes value;
};

/// The stored form of an entry that leads to an engine with this row and number.
[[nodiscard]] inline engine_entry
stored_entry(const core::index_entry& entry, const engine_record& row, const number_bytes& number) {
    const number_bytes sequence(row.sequence);
    switch (entry.index) {
    case core::engine_index::id: break;
    case core::engine_index::sequence:
        return {database::engines_by_sequence, sequence_key_of(row), number};
    case core::engine_index::status:
        return {database::engines_by_status, status_key_of(row, entry.status), number};
    case core::engine_index::user:
        return {database::engines_by_user, user_key_of(row.product_id, row.user_id), sequence};
    case core::engine_index::metadata:
        return {database::engines_by_metadata,
                member_key_of(row.product_id, entry.member.first, entry.member.second), sequence};
    }
    return {database::engines_by_id, key_of(row.id), number};
}

inline void put_entry(const transaction& txn, const engine_entry& entry) {
    txn.put(entry.index, entry.key.view(), entry.value.view());
}

inline void remove_entry(const transaction& txn, const engine_entry& entry) {
    txn.remove(entry.index, entry.key.view(), entry.value.view());
}

/// Whether the entry is there; if its key may have other values, beside those.
[[nodiscard]] inline bool has_entry(const transaction& txn, const engine_entry& entry) {
    if (has_values(entry.index))
        return cursor(txn, entry.index).find(entry.key.view(), entry.value.view());
    return txn.find(entry.index, entry.key.view()) == entry.value.view();
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
