#pragma once

#include <roundhouse/core/rolling_metrics.hpp>
#include <roundhouse/types.hpp>

#include <mutex>
#include <unordered_map>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The rolling figures of every product. Thread-safe.
class metrics_book {
public:
    void add(const audit_entry& row) {
        if (!row.product_id) return;
        const std::lock_guard lock(mutex_);
        products_[*row.product_id].add(row);
    }

    /// To be called for a product that is gone.
    void forget(const uuid& product) {
        const std::lock_guard lock(mutex_);
        products_.erase(product);
    }

    /// Forgets everything, to be filled anew.
    void clear() {
        const std::lock_guard lock(mutex_);
        products_.clear();
    }

    [[nodiscard]] core::rolling_metrics::totals read(const uuid& product, instant now) {
        const std::lock_guard lock(mutex_);
        const auto found = products_.find(product);
        return found == products_.end() ? core::rolling_metrics::totals{} : found->second.read(now);
    }

private:
    std::mutex mutex_;
    std::unordered_map<uuid, core::rolling_metrics> products_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
