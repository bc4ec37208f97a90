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

/// The engines owner rows may not be true yet: they were read at the start, and what the backend
/// has of them is still to be taken in. Nobody is admitted to one by its row alone. Thread-safe.
class unreconciled_engines {
public:
    void hold(const engine_owner& key) {
        const std::lock_guard lock(mutex_);
        keys_.insert(key);
        count_.store(keys_.size());
    }

    void release(const engine_owner& key) {
        if (count_.load() == 0) return;
        std::function<void()> told;
        {
            const std::lock_guard lock(mutex_);
            keys_.erase(key);
            count_.store(keys_.size());
            if (keys_.empty()) told.swap(when_none_);
        }
        if (told) told();
    }

    /// Asked on every admit; takes a lock only while there are any.
    [[nodiscard]] bool has(const uuid& product, std::string_view user) const {
        if (count_.load(std::memory_order_relaxed) == 0) return false;
        const std::lock_guard lock(mutex_);
        return keys_.contains(engine_owner_view{product, user});
    }

    [[nodiscard]] std::size_t size() const noexcept { return count_.load(); }

    /// Calls back once there is none: at once, or from the release of the last. Replaces what was
    /// asked before.
    void when_none(std::function<void()> none) {
        {
            const std::lock_guard lock(mutex_);
            if (!keys_.empty()) {
                when_none_ = std::move(none);
                return;
            }
        }
        none();
    }

private:
    mutable std::mutex mutex_;
    std::unordered_set<engine_owner, engine_owner_hash, engine_owner_equal> keys_;
    std::atomic<std::size_t> count_ = 0;
    std::function<void()> when_none_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
