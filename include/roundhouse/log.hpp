#pragma once

#include <roundhouse/version.hpp>

#include <cstdint>
#include <functional>
#include <string_view>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The severity of a log line.
enum class log_level : std::uint8_t { debug, info, warning, error };

/// Receives log lines, which never hold a key. Called from any thread, also from several at once;
/// must not throw.
using log_sink = std::function<void(log_level, std::string_view)>;

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
