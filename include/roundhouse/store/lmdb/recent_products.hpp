#pragma once

#include <roundhouse/changes.hpp>
#include <roundhouse/error.hpp>
#include <roundhouse/types.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::lmdb {

/// The product that each thread found last: whoever serves calls finds the same few again and
/// again, and to read one takes two look-ups and its decoding. Threads share nothing here that is
/// written, the products' counts of holders neither. Thread-safe.
class recent_products {
public:
    /// The product with this key: the one that this thread found last, unless products have changed
    /// since, or what `find()` answers.
    template <class Find> result<product_ptr> find(const sha256_digest& key, const Find& find) {
        // Before the read: what is committed from here on makes it count as old.
        const auto version = version_.load(std::memory_order_acquire);
        auto& mine = of_this_thread();
        if (mine.taken.exchange(true, std::memory_order_acquire)) return find();
        const place_taken until_the_end(mine);
        if (mine.product && mine.version == version && mine.product->key_hash == key)
            return mine.product;
        auto found = find();
        if (found && *found) {
            mine.product = *found;
            mine.version = version;
        }
        return found;
    }

    /// To be called once a commit that may have changed products is visible, before it returns.
    void changed() noexcept { version_.fetch_add(1, std::memory_order_release); }

private:
    struct alignas(64) place {
        std::atomic<bool> taken =
            false; ///< Two threads may share one: then the second does without.
        std::uint64_t version = 0;
        product_ptr product;
    };

    class place_taken {
    public:
        explicit place_taken(place& one) noexcept : one_(one) {}
        ~place_taken() { one_.taken.store(false, std::memory_order_release); }
        place_taken(const place_taken&) = delete;
        place_taken& operator=(const place_taken&) = delete;

    private:
        place& one_;
    };

    place& of_this_thread() noexcept {
        const auto hash = std::hash<std::thread::id>{}(std::this_thread::get_id());
        return places_[(hash * 0x9E3779B97F4A7C15ULL >> 56U) % places_.size()];
    }

    std::array<place, 64> places_;
    std::atomic<std::uint64_t> version_ = 0;
};

} // namespace detail::lmdb
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
