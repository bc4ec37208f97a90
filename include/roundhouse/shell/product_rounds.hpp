#pragma once

#include <roundhouse/types.hpp>

#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// A queue in which products take turns: one item of each that has some, then the next of each; of
/// one product first come, first served. So what one product has waiting holds up another's by one
/// item only. Every operation takes constant time. Not thread-safe.
template <class T> class product_rounds {
public:
    void push(const uuid& product, T item) {
        auto& items = items_[product];
        if (items.empty()) round_.push_back(product);
        items.push_back(std::move(item));
    }

    /// Takes the next item; nothing if there is none.
    std::optional<T> pop() {
        if (round_.empty()) return std::nullopt;
        const auto product = round_.front();
        round_.pop_front();
        const auto found = items_.find(product);
        std::optional<T> next(std::move(found->second.front()));
        found->second.pop_front();
        if (found->second.empty()) items_.erase(found);
        else round_.push_back(product);
        return next;
    }

    [[nodiscard]] bool empty() const noexcept { return round_.empty(); }
    void clear() noexcept {
        items_.clear();
        round_.clear();
    }

private:
    std::unordered_map<uuid, std::deque<T>> items_; ///< Of products that have some.
    std::deque<uuid> round_; ///< These products, in the order of their turns.
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
