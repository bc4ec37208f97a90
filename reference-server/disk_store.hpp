#pragma once

#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/store/lmdb.hpp>

#include <memory>
#include <string>

/// The store on disk, as the server opens it. Failures' messages name ORCH_STORE_PATH, or
/// ORCH_MASTER_KEY if that is what is wrong.
namespace roundhouse::server {

/// The store in a folder, for the one process that writes it; a new one if there is none. Fails
/// unless the master keys open each engine's key in it, for which it reads every row.
[[nodiscard]] result<std::shared_ptr<lmdb_store>> open_disk_store(const std::string& folder,
                                                                  const crypto::key_ring& keys);

/// A store that is there, to look at beside a process that serves it. Makes nothing.
[[nodiscard]] result<std::shared_ptr<lmdb_store>> look_into_disk_store(const std::string& folder);

/// Succeeds if there is a store in the folder. Makes nothing.
[[nodiscard]] result<void> find_disk_store(const std::string& folder);

} // namespace roundhouse::server
