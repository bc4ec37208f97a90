#pragma once

#include <roundhouse/engine_settings.hpp>
#include <roundhouse/types.hpp>

#include <atomic>
#include <mutex>
#include <unordered_map>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The defaults of the products that have some, so that what happens to an engine needs no read of its
/// product. Filled at the start and by each change. Thread-safe; while no product has defaults a look-up
/// is one load.
class defaults_table {
public:
    /// Null if the product has none.
    [[nodiscard]] defaults_ptr of(const uuid& product) const {
        if (!any_.load(std::memory_order_acquire)) return nullptr;
        const std::lock_guard lock(mutex_);
        const auto found = by_product_.find(product);
        return found == by_product_.end() ? nullptr : found->second;
    }

    /// Takes the defaults of a record that was stored, unless later ones are known.
    void learn(const product& stored) {
        if (!stored.defaults) return;
        const std::lock_guard lock(mutex_);
        auto& known = by_product_[stored.id];
        if (known && revision_of(known.get()) >= revision_of(stored.defaults.get())) return;
        known = stored.defaults;
        any_.store(true, std::memory_order_release);
    }

    /// To be called for a product that is gone.
    void forget(const uuid& product) {
        const std::lock_guard lock(mutex_);
        by_product_.erase(product);
    }

private:
    std::atomic<bool> any_ = false;
    mutable std::mutex mutex_;
    std::unordered_map<uuid, defaults_ptr> by_product_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
