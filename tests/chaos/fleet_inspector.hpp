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
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace roundhouse_tests {

namespace sub = roundhouse::detail::subprocess;

/// The process of an engine, as its identity file names it.
struct engine_process {
    sub::process_identity identity;
    bool stopped = false; ///< By a signal, such as SIGSTOP.
};

/// Nothing if the process is gone.
inline std::optional<engine_process> process_of(const std::string& identity_file) {
    const auto found = sub::read_identity(identity_file);
    if (!found || !*found) return std::nullopt;
    const auto stat = sub::read_process_stat((*found)->pid);
    if (!stat || stat->gone() || stat->start_time != (*found)->start_time) return std::nullopt;
    return engine_process{**found, stat->stopped()};
}

/// The number of executions that the demo engine has counted in its data.
inline std::uint64_t executions_in(const std::string& folder) {
    std::uint64_t count = 0;
    std::ifstream(folder + "/executions") >> count;
    return count;
}

/// Reads the store, the folders and the processes of a server from outside, and changes nothing.
class fleet_inspector {
public:
    fleet_inspector(std::string store_path, const std::string& secret)
        : store_path_(std::move(store_path)),
          keys_(roundhouse::or_throw(roundhouse::crypto::key_ring::parse(secret))) {}

    [[nodiscard]] std::string folder_of(const roundhouse::uuid& engine) const {
        return engines_folder() + '/' + to_string(engine);
    }

    [[nodiscard]] std::string identity_file_of(const roundhouse::uuid& engine) const {
        return workloads_folder() + '/' + to_string(engine) + '/' + sub::identity_name;
    }

    [[nodiscard]] std::vector<roundhouse::engine_ptr> rows() const {
        const auto store = roundhouse::or_throw(
            roundhouse::lmdb_store::open({.folder = store_path_, .read_only = true}));
        std::vector<roundhouse::engine_ptr> out;
        roundhouse::or_throw(store->for_each_engine(
            [&](const auto& row) { out.push_back(roundhouse::or_throw(row)); }));
        return out;
    }

    [[nodiscard]] std::vector<roundhouse::testing::observed_workload>
    workloads(const std::vector<roundhouse::engine_ptr>& rows) const {
        std::vector<roundhouse::testing::observed_workload> out;
        std::set<std::string> names; // an engine may have one of the folders only
        for (const auto& folder : {engines_folder(), workloads_folder()})
            for (const auto& entry : std::filesystem::directory_iterator(folder))
                names.insert(entry.path().filename().string());
        for (const auto& name : names) {
            const auto engine = roundhouse::parse_uuid(name);
            if (!engine) continue;
            auto workload = observe_process(*engine);
            for (const auto& row : rows)
                if (row->id == *engine && workload.state == roundhouse::workload_state::up)
                    query_engine(*row, workload);
            out.push_back(workload);
        }
        return out;
    }

    /// Why the fleet is not at rest, by the check that also ends a simulation; nothing if it is.
    [[nodiscard]] std::optional<std::string> unrest(const roundhouse::settings& settings) const {
        auto known = rows();
        auto found = workloads(known);
        for (const auto pid : processes())
            if (!belongs_to_any(found, pid))
                return "a process of no workload: " + std::to_string(pid);
        return roundhouse::testing::quiet_check(std::move(known), std::move(found), settings)
            .failure();
    }

    /// The copies of engines' data that are kept, whole or not.
    [[nodiscard]] std::size_t copies() const {
        std::size_t out = 0;
        for (const std::string folder : {"/.copies", "/.copies/.new"}) {
            std::error_code none; // Without an upgrade there is no such folder.
            for (const auto& entry :
                 std::filesystem::directory_iterator(engines_folder() + folder, none))
                out += entry.path().filename() != ".new";
        }
        return out;
    }

    /// Every process whose working folder is that of an engine, even of a removed one.
    [[nodiscard]] std::set<pid_t> processes() const { return processes_in(engines_folder() + '/'); }

    /// The processes of one engine: more than one would be a second workload of it.
    [[nodiscard]] std::set<pid_t> processes_of(const roundhouse::uuid& engine) const {
        return processes_in(folder_of(engine));
    }

private:
    [[nodiscard]] static std::set<pid_t> processes_in(const std::string& path) {
        std::set<pid_t> out;
        for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
            const auto pid = std::atoi(entry.path().filename().c_str());
            std::error_code ignored; // The process has ended meanwhile.
            const auto folder =
                std::filesystem::read_symlink(entry.path() / "cwd", ignored).string();
            if (pid > 0 && folder.starts_with(path)) out.insert(pid);
        }
        return out;
    }

    [[nodiscard]] std::string engines_folder() const { return store_path_ + "/engines"; }
    [[nodiscard]] std::string workloads_folder() const { return store_path_ + "/workloads"; }

    [[nodiscard]] roundhouse::testing::observed_workload
    observe_process(const roundhouse::uuid& engine) const {
        roundhouse::testing::observed_workload out;
        out.ref.engine_id = engine;
        if (const auto process = process_of(identity_file_of(engine))) {
            out.ref.generation = process->identity.generation;
            out.ref.port = process->identity.port;
            out.state = process->stopped ? roundhouse::workload_state::paused
                                         : roundhouse::workload_state::up;
        }
        return out;
    }

    /// Finds out whether an engine is healthy and accepts the key of its row.
    void query_engine(const roundhouse::engine_record& row,
                      roundhouse::testing::observed_workload& workload) const {
        httplib::Client client("127.0.0.1", workload.ref.port);
        client.set_read_timeout(2);
        const auto health = client.Get("/health");
        workload.healthy = health && health->body.find(R"("status":"ok")") != std::string::npos;
        const auto key = keys_.unseal(row.sealed_key);
        if (!workload.healthy || !key) return;
        // The engine checks the key before the body: a 400 means that the key was accepted, and
        // nothing is executed.
        const httplib::Headers headers{{"X-Engine-Key", *key}};
        const auto answer = client.Post("/execute", headers, "no JSON", "application/json");
        if (answer && answer->status == 400) workload.key_hash = roundhouse::crypto::sha256(*key);
    }

    [[nodiscard]] bool
    belongs_to_any(const std::vector<roundhouse::testing::observed_workload>& found,
                   pid_t pid) const {
        for (const auto& workload : found) {
            const auto process = process_of(identity_file_of(workload.ref.engine_id));
            if (process && process->identity.pid == pid) return true;
        }
        return false;
    }

    const std::string store_path_;
    const roundhouse::crypto::key_ring keys_;
};

} // namespace roundhouse_tests
