#pragma once

// The one place that knows which Catch2 this is.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <string_view>

namespace roundhouse_tests {

/// Notes that a test case did not run, for main() to tell ctest.
void note_skip(std::string_view reason);

} // namespace roundhouse_tests

/// Ends a test case that cannot run on this machine, for a reason such as "no Docker daemon". Use
/// it before the first assertion, in the body of the test case itself. Catch2 2 has nothing like
/// it, so both versions use this.
#define ROUNDHOUSE_SKIP(reason)                                                                    \
    do {                                                                                           \
        ::roundhouse_tests::note_skip(reason);                                                     \
        return;                                                                                    \
    } while (false)
