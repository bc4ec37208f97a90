#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/core/store_plan/conditions.hpp>
#include <roundhouse/detail/striped_mutex.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <atomic>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The products that are being deleted, and those that are gone: whoever still holds such a product
/// can do nothing with it any more, and nothing is noted for it again. An id stays for as long as the
/// orchestrator lives. Thread-safe; calls cost one load while no product was deleted, and share a lock
/// afterwards.
class ended_products {
public:
    /// A product is being deleted. True if that was not known.
    bool begin(const uuid& product) {
        const std::unique_lock lock(mutex_);
        any_.store(true, std::memory_order_release);
        return gone_.try_emplace(product, false).second;
    }

    /// A product is gone.
    void end(const uuid& product) {
        const std::unique_lock lock(mutex_);
        any_.store(true, std::memory_order_release);
        gone_[product] = true;
    }

    /// Why a call of a product is refused; nothing if it is not.
    [[nodiscard]] std::optional<error> refusal(const product& asking) const {
        if (!any_.load(std::memory_order_acquire)) return std::nullopt;
        const striped_mutex::reading lock(mutex_);
        const auto found = gone_.find(asking.id);
        if (found == gone_.end()) return std::nullopt;
        return found->second ? core::no_product(asking.slug) : core::product_goes(asking.slug);
    }

private:
    std::atomic<bool> any_ = false;
    mutable striped_mutex mutex_;
    std::unordered_map<uuid, bool> gone_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
