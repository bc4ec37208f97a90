#pragma once

#include <roundhouse/core/shares.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <mutex>
#include <unordered_map>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// A bounded number of places that products share: each may have `core::most_of_a_product` of them.
/// Whoever finds none does not wait, but is refused. Thread-safe.
class shared_places {
public:
    explicit shared_places(std::size_t most)
        : most_(most), most_of_a_product_(core::most_of_a_product(most)) {}

    /// Takes a place for a product. False if there is none for it.
    [[nodiscard]] bool take(const uuid& product) {
        const std::lock_guard lock(mutex_);
        const auto known = of_product_.find(product);
        if (taken_ >= most_ || (known != of_product_.end() && known->second >= most_of_a_product_))
            return false;
        ++taken_;
        ++of_product_[product];
        return true;
    }

    void give_back(const uuid& product) noexcept {
        const std::lock_guard lock(mutex_);
        --taken_;
        const auto known = of_product_.find(product);
        if (--known->second == 0) of_product_.erase(known);
    }

private:
    const std::size_t most_;
    const std::size_t most_of_a_product_;
    std::mutex mutex_;
    std::size_t taken_ = 0;
    std::unordered_map<uuid, std::size_t> of_product_; ///< Of products that have places.
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
