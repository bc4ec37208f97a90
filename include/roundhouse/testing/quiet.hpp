#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/settings.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// What an observer finds on the machine of one engine.
struct observed_workload {
    workload_ref ref;
    workload_state state = workload_state::down;
    bool healthy = false;     ///< Whether it answers a probe as healthy, if it is up.
    sha256_digest key_hash{}; ///< The hash of the key that it accepts, if it is up.
    bool ours = true;         ///< False if it belongs to another installation.
    /// It was there without a row before the test began. It must be ended, and its data kept.
    bool stray = false;
};

/// Checks whether a fleet, simulated or real, is at rest and is what its rows say (SPEC §2): every
/// operation has ended, everything that was asked for is done, and nothing is left over. It may be
/// used once faults and calls have ended.
class quiet_check {
public:
    quiet_check(std::vector<engine_ptr> rows, std::vector<observed_workload> workloads,
                const settings& settings)
        : rows_(std::move(rows)), workloads_(std::move(workloads)), settings_(settings) {
        for (const auto& workload : workloads_) by_engine_[workload.ref.engine_id] = &workload;
    }
    quiet_check(const quiet_check&) = delete;
    quiet_check& operator=(const quiet_check&) = delete;

    /// The first thing that is not as it should be, in words; nothing if everything is.
    [[nodiscard]] std::optional<std::string> failure() const {
        std::map<uuid, engine_ptr> known;
        for (const auto& row : rows_) {
            known[row->id] = row;
            if (auto found = failure_of(*row)) return name_of_row(*row) + ' ' + *found;
        }
        for (const auto& workload : workloads_) {
            const auto name = short_id(workload.ref.engine_id);
            const bool alive = workload.state != workload_state::down;
            if (!workload.ours && !alive)
                return "a workload of another installation was ended: " + name;
            if (!workload.ours || known.contains(workload.ref.engine_id)) continue;
            if (alive) return "a workload without a row still runs: " + name;
            if (!workload.stray) return "data has no row: " + name;
        }
        return std::nullopt;
    }

private:
    using reason = std::optional<std::string>;

    static std::string name_of_row(const engine_record& row) {
        return short_id(row.id) + " of " + row.user_id + " (" + std::string(name_of(row.status)) +
               "/" + std::string(name_of(row.intent)) + ")";
    }

    [[nodiscard]] reason failure_of(const engine_record& row) const {
        const auto found = by_engine_.find(row.id);
        const auto* workload = found == by_engine_.end() ? nullptr : found->second;
        const auto state = workload == nullptr ? workload_state::down : workload->state;
        if (row.intent != intent::none) return "is under way";
        switch (row.status) {
        case engine_status::provisioning:
        case engine_status::destroying: return "is under way";
        case engine_status::running:
            if (state != workload_state::up) return "does not run";
            if (row.upgrade) return "has an upgrade that is not over";
            return failure_of_running(row, *workload);
        case engine_status::sleeping:
            if (row.sleep_mode == sleep_mode::stopped)
                return state == workload_state::down ? reason() : "sleeps with a workload";
            if (state != workload_state::paused) return "is not paused";
            return std::nullopt;
        case engine_status::failed:
            if (row.restart_at) return "is to be restarted";
            if (row.restart_attempts < settings_.restart_max_attempts)
                return "has restart attempts left, and no restart is due";
            [[fallthrough]];
        case engine_status::stopped:
            if (state != workload_state::down) return "is not down";
            return std::nullopt;
        }
        return "has an unknown status";
    }

    static reason failure_of_running(const engine_record& row, const observed_workload& workload) {
        if (workload.ref.generation != row.generation) return "runs as another generation";
        if (workload.ref.port != row.port) return "runs on another port";
        if (!workload.healthy) return "is not healthy";
        if (workload.key_hash != row.key_hash) return "runs with another key";
        return std::nullopt;
    }

    const std::vector<engine_ptr> rows_;
    const std::vector<observed_workload> workloads_;
    const settings settings_;
    std::map<uuid, const observed_workload*> by_engine_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
