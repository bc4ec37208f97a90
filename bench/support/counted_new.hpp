#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

/// Replaces the global operator new by one that counts. To be included in one source file of a
/// program.
namespace roundhouse_bench {

inline thread_local std::uint64_t allocations = 0; ///< By the calling thread.

inline void* counted_new(std::size_t size) {
    ++allocations;
    if (void* const made = std::malloc(size)) return made;
    throw std::bad_alloc();
}

} // namespace roundhouse_bench

void* operator new(std::size_t size) { return roundhouse_bench::counted_new(size); }
void* operator new[](std::size_t size) { return roundhouse_bench::counted_new(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    ++roundhouse_bench::allocations;
    return std::malloc(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    ++roundhouse_bench::allocations;
    return std::malloc(size);
}
void operator delete(void* made) noexcept { std::free(made); }
void operator delete[](void* made) noexcept { std::free(made); }
void operator delete(void* made, std::size_t) noexcept { std::free(made); }
void operator delete[](void* made, std::size_t) noexcept { std::free(made); }
