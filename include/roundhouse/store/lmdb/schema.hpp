#pragma once

#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/store/lmdb/bytes.hpp>
#include <roundhouse/store/lmdb/databases.hpp>
#include <roundhouse/store/lmdb/failure.hpp>
#include <roundhouse/store/lmdb/tables.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// The version of the databases' layout. A store with another version is refused, because this
/// program could damage it.
inline constexpr std::uint32_t schema = 1;

/// Refuses a store of another schema version. Writes schema version and installation id into a new
/// store. Throws `failure`.
inline void check_schema(const transaction& txn, bool read_only) {
    const auto found = txn.find(database::meta, schema_key);
    if (found && found->size() != sizeof schema)
        throw damaged(database::meta, schema_key, "it is no version");
    const auto version = found ? load_big_endian<std::uint32_t>(found->data()) : schema;
    if (version != schema)
        throw failure({errc::invalid_request,
                       "store: its schema version is " + std::to_string(version) +
                           ", and this program keeps version " + std::to_string(schema) +
                           ". Use the version of Roundhouse that wrote it, or a newer one"});
    if (found || read_only) return;
    std::array<char, sizeof schema> bytes{};
    store_big_endian(schema, bytes.data());
    txn.put(database::meta, schema_key, {bytes.data(), bytes.size()});
    txn.put(database::meta, installation_id_key,
            bytes_of(crypto::make_uuid(crypto::system_entropy)));
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
