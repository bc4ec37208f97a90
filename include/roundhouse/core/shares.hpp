#pragma once

#include <roundhouse/version.hpp>

#include <algorithm>
#include <cstddef>

/// How bounded things are shared out between products.
namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace core {

/// The number of turns to boot, of `turns`, that are kept for products that hold none (SPEC §5).
[[nodiscard]] constexpr std::size_t kept_turns(std::size_t turns) noexcept {
    return std::max<std::size_t>(1, turns / 5);
}

} // namespace core
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
