#pragma once

#include <roundhouse/version.hpp>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Open-addressing hash table of pointers, found by a hash of the objects that they point to. All
/// entries are in one array, so that a look-up misses the cache once for the table, where
/// `std::unordered_map` follows three pointers. With a million engines, cache misses are most of
/// the cost of a look-up.
///
/// `Pointer` may own its object; a null pointer marks a free entry. The array grows, and does not
/// shrink. Not thread-safe, except for `prefetch`.
template <class Pointer> class hash_index {
public:
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// The pointer with this hash for which `is(*pointer)` is true; null if there is none. Valid
    /// until the next insertion or erasure.
    template <class Is> [[nodiscard]] const Pointer* find(std::uint64_t hash, const Is& is) const {
        if (size_ == 0) return nullptr;
        for (auto at = home(hash);; at = next(at)) {
            const auto& entry = places_[at];
            if (!entry.pointer) return nullptr;
            if (entry.hash == hash && is(*entry.pointer)) return &entry.pointer;
        }
    }

    template <class Is> [[nodiscard]] Pointer* find(std::uint64_t hash, const Is& is) {
        return const_cast<Pointer*>(std::as_const(*this).find(hash, is));
    }

    /// Makes the processor fetch the entry in which `find` looks first. Any thread may call it at
    /// any time.
    void prefetch(std::uint64_t hash) const noexcept {
        // While the array grows, the two values may not belong together. The address may then be
        // invalid, and nothing is fetched.
        const auto start = start_.load(std::memory_order_relaxed);
        const auto shift = shift_.load(std::memory_order_relaxed);
        __builtin_prefetch(
            reinterpret_cast<const void*>(start + scattered(hash, shift) * sizeof(place)));
    }

    /// Adds a pointer, which must not be in the table yet.
    Pointer& insert(std::uint64_t hash, Pointer pointer) {
        if ((size_ + 1) * 4 > places_.size() * 3) grow();
        ++size_;
        return put({hash, std::move(pointer)});
    }

    /// Removes the pointer that `find` finds, and returns it; null if there is none.
    template <class Is> Pointer erase(std::uint64_t hash, const Is& is) {
        Pointer* const found = find(hash, is);
        if (found == nullptr) return {};
        auto out = std::exchange(*found, nullptr);
        --size_;
        // Entries that were put behind the one that is free now, because it was taken, move up.
        auto free = home(hash);
        while (&places_[free].pointer != found) free = next(free);
        for (auto at = next(free); places_[at].pointer; at = next(at)) {
            if (distance(home(places_[at].hash), at) < distance(free, at)) continue;
            places_[free] = std::exchange(places_[at], place{});
            free = at;
        }
        return out;
    }

    /// Calls `visit(hash, object)` for each pointer.
    template <class Visit> void for_each(const Visit& visit) const {
        for (const auto& entry : places_)
            if (entry.pointer) visit(entry.hash, *entry.pointer);
    }

private:
    struct place {
        std::uint64_t hash = 0;
        Pointer pointer = nullptr;
    };

    static constexpr std::size_t first_size = 8;

    /// Multiplies the hash, so that the high bits of the result depend on all of its bits.
    static std::size_t scattered(std::uint64_t hash, int shift) noexcept {
        return static_cast<std::size_t>(hash * 0x9E3779B97F4A7C15ULL >> shift);
    }
    [[nodiscard]] std::size_t home(std::uint64_t hash) const noexcept {
        return scattered(hash, shift_.load(std::memory_order_relaxed));
    }
    [[nodiscard]] std::size_t next(std::size_t at) const noexcept {
        return (at + 1) & (places_.size() - 1);
    }
    [[nodiscard]] std::size_t distance(std::size_t from, std::size_t to) const noexcept {
        return (to - from) & (places_.size() - 1);
    }

    Pointer& put(place entry) {
        auto at = home(entry.hash);
        while (places_[at].pointer) at = next(at);
        places_[at] = std::move(entry);
        return places_[at].pointer;
    }

    void grow() {
        std::vector<place> old(places_.empty() ? first_size : places_.size() * 2);
        old.swap(places_);
        start_ = reinterpret_cast<std::uintptr_t>(places_.data());
        shift_ = 64 - std::countr_zero(places_.size());
        for (auto& entry : old)
            if (entry.pointer) put(std::move(entry));
    }

    std::vector<place> places_; ///< Their number is a power of two; at most 3/4 are taken.
    std::size_t size_ = 0;
    // The address and size of `places_`, for threads that prefetch while the array grows.
    std::atomic<std::uintptr_t> start_ = 0;
    std::atomic<int> shift_ = 63;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
