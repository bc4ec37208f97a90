#pragma once

#include <roundhouse/types.hpp>
#include <roundhouse/version.hpp>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// The reports that a backend made: `workload_exit` or `workload_pause`. Thread-safe.
template <class Report> class report_log {
public:
    void add(const Report& report) {
        {
            const std::lock_guard lock(mutex_);
            reports_.push_back(report);
        }
        added_.notify_all();
    }

    [[nodiscard]] std::vector<Report> of(const uuid& engine) const {
        const std::lock_guard lock(mutex_);
        return select(engine);
    }

    /// Waits until an engine has at least `count` reports; false if `patience` ends first.
    [[nodiscard]] bool wait_for(const uuid& engine, std::size_t count, duration patience) const {
        std::unique_lock lock(mutex_);
        return added_.wait_for(lock, patience, [&] { return select(engine).size() >= count; });
    }

private:
    [[nodiscard]] std::vector<Report> select(const uuid& engine) const {
        std::vector<Report> selected;
        for (const auto& report : reports_)
            if (report.ref.engine_id == engine) selected.push_back(report);
        return selected;
    }

    mutable std::mutex mutex_;
    mutable std::condition_variable added_;
    std::vector<Report> reports_;
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
