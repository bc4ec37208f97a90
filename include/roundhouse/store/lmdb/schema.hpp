#pragma once

#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/store/lmdb/bytes.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/owner_hash.hpp>
#include <roundhouse/store/lmdb/records.hpp>
#include <roundhouse/store/lmdb/tables.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// The version of the databases' layout. A store with an older version is converted
/// (conversion.hpp); one with a newer version is refused, because this program could damage it.
inline constexpr std::uint32_t schema = 2;

/// The number of times that a section was added to some record, or an index to the store, since the
/// schema began. Records of a lower number are read as they are. A store with a higher number is
/// refused: its records may have sections that this program does not know, and would drop, and it
/// may have indexes that this program would not keep.
inline constexpr std::uint32_t layout = 5;

/// The first layout with `engines_by_user` and `engines_by_metadata`, which are built when a store of
/// a lower one is opened (index_build.hpp).
inline constexpr std::uint32_t indexed_layout = 4;

/// The entries of `database::meta`, in addition to `state_key`: numbers of four bytes, big-endian; a
/// UUID; and the record of the `owner_hash_key`.
inline constexpr std::string_view schema_key = "schema";
inline constexpr std::string_view layout_key = "layout";
inline constexpr std::string_view installation_id_key = "instance";
inline constexpr std::string_view owner_hash_key_key = "owner_hash";

/// A number of `database::meta`; nothing if it is not there. Throws `failure` if it is damaged.
[[nodiscard]] inline std::optional<std::uint32_t> read_version(const transaction& txn,
                                                               std::string_view key) {
    const auto found = txn.find(database::meta, key);
    if (!found) return std::nullopt;
    if (found->size() != sizeof(std::uint32_t))
        throw damaged(database::meta, key, "it is no version");
    return load_big_endian<std::uint32_t>(found->data());
}

inline void write_version(const transaction& txn, std::string_view key, std::uint32_t version) {
    std::array<char, sizeof version> bytes{};
    store_big_endian(version, bytes.data());
    txn.put(database::meta, key, {bytes.data(), bytes.size()});
}

[[nodiscard]] inline failure wrong_version(std::string_view what, std::uint32_t found,
                                           std::uint32_t known) {
    return failure(
        {errc::invalid_request,
         "store: its " + std::string(what) + " version is " + std::to_string(found) +
             ", and this program keeps version " + std::to_string(known) +
             (found < known ? ". Start the server on it once: that converts it"
                            : ". Use the version of Roundhouse that wrote it, or a newer "
                              "one")});
}

[[nodiscard]] inline owner_hash_key draw_owner_hash_key() {
    owner_hash_key key;
    std::array<std::uint8_t, sizeof key.secret> drawn{};
    crypto::system_entropy(drawn);
    std::memcpy(key.secret.data(), drawn.data(), sizeof key.secret);
    return key;
}

/// The layout of a store; of a new one the present layout.
[[nodiscard]] inline std::uint32_t layout_of(const transaction& txn) {
    if (!txn.has(database::meta, schema_key)) return layout;
    return read_version(txn, layout_key).value_or(0);
}

/// Marks a store that `check_schema` accepts as one in which this program writes, unless it lacks
/// indexes. A new store gets an installation id and a secret. Throws `failure`.
inline void note_schema(const transaction& txn) {
    if (layout_of(txn) >= indexed_layout && read_version(txn, layout_key) != layout)
        write_version(txn, layout_key, layout);
    if (txn.has(database::meta, schema_key)) return;
    write_version(txn, schema_key, schema);
    txn.put(database::meta, installation_id_key,
            bytes_of(crypto::make_uuid(crypto::system_entropy)));
    put_record(txn, database::meta, owner_hash_key_key, draw_owner_hash_key());
}

/// Refuses a store of another schema version. Throws `failure`.
inline void check_schema(const transaction& txn) {
    const auto found = read_version(txn, schema_key).value_or(schema);
    if (found != schema) throw wrong_version("schema", found, schema);
    if (layout_of(txn) > layout) throw wrong_version("layout", layout_of(txn), layout);
}

/// Refuses a store that lacks indexes, where they cannot be built. Throws `failure`.
inline void require_indexes(const transaction& txn) {
    if (layout_of(txn) < indexed_layout) throw wrong_version("layout", layout_of(txn), layout);
}

[[nodiscard]] inline owner_hash_key read_owner_hash_key(const transaction& txn) {
    const auto key = find_record<owner_hash_key>(txn, database::meta, owner_hash_key_key);
    if (!key) throw damaged(database::meta, owner_hash_key_key, "it is not there");
    return *key;
}

[[nodiscard]] inline uuid read_installation_id(const transaction& txn) {
    const auto found = txn.find(database::meta, installation_id_key);
    if (!found || found->size() != sizeof(uuid::bytes))
        throw damaged(database::meta, installation_id_key, "it is no UUID");
    return to_uuid(*found);
}

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
