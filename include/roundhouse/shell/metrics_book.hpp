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

    /// The sums over all products.
    [[nodiscard]] core::rolling_metrics::totals read_all(instant now) {
        core::rolling_metrics::totals sum;
        const std::lock_guard lock(mutex_);
        for (auto& [product, figures] : products_)
            core::rolling_metrics::merge(sum, figures.read(now));
        return sum;
    }

private:
    std::mutex mutex_;
    std::unordered_map<uuid, core::rolling_metrics> products_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
