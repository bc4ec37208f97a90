#pragma once

#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <map>
#include <mutex>
#include <optional>
#include <vector>

namespace roundhouse::inline ROUNDHOUSE_ABI {

namespace detail::docker {

/// The workloads that are meant to be up: the end of one of them is news. Thread-safe.
class watched_engines {
public:
    void expect(const workload_ref& ref) {
        const std::lock_guard lock(mutex_);
        engines_[ref.engine_id] = ref;
    }

    /// Its end is not news any more. Returns what was expected of it.
    std::optional<workload_ref> release(const uuid& engine) {
        const std::lock_guard lock(mutex_);
        const auto found = engines_.find(engine);
        if (found == engines_.end()) return std::nullopt;
        const auto ref = found->second;
        engines_.erase(found);
        return ref;
    }

    /// It has ended. Returns what to report; nothing if that is not news.
    std::optional<workload_ref> ended(const workload_ref& ref) {
        const std::lock_guard lock(mutex_);
        const auto found = engines_.find(ref.engine_id);
        if (found == engines_.end() || found->second.generation != ref.generation)
            return std::nullopt;
        const auto known = found->second;
        engines_.erase(found);
        return known;
    }

    [[nodiscard]] std::vector<workload_ref> all() const {
        const std::lock_guard lock(mutex_);
        std::vector<workload_ref> out;
        for (const auto& [engine, ref] : engines_) out.push_back(ref);
        return out;
    }

private:
    mutable std::mutex mutex_;
    std::map<uuid, workload_ref> engines_;
};

} // namespace detail::docker

} // namespace roundhouse::inline ROUNDHOUSE_ABI
