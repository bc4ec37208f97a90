#pragma once

#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/engine_owner.hpp>
#include <roundhouse/types.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Why creations were undone, for those who ask for the engines later. In memory only; where there
/// are too many the oldest make room, of the same product if that has its share. Thread-safe.
class undone_creations {
public:
    static constexpr duration kept_for = std::chrono::minutes{10};
    static constexpr std::size_t most = 10'000;
    static constexpr std::size_t most_of_a_product = 1'000;

    struct undone {
        std::string reason;
        instant at{};
    };

    /// `now` is steady time, here and below.
    void note(const engine_owner& owner, undone what, duration now) {
        const std::lock_guard lock(mutex_);
        erase(owner);
        while (!notes_.empty() && notes_.front().until <= now) drop(notes_.begin());
        auto& own = of_product_[owner.product_id];
        if (own >= most_of_a_product)
            drop(std::ranges::find(notes_, owner.product_id,
                                   [](const auto& one) { return one.owner.product_id; }));
        else if (notes_.size() >= most) drop(notes_.begin());
        ++of_product_[owner.product_id];
        notes_.push_back({owner, std::move(what), now + kept_for});
        by_owner_.emplace(owner, std::prev(notes_.end()));
        count_.store(notes_.size());
    }

    /// The user has an engine again.
    void forget(const engine_owner& owner) {
        if (count_.load(std::memory_order_relaxed) == 0) return;
        const std::lock_guard lock(mutex_);
        erase(owner);
    }

    /// The product is gone.
    void forget_product(const uuid& product) {
        if (count_.load(std::memory_order_relaxed) == 0) return;
        const std::lock_guard lock(mutex_);
        for (auto at = notes_.begin(); at != notes_.end() && of_product_.contains(product);) {
            const auto one = at++;
            if (one->owner.product_id == product) drop(one);
        }
    }

    [[nodiscard]] std::optional<undone> find(const engine_owner& owner, duration now) const {
        if (count_.load(std::memory_order_relaxed) == 0) return std::nullopt;
        const std::lock_guard lock(mutex_);
        const auto known = by_owner_.find(owner);
        if (known == by_owner_.end() || known->second->until <= now) return std::nullopt;
        return known->second->what;
    }

private:
    struct kept {
        engine_owner owner;
        undone what;
        duration until{};
    };
    using notes = std::list<kept>;

    void erase(const engine_owner& owner) {
        const auto known = by_owner_.find(owner);
        if (known != by_owner_.end()) drop(known->second);
    }
    void drop(notes::iterator which) {
        const auto product = of_product_.find(which->owner.product_id);
        if (--product->second == 0) of_product_.erase(product);
        by_owner_.erase(which->owner);
        notes_.erase(which);
        count_.store(notes_.size());
    }

    mutable std::mutex mutex_;
    notes notes_; ///< Oldest first.
    std::unordered_map<engine_owner, notes::iterator, engine_owner_hash, engine_owner_equal>
        by_owner_;
    std::unordered_map<uuid, std::size_t> of_product_;
    std::atomic<std::size_t> count_ = 0;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
