#pragma once

#include <roundhouse/version.hpp>

#include <cstdint>
#include <functional>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

enum class log_level : std::uint8_t { debug, info, warning, error };

/// Where log lines go. Called from any thread, at once with others; must not throw. Lines never
/// hold a key.
using log_sink = std::function<void(log_level, std::string_view)>;

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
