#pragma once

#include <roundhouse/types.hpp>

#include <cstdint>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail {

/// Names a time that `call_timers` waits for, on the steady clock.
using call_ticket = std::pair<duration, std::uint64_t>;

} // namespace detail
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
