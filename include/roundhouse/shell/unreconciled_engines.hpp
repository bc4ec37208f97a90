#pragma once

#include <roundhouse/detail/engine_owner_hash.hpp>
#include <roundhouse/types.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <string_view>
#include <unordered_set>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Engines whose rows are not known to be true: they were read at the start and are not yet compared
/// with what the backend has, or something that happened to them could not be stored. Admits of them
/// go through the mailbox. Thread-safe.
class unreconciled_engines {
public:
    void add(const engine_owner& owner) {
        const std::lock_guard lock(mutex_);
        owners_.insert(owner);
        count_.store(owners_.size());
    }

    void remove(const engine_owner& owner) {
        if (count_.load() == 0) return;
        std::function<void()> callback;
        {
            const std::lock_guard lock(mutex_);
            owners_.erase(owner);
            count_.store(owners_.size());
            if (owners_.empty()) callback.swap(when_none_);
        }
        if (callback) callback();
    }

    /// Asked on every admit; takes a lock only while there are any.
    [[nodiscard]] bool has(const uuid& product_id, std::string_view user_id) const {
        if (count_.load(std::memory_order_relaxed) == 0) return false;
        const std::lock_guard lock(mutex_);
        return owners_.contains(engine_owner_view{product_id, user_id});
    }

    [[nodiscard]] std::size_t size() const noexcept { return count_.load(); }

    /// Calls back once there is none: at once, or from the removal of the last. Replaces a callback
    /// that was set before.
    void when_none(std::function<void()> none) {
        {
            const std::lock_guard lock(mutex_);
            if (!owners_.empty()) {
                when_none_ = std::move(none);
                return;
            }
        }
        none();
    }

private:
    mutable std::mutex mutex_;
    std::unordered_set<engine_owner, engine_owner_hash, engine_owner_equal> owners_;
    std::atomic<std::size_t> count_ = 0;
    std::function<void()> when_none_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
