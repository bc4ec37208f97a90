#pragma once

#include <roundhouse/version.hpp>

#include <pthread.h>

#include <cstdint>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// A number for the calling thread by which it chooses its place in an array of places, so that
/// threads rarely share one. Its low 32 bits are mixed.
[[nodiscard]] inline std::uint64_t hash_of_this_thread() noexcept {
    return static_cast<std::uint64_t>(::pthread_self()) * 0x9E3779B97F4A7C15ULL >> 32U;
}

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
