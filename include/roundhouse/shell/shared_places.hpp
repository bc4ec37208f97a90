#pragma once

#include <roundhouse/core/shares.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <mutex>
#include <unordered_map>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Counts the calls that wait, and bounds their number: of all products together, and of each.
/// Thread-safe.
class waiting_calls {
public:
    explicit waiting_calls(std::size_t most)
        : most_(most), most_of_a_product_(core::most_of_a_product(most)) {}

    /// Takes a place for a call of a product. Fails with `overloaded` if there is none.
    [[nodiscard]] result<void> take(const uuid& product) {
        const std::lock_guard lock(mutex_);
        const auto known = of_product_.find(product);
        if (waiting_ >= most_ ||
            (known != of_product_.end() && known->second >= most_of_a_product_))
            return fail(errc::overloaded, "Too many calls are waiting. Try again later.", 1);
        ++waiting_;
        ++of_product_[product];
        return {};
    }

    void give_back(const uuid& product) {
        const std::lock_guard lock(mutex_);
        --waiting_;
        const auto known = of_product_.find(product);
        if (--known->second == 0) of_product_.erase(known);
    }

private:
    const std::size_t most_;
    const std::size_t most_of_a_product_;
    std::mutex mutex_;
    std::size_t waiting_ = 0;
    std::unordered_map<uuid, std::size_t> of_product_; ///< Of products of which calls wait.
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
