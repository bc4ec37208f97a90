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

/// Pointers, found by a hash of what they point to. All places are in one array: a look-up goes to
/// memory once for it, where `std::unordered_map` follows three pointers; with a million engines
/// that is most of what a look-up costs.
///
/// `Pointer` may be owning; a null one marks a free place. Not thread-safe. The array grows, and
/// does not shrink.
template <class Pointer> class hash_index {
public:
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// The pointer with this hash whose object `is(*pointer)`; null if there is none. Good until
    /// the next insertion or erasure.
    template <class Is> [[nodiscard]] const Pointer* find(std::uint64_t hash, const Is& is) const {
        if (size_ == 0) return nullptr;
        for (auto at = home(hash);; at = next(at)) {
            const auto& one = places_[at];
            if (!one.pointer) return nullptr;
            if (one.hash == hash && is(*one.pointer)) return &one.pointer;
        }
    }

    template <class Is> [[nodiscard]] Pointer* find(std::uint64_t hash, const Is& is) {
        return const_cast<Pointer*>(std::as_const(*this).find(hash, is));
    }

    /// Has the processor fetch the place in which `find` will look first. Any thread may call it at
    /// any time.
    void prefetch(std::uint64_t hash) const noexcept {
        // Of two moments, the address may be of no place at all: then nothing is fetched.
        const auto start = start_.load(std::memory_order_relaxed);
        const auto shift = shift_.load(std::memory_order_relaxed);
        __builtin_prefetch(
            reinterpret_cast<const void*>(start + scattered(hash, shift) * sizeof(place)));
    }

    /// It must not be there yet.
    Pointer& insert(std::uint64_t hash, Pointer pointer) {
        if ((size_ + 1) * 4 > places_.size() * 3) grow();
        ++size_;
        return put({hash, std::move(pointer)});
    }

    /// Takes out what `find` would find, and returns it; null if there is none.
    template <class Is> Pointer erase(std::uint64_t hash, const Is& is) {
        Pointer* const found = find(hash, is);
        if (found == nullptr) return {};
        auto out = std::exchange(*found, nullptr);
        --size_;
        // What was put after the place that is free now, because that was taken, moves up.
        auto free = home(hash);
        while (&places_[free].pointer != found) free = next(free);
        for (auto at = next(free); places_[at].pointer; at = next(at)) {
            if (distance(home(places_[at].hash), at) < distance(free, at)) continue;
            places_[free] = std::exchange(places_[at], place{});
            free = at;
        }
        return out;
    }

    /// `visit(hash, object)` of all.
    template <class Visit> void for_each(const Visit& visit) const {
        for (const auto& one : places_)
            if (one.pointer) visit(one.hash, *one.pointer);
    }

private:
    struct place {
        std::uint64_t hash = 0;
        Pointer pointer = nullptr;
    };

    static constexpr std::size_t first_size = 8;

    /// Hashes need not be good in any bits of their own: the product's high bits depend on all.
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

    Pointer& put(place what) {
        auto at = home(what.hash);
        while (places_[at].pointer) at = next(at);
        places_[at] = std::move(what);
        return places_[at].pointer;
    }

    void grow() {
        std::vector<place> old(places_.empty() ? first_size : places_.size() * 2);
        old.swap(places_);
        start_ = reinterpret_cast<std::uintptr_t>(places_.data());
        shift_ = 64 - std::countr_zero(places_.size());
        for (auto& one : old)
            if (one.pointer) put(std::move(one));
    }

    std::vector<place> places_; ///< A power of two of them, at most three quarters taken.
    std::size_t size_ = 0;
    // Of `places_`, for who prefetches while they are exchanged.
    std::atomic<std::uintptr_t> start_ = 0;
    std::atomic<int> shift_ = 63;
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
