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

/// What somebody who looks at the machine finds there of one engine.
struct found_workload {
    workload_ref ref;
    workload_state state = workload_state::down;
    bool healthy = false;     ///< One that is up answers so.
    sha256_digest key_hash{}; ///< Of the key that it accepts, if it is up.
    bool ours = true;         ///< Not another installation's.
    /// It was there without a row before anything began. It is ended, and its data stays.
    bool stray = false;
};

/// Says whether a fleet is what its rows say, once nothing goes wrong any more and nobody calls:
/// everything that was asked for is so, nothing is in flight, and nothing is left over (SPEC §2).
/// It judges simulated fleets and real ones.
class quiet_check {
public:
    quiet_check(std::vector<engine_ptr> rows, std::vector<found_workload> workloads,
                const settings& with)
        : rows_(std::move(rows)), workloads_(std::move(workloads)), settings_(with) {
        for (const auto& one : workloads_) found_[one.ref.engine_id] = &one;
    }
    quiet_check(const quiet_check&) = delete;
    quiet_check& operator=(const quiet_check&) = delete;

    /// What is not as it should be, in words; nothing if all is.
    [[nodiscard]] std::optional<std::string> missing() const {
        std::map<uuid, engine_ptr> known;
        for (const auto& row : rows_) {
            known[row->id] = row;
            if (auto why = missing(*row)) return name_of_row(*row) + ' ' + *why;
        }
        for (const auto& one : workloads_) {
            const auto name = short_id(one.ref.engine_id);
            const bool alive = one.state != workload_state::down;
            if (!one.ours && !alive) return "another installation's workload was ended: " + name;
            if (!one.ours || known.contains(one.ref.engine_id)) continue;
            if (alive) return "a workload without a row still runs: " + name;
            if (!one.stray) return "data has no row: " + name;
        }
        return std::nullopt;
    }

private:
    using reason = std::optional<std::string>;

    static std::string name_of_row(const engine_record& row) {
        return short_id(row.id) + " of " + row.user_id + " (" + std::string(name_of(row.status)) +
               "/" + std::string(name_of(row.intent)) + ")";
    }

    [[nodiscard]] reason missing(const engine_record& row) const {
        const auto found = found_.find(row.id);
        const auto* one = found == found_.end() ? nullptr : found->second;
        const auto state = one == nullptr ? workload_state::down : one->state;
        if (row.intent != intent::none) return "is under way";
        switch (row.status) {
        case engine_status::provisioning:
        case engine_status::destroying: return "is under way";
        case engine_status::running:
            if (state != workload_state::up) return "does not run";
            return missing_of_running(row, *one);
        case engine_status::sleeping:
            if (state != workload_state::paused) return "is not paused";
            return std::nullopt;
        case engine_status::failed:
            if (row.restart_at) return "is to be restarted";
            if (row.restart_attempts < settings_.restart_max_attempts)
                return "has not given up, and is not restarted";
            [[fallthrough]];
        case engine_status::stopped:
            if (state != workload_state::down) return "is not down";
            return std::nullopt;
        }
        return "is nothing that is known";
    }

    static reason missing_of_running(const engine_record& row, const found_workload& one) {
        if (one.ref.generation != row.generation) return "runs as another generation";
        if (one.ref.port != row.port) return "runs on another port";
        if (!one.healthy) return "is not healthy";
        if (one.key_hash != row.key_hash) return "runs with another key";
        return std::nullopt;
    }

    const std::vector<engine_ptr> rows_;
    const std::vector<found_workload> workloads_;
    const settings settings_;
    std::map<uuid, const found_workload*> found_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
