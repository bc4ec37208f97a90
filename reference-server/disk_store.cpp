#include "disk_store.hpp"

#include <roundhouse/store/sealed_keys.hpp>

#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace roundhouse::server {

namespace {

unexpected refuse_folder(const std::string& cause) {
    return fail(errc::invalid_request, "ORCH_STORE_PATH: " + cause);
}

result<std::shared_ptr<lmdb_store>> open_store(const lmdb_options& options) {
    auto opened = lmdb_store::open(options);
    if (!opened) return refuse_folder(opened.error().message);
    return opened;
}

} // namespace

result<std::shared_ptr<lmdb_store>> open_disk_store(const std::string& folder,
                                                    const crypto::key_ring& keys, log_sink log) {
    auto store = open_store({.folder = folder, .log = std::move(log)});
    if (!store) return store;
    const auto found = count_unreadable_keys(**store, keys);
    if (!found) return refuse_folder(found.error().message);
    if (found->unreadable == 0) return store;
    return fail(
        errc::invalid_request,
        "ORCH_MASTER_KEY: " + std::to_string(found->unreadable) + " of the " +
            std::to_string(found->total) +
            " sealed keys, environments and answers in the store cannot be opened with it; put the "
            "key that sealed them (back) into the list, behind the one that is to seal new ones");
}

result<std::shared_ptr<lmdb_store>> open_disk_store_read_only(const std::string& folder) {
    if (auto found = find_disk_store(folder); !found) return unexpected(std::move(found.error()));
    return open_store({.folder = folder, .read_only = true});
}

result<void> find_disk_store(const std::string& folder) {
    if (::access((folder + "/data.mdb").c_str(), R_OK) == 0) return {};
    if (errno == ENOENT || errno == ENOTDIR)
        return refuse_folder("there is no store in " + folder +
                             " (no data.mdb); name the folder that a server keeps its store in");
    return refuse_folder("the store in " + folder + " cannot be read (" +
                         std::generic_category().message(errno) + ")");
}

} // namespace roundhouse::server
