#pragma once

#include <roundhouse/version.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Memory for many small objects that are found in no order, in pages of 2 MiB. With a million objects
/// in pages of 4 KiB, an object's page is in no cache either, and to find it takes longer than to read
/// the object.
///
/// Freed memory is kept for objects of the same size, until the pool ends. Not thread-safe.
class object_pool {
public:
    /// Objects are aligned to this.
    static constexpr std::size_t unit = alignof(void*);
    /// Larger ones have memory of their own.
    static constexpr std::size_t max_size = 512;

    object_pool() = default;
    ~object_pool() = default;
    object_pool(const object_pool&) = delete;
    object_pool& operator=(const object_pool&) = delete;

    /// Memory for an object of this size. Throws `std::bad_alloc`.
    [[nodiscard]] void* allocate(std::size_t size) {
        if (size > max_size) return ::operator new(size);
        const auto units = units_of(size);
        if (auto*& first = free_[units]) {
            void* const place = first;
            first = first->next;
            return place;
        }
        if (left_ < units * unit) add_block();
        void* const place = unused_;
        unused_ += units * unit;
        left_ -= units * unit;
        return place;
    }

    /// Takes back what `allocate` returned for an object of this size.
    void free(void* place, std::size_t size) noexcept {
        if (size > max_size) return ::operator delete(place);
        auto& first = free_[units_of(size)];
        first = new (place) free_place{first};
    }

private:
    struct free_place {
        free_place* next;
    };

    static constexpr std::size_t small_page = std::size_t{4} << 10U;
    static constexpr std::size_t large_page = std::size_t{2} << 20U;
    static constexpr std::size_t first_block = std::size_t{64} << 10U;
    static constexpr std::size_t largest_block = 8 * large_page;

    static constexpr std::size_t units_of(std::size_t size) noexcept {
        return (size + unit - 1) / unit;
    }

    /// Each block is as large as all before it, so that few objects take little memory.
    void add_block() {
        const auto size = std::clamp(total_, first_block, largest_block);
        // Not value-initialised, so that no memory is touched before it has large pages.
        blocks_.push_back(std::unique_ptr<std::byte[]>(new std::byte[size]));
        unused_ = blocks_.back().get();
        left_ = size;
        total_ += size;
        use_large_pages(unused_, size);
    }

    /// Of a block that is not aligned to pages, the part that is. A system that has no large pages
    /// gives small ones.
    static void use_large_pages(std::byte* start, std::size_t size) noexcept {
        if (size < large_page) return;
        const auto offset = reinterpret_cast<std::uintptr_t>(start) % small_page;
        const auto skipped = offset == 0 ? 0 : small_page - offset;
        (void)::madvise(start + skipped, size - skipped, MADV_HUGEPAGE);
    }

    std::vector<std::unique_ptr<std::byte[]>> blocks_;
    std::size_t total_ = 0;
    std::byte* unused_ = nullptr; ///< What is left of the last block.
    std::size_t left_ = 0;
    std::array<free_place*, max_size / unit + 1> free_{}; ///< By size in units.
};

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
