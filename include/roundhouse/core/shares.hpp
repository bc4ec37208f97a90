#pragma once

#include <roundhouse/version.hpp>

#include <algorithm>
#include <cstddef>

/// How bounded things are shared out between products.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// The number of turns, of `turns`, that are kept for products that hold none: turns to boot, and
/// to prepare a workload (SPEC §5).
[[nodiscard]] constexpr std::size_t kept_turns(std::size_t turns) noexcept {
    return std::max<std::size_t>(1, turns / 5);
}

/// The most places that one product may have, of `places` of all, where those who find none are
/// refused: for calls that wait, and for open streams of output. Half, and at least one.
[[nodiscard]] constexpr std::size_t most_of_a_product(std::size_t places) noexcept {
    return places - places / 2;
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
