#pragma once

#include <roundhouse/backend/subprocess/log_file.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

namespace detail::subprocess {

/// Where the output of each engine's last launch begins. It is known for engines that this backend
/// launched, from the launch to `forget`. Used on the supervisor's strand only.
class output_starts {
public:
    /// Records that a generation is about to be launched in `folder`.
    void record(const workload_ref& ref, const std::string& folder) {
        struct stat status {};
        const auto path = folder + '/' + log_name;
        const bool has_log = ::lstat(path.c_str(), &status) == 0;
        const auto size = has_log ? static_cast<std::uint64_t>(status.st_size) : 0;
        launches_[ref.engine_id] = {.generation = ref.generation,
                                    .number = ++count_,
                                    .start = {.log = size, .old_log = std::nullopt}};
    }

    /// Where the output of a generation begins; empty if it has written nothing. Where that is not
    /// known, it is all output of the engine.
    [[nodiscard]] std::optional<log_position> find(const workload_ref& ref) const {
        const auto found = launches_.find(ref.engine_id);
        if (found == launches_.end() || found->second.generation > ref.generation)
            return log_position{};
        if (found->second.generation < ref.generation) return std::nullopt;
        return found->second.start;
    }

    /// The number of launches so far, for `rotated`.
    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

    /// An engine's log was rotated by a task that began when there had been `count` launches.
    void rotated(const uuid& engine, const log_rotation& rotation, std::uint64_t count) {
        const auto found = launches_.find(engine);
        if (found == launches_.end()) return;
        auto& launch = found->second;
        // A launch during the rotation found the log at its old size, or truncated already.
        const bool truncated_before = launch.number > count && launch.start.log < rotation.size;
        if (!truncated_before) launch.start = launch.start.after(rotation);
    }

    void forget(const uuid& engine) { launches_.erase(engine); }

private:
    struct launch_record {
        std::uint64_t generation = 0;
        std::uint64_t number = 0; ///< Counts all launches.
        log_position start;
    };

    std::unordered_map<uuid, launch_record> launches_;
    std::uint64_t count_ = 0;
};

} // namespace detail::subprocess

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
