#pragma once

#include <string_view>
#include <version>

#define ROUNDHOUSE_VERSION_MAJOR 0
#define ROUNDHOUSE_VERSION_MINOR 1
#define ROUNDHOUSE_VERSION_PATCH 0

/// Names the inline namespace that holds every entity of the library. It changes with the library's
/// version and with the `expected` in use, so that translation units which disagree about either
/// fail to link instead of sharing a type that has two layouts.
#if defined(__cpp_lib_expected) && __cpp_lib_expected >= 202202L
#define ROUNDHOUSE_HAS_STD_EXPECTED 1
#define ROUNDHOUSE_ABI v0_1_std_expected
#else
#define ROUNDHOUSE_HAS_STD_EXPECTED 0
#define ROUNDHOUSE_ABI v0_1_tl_expected
#endif

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The version of these headers (semantic versioning).
inline constexpr std::string_view version_string = "0.1.0";

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
