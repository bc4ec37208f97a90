#pragma once

#include <roundhouse/types.hpp>
#include <roundhouse/version.hpp>
#include <roundhouse/workload.hpp>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// What the handler of `on_exit` was told. Thread-safe.
class exit_log {
public:
    void add(const workload_exit& what) {
        {
            const std::lock_guard lock(mutex_);
            told_.push_back(what);
        }
        changed_.notify_all();
    }

    [[nodiscard]] std::vector<workload_exit> of(const uuid& engine) const {
        const std::lock_guard lock(mutex_);
        return select(engine);
    }

    /// Waits until an engine has so many exits; false if it has not in that time.
    [[nodiscard]] bool wait_for(const uuid& engine, std::size_t exits, duration patience) const {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, [&] { return select(engine).size() >= exits; });
    }

private:
    [[nodiscard]] std::vector<workload_exit> select(const uuid& engine) const {
        std::vector<workload_exit> out;
        for (const auto& one : told_)
            if (one.ref.engine_id == engine) out.push_back(one);
        return out;
    }

    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::vector<workload_exit> told_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
