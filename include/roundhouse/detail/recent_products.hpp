#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/detail/thread_hash.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Caches the product that each thread found last in a store: a thread that serves calls finds the
/// same few products again and again, and to read one may take two look-ups and a decoding. Each
/// thread has a slot and a product of its own, so that threads share no memory that they write: not
/// even the reference counts of products. Thread-safe.
class recent_products {
public:
    /// The product with this key: the cached one, unless products have changed since, or else the
    /// answer of `find()`.
    template <class Find> result<product_ptr> find(const sha256_digest& key, const Find& find) {
        return look_up([&](const product& own) { return find_key(own, key) != nullptr; }, find);
    }

    /// The same for the product with this id.
    template <class Find> result<product_ptr> find(const uuid& id, const Find& find) {
        return look_up([&](const product& own) { return own.id == id; }, find);
    }

    /// Makes all entries stale. To be called after each commit that may have changed products,
    /// before it returns.
    void changed() noexcept { version_.fetch_add(1, std::memory_order_release); }

private:
    template <class Matches, class Find>
    result<product_ptr> look_up(const Matches& matches, const Find& find) {
        // Read before `find()`, so that a commit in between makes the new entry stale.
        const auto version = version_.load(std::memory_order_acquire);
        auto& own = slot_of_this_thread();
        if (own.taken.exchange(true, std::memory_order_acquire)) return find();
        const release_at_exit release(own);
        if (own.product && own.version == version && matches(*own.product)) return own.product;
        auto found = find();
        if (!found || !*found) return found;
        own.product = std::make_shared<const product>(**found);
        own.version = version;
        return own.product;
    }

    struct alignas(64) slot {
        /// Two threads may hash to one slot; the second does without the cache meanwhile.
        std::atomic<bool> taken = false;
        std::uint64_t version = 0;
        product_ptr product;
    };

    class release_at_exit {
    public:
        explicit release_at_exit(slot& taken) noexcept : slot_(taken) {}
        ~release_at_exit() { slot_.taken.store(false, std::memory_order_release); }
        release_at_exit(const release_at_exit&) = delete;
        release_at_exit& operator=(const release_at_exit&) = delete;

    private:
        slot& slot_;
    };

    slot& slot_of_this_thread() noexcept { return slots_[hash_of_this_thread() % slots_.size()]; }

    std::array<slot, 64> slots_;
    std::atomic<std::uint64_t> version_ = 0;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
