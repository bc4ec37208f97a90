#pragma once

#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/store/lmdb.hpp>

#include <memory>
#include <string>

/// Opens the store on disk. A failure's message begins with ORCH_STORE_PATH, or with
/// ORCH_MASTER_KEY if the master keys are wrong.
namespace roundhouse::server {

/// Opens the store in a folder for the process that writes it, and creates it if it does not exist.
/// Reads every row to check that the master keys open every engine key, and fails if they do not.
/// A store of an older schema is converted, which is logged.
[[nodiscard]] result<std::shared_ptr<lmdb_store>>
open_disk_store(const std::string& folder, const crypto::key_ring& keys, log_sink log);

/// Opens an existing store for reading; another process may be serving it. Creates nothing.
[[nodiscard]] result<std::shared_ptr<lmdb_store>>
open_disk_store_read_only(const std::string& folder);

/// Succeeds if there is a readable store in the folder. Creates nothing.
[[nodiscard]] result<void> find_disk_store(const std::string& folder);

} // namespace roundhouse::server
