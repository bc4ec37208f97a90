#pragma once

// Includes Catch2, version 2 or 3.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <string_view>

namespace roundhouse_tests {

/// Records that a test case was skipped, for main() to report to ctest.
void note_skip(std::string_view reason);

} // namespace roundhouse_tests

/// Ends a test case that cannot run on this machine, for a reason such as "no Docker daemon". Use
/// it in the body of the test case itself, before the first assertion. Catch2 2 has no equivalent,
/// so this is used with both versions.
#define ROUNDHOUSE_SKIP(reason)                                                                    \
    do {                                                                                           \
        ::roundhouse_tests::note_skip(reason);                                                     \
        return;                                                                                    \
    } while (false)
