#pragma once

#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/process.hpp>
#include <roundhouse/crypto/fernet.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/store/lmdb.hpp>
#include <roundhouse/testing/quiet.hpp>
#include <roundhouse/types.hpp>

#include <httplib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

/// Looks at a server's store and engines from beside, and changes nothing.
namespace roundhouse_tests {

namespace sub = roundhouse::detail::subprocess;

/// The process of an engine, by what its folder says; nothing if that process is gone.
struct engine_process {
    sub::process_identity identity;
    bool stopped = false;
};

inline std::optional<engine_process> process_in(const std::string& folder) {
    const auto found = sub::read_identity(folder);
    if (!found || !*found) return std::nullopt;
    const auto stat = sub::read_process_stat((*found)->pid);
    if (!stat || stat->gone() || stat->start_time != (*found)->start_time) return std::nullopt;
    return engine_process{**found, stat->stopped()};
}

/// How often an engine has been executed, by its data: what the demo engine counts there.
inline std::uint64_t executions_in(const std::string& folder) {
    std::uint64_t count = 0;
    std::ifstream(folder + "/executions") >> count;
    return count;
}

/// What is on the machine at one time: the rows of the store, and the folders and processes of
/// engines.
class onlooker {
public:
    onlooker(std::string store_path, const std::string& secret)
        : store_path_(std::move(store_path)),
          keys_(roundhouse::or_throw(roundhouse::crypto::key_ring::parse(secret))) {}

    [[nodiscard]] std::string folder_of(const roundhouse::uuid& engine) const {
        return engines() + '/' + to_string(engine);
    }

    [[nodiscard]] std::vector<roundhouse::engine_ptr> rows() const {
        const auto store = roundhouse::or_throw(
            roundhouse::lmdb_store::open({.folder = store_path_, .read_only = true}));
        std::vector<roundhouse::engine_ptr> out;
        roundhouse::or_throw(store->for_each_engine(
            [&](const auto& row) { out.push_back(roundhouse::or_throw(row)); }));
        return out;
    }

    [[nodiscard]] std::vector<roundhouse::testing::found_workload>
    workloads(const std::vector<roundhouse::engine_ptr>& rows) const {
        std::vector<roundhouse::testing::found_workload> out;
        for (const auto& entry : std::filesystem::directory_iterator(engines())) {
            const auto engine = roundhouse::parse_uuid(entry.path().filename().string());
            if (!engine) continue;
            auto one = look_at(*engine);
            for (const auto& row : rows)
                if (row->id == *engine && one.state == roundhouse::workload_state::up)
                    ask(*row, one);
            out.push_back(one);
        }
        return out;
    }

    /// What is not as it should be, by the same check that simulations end with.
    [[nodiscard]] std::optional<std::string> missing(const roundhouse::settings& with) const {
        auto known = rows();
        auto found = workloads(known);
        for (const auto pid : processes())
            if (!expected(found, pid)) return "a process that nobody knows: " + std::to_string(pid);
        return roundhouse::testing::quiet_check(std::move(known), std::move(found), with).missing();
    }

    /// Every process that works in an engine's folder, one that was removed too.
    [[nodiscard]] std::set<pid_t> processes() const {
        std::set<pid_t> out;
        for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
            const auto pid = std::atoi(entry.path().filename().c_str());
            std::error_code gone; // so is the process
            const auto folder = std::filesystem::read_symlink(entry.path() / "cwd", gone).string();
            if (pid > 0 && folder.starts_with(engines() + '/')) out.insert(pid);
        }
        return out;
    }

private:
    [[nodiscard]] std::string engines() const { return store_path_ + "/engines"; }

    [[nodiscard]] roundhouse::testing::found_workload
    look_at(const roundhouse::uuid& engine) const {
        roundhouse::testing::found_workload out;
        out.ref.engine_id = engine;
        if (const auto process = process_in(folder_of(engine))) {
            out.ref.generation = process->identity.generation;
            out.ref.port = process->identity.port;
            out.state = process->stopped ? roundhouse::workload_state::paused
                                         : roundhouse::workload_state::up;
        }
        return out;
    }

    void ask(const roundhouse::engine_record& row, roundhouse::testing::found_workload& one) const {
        httplib::Client client("127.0.0.1", one.ref.port);
        client.set_read_timeout(2);
        const auto health = client.Get("/health");
        one.healthy = health && health->body.find(R"("status":"ok")") != std::string::npos;
        const auto key = keys_.unseal(row.sealed_key);
        if (!one.healthy || !key) return;
        const httplib::Headers with_key{{"X-Engine-Key", *key}};
        // Refused for what it is, but not for its key: nothing is executed.
        const auto answer = client.Post("/execute", with_key, "no JSON", "application/json");
        if (answer && answer->status == 400) one.key_hash = roundhouse::crypto::sha256(*key);
    }

    [[nodiscard]] bool expected(const std::vector<roundhouse::testing::found_workload>& found,
                                pid_t pid) const {
        for (const auto& one : found) {
            const auto process = process_in(folder_of(one.ref.engine_id));
            if (process && process->identity.pid == pid) return true;
        }
        return false;
    }

    const std::string store_path_;
    const roundhouse::crypto::key_ring keys_;
};

} // namespace roundhouse_tests
