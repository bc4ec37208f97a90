#include "store_tasks.hpp"

#include "disk_store.hpp"
#include "store_folder.hpp"

#include <roundhouse/backend/subprocess/trash.hpp>
#include <roundhouse/clock/system.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/store/sealed_keys.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse::server {

namespace {

unexpected refuse(std::string_view name, const error& cause) {
    return fail(cause.code, std::string(name).append(": ").append(cause.message));
}

/// A count and its noun, such as "1 product" or "2 products".
std::string counted(std::uint64_t count, std::string_view noun) {
    return std::to_string(count).append(" ").append(noun).append(count == 1 ? "" : "s");
}

/// The number of products, engines and audit rows in a store.
std::string contents(const lmdb_report& found) {
    return counted(found.products, "product") + ", " + counted(found.engines, "engine") + ", " +
           counted(found.audit_rows, "audit row");
}

std::string lines(const std::vector<std::string>& problems) {
    std::string all;
    for (const auto& problem : problems) all.append(problem).append("\n");
    return all;
}

result<store_task_report> verify(const std::string& folder) {
    const auto store = open_disk_store_read_only(folder);
    if (!store) return unexpected(store.error());
    const auto found = (*store)->verify();
    if (!found) return refuse("ORCH_STORE_PATH", found.error());
    const auto trash = detail::subprocess::count_trash(folder);
    if (!trash) return refuse("ORCH_STORE_PATH", trash.error());
    auto all = contents(*found);
    if (*trash > 0) all += ", and in the trash " + counted(*trash, "data folder");
    if (found->problems.empty())
        return store_task_report{"the store in " + folder + " agrees with itself: " + all + "\n",
                                 true};
    return store_task_report{lines(found->problems) + "the store in " + folder + " has " +
                                 counted(found->problems.size(), "problem") + ": " + all + "\n",
                             false};
}

/// Copies the store, and verifies the copy: a backup that cannot be restored must be noticed now.
result<store_task_report> back_up(const std::string& from, const std::string& to) {
    const auto store = open_disk_store_read_only(from);
    if (!store) return unexpected(store.error());
    if (const auto done = (*store)->backup(to); !done) return refuse("--backup", done.error());
    const auto copy = open_disk_store_read_only(to);
    if (!copy) return refuse("--backup", copy.error());
    const auto found = (*copy)->verify();
    if (!found) return refuse("--backup", found.error());
    auto text = lines(found->problems) + "copied the store to " + to + ": " + contents(*found);
    if (!found->problems.empty())
        text += "; the copy has " + counted(found->problems.size(), "problem") +
                ", as the store itself may: see --verify-store";
    return store_task_report{text + "\n", found->problems.empty()};
}

result<store_task_report> reencrypt(const std::string& folder, const crypto::key_ring& keys,
                                    log_sink log) {
    if (const auto found = find_disk_store(folder); !found) return unexpected(found.error());
    // A running server would go on sealing with the key that it was started with.
    const auto lock = store_folder::open(folder);
    if (!lock) return unexpected(lock.error());
    const auto store = open_disk_store(folder, keys, std::move(log));
    if (!store) return unexpected(store.error());
    const auto done = reseal_keys(**store, keys, system_clock().now(), crypto::system_entropy);
    if (!done) return refuse("ORCH_STORE_PATH", done.error());
    auto text = "sealed the keys of " + counted(done->engines, "engine") +
                " again, under the first of " + counted(keys.size(), "master key") + "\n";
    if (done->damaged_records > 0)
        text += counted(done->damaged_records, "record") +
                " cannot be read, and stayed as they are; --verify-store names them\n";
    return store_task_report{std::move(text), done->damaged_records == 0};
}

} // namespace

result<store_task_report> run_store_task(const invocation& task, log_sink log) {
    const auto& folder = task.options.store_path;
    switch (task.action) {
    case server_action::backup: return back_up(folder, task.backup_folder);
    case server_action::reencrypt:
        return reencrypt(folder, *task.options.master_keys, std::move(log));
    case server_action::verify_store: return verify(folder);
    default: return fail(errc::internal_error, "no work on the store was asked for");
    }
}

} // namespace roundhouse::server
