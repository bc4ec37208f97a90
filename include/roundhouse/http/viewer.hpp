#pragma once

#include <roundhouse/version.hpp>

#include <cstdint>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace http {

/// Who an answer about engines is for. Administrators see no engine keys, and of which product each
/// engine is.
enum class viewer : std::uint8_t { product, admin };

} // namespace http
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
