#pragma once

#include <roundhouse/call_types.hpp>
#include <roundhouse/core/rate_limit.hpp>
#include <roundhouse/detail/striped_mutex.hpp>
#include <roundhouse/detail/thread_hash.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// The rate limiters of all products that have a limit on one kind of call. Thread-safe; one
/// product's callers share a lock that is held for a few instructions.
class rate_gate {
public:
    /// Takes a place for one call of a product at `now` (steady time), or tells how long there is
    /// none.
    std::optional<duration> take(const uuid& product, std::optional<std::uint64_t> limit,
                                 duration now) {
        if (!limit) return std::nullopt;
        auto& one = of(product);
        const std::lock_guard lock(one.mutex);
        return one.limiter.take(*limit, now);
    }

    /// Why an admit is refused.
    struct refusal {
        duration wait;         ///< Until one is taken.
        bool of_burst = false; ///< The burst is what has to be waited for.
    };

    /// Takes a place for one admit of a product at `now` (steady time), within both of the numbers of
    /// its policy, or tells how long there is none.
    std::optional<refusal> take(const uuid& product, const policy& limits, duration now) {
        const auto& limit = limits.rate_limit_rpm;
        if (!limit) return std::nullopt;
        auto& one = of(product);
        const std::lock_guard lock(one.mutex);
        const auto wait = one.limiter.wait(*limit, now);
        if (limits.rate_limit_burst) {
            const auto of_burst = one.bursts.wait({*limits.rate_limit_burst, *limit}, now);
            if (of_burst > wait) return refusal{*of_burst, true}; // no wait is the shortest one
            if (!wait) one.bursts.take();
        }
        if (wait) return refusal{*wait};
        one.limiter.count(now);
        return std::nullopt;
    }

    /// What is left to a product at `now` (steady time); nothing if its policy sets no rate.
    std::optional<rate_limit_status> left(const uuid& product, const policy& limits, duration now) {
        const auto& limit = limits.rate_limit_rpm;
        if (!limit) return std::nullopt;
        auto& one = of(product);
        const std::lock_guard lock(one.mutex);
        rate_limit_status out{one.limiter.left(*limit, now), std::nullopt};
        if (limits.rate_limit_burst)
            out.burst = one.bursts.left({*limits.rate_limit_burst, *limit}, now);
        return out;
    }

    /// Forgets the calls of a product that is gone. Its empty limiter stays, because a thread may be
    /// about to use it.
    void forget(const uuid& product) {
        const striped_mutex::reading lock(mutex_);
        const auto found = limiters_.find(product);
        if (found == limiters_.end()) return;
        const std::lock_guard one(found->second->mutex);
        found->second->limiter = {};
        found->second->bursts = {};
    }

private:
    struct guarded {
        explicit guarded(const uuid& id) : product(id) {}

        const uuid product;
        std::mutex mutex;
        core::rate_limiter limiter;
        core::burst_limiter bursts;
    };

    /// The limiter that the threads of this place used last. A thread mostly serves one product.
    struct alignas(64) recent {
        std::atomic<guarded*> limiter = nullptr;
    };

    guarded& of(const uuid& product) {
        auto& last = recent_[hash_of_this_thread() % recent_.size()].limiter;
        if (auto* const known = last.load(); known != nullptr && known->product == product)
            return *known;
        auto& one = find_or_make(product);
        last.store(&one);
        return one;
    }

    guarded& find_or_make(const uuid& product) {
        {
            const striped_mutex::reading lock(mutex_);
            if (const auto found = limiters_.find(product); found != limiters_.end())
                return *found->second;
        }
        const std::unique_lock lock(mutex_);
        auto& one = limiters_[product];
        if (!one) one = std::make_unique<guarded>(product);
        return *one;
    }

    striped_mutex mutex_;
    std::unordered_map<uuid, std::unique_ptr<guarded>> limiters_; ///< None is ever removed.
    std::array<recent, 64> recent_;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
