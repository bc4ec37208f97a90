#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_RUNNER
#endif
#include "catch.hpp"

#include <atomic>
#include <iostream>

namespace {

std::atomic<bool> skipped{false};

} // namespace

void roundhouse_tests::note_skip(std::string_view reason) {
    skipped = true;
    std::cout << "skipped: " << reason << std::endl;
}

/// Exits with 1 after any failure, and with 4 if nothing failed and a test case was skipped: ctest
/// takes 4 for a skip (SKIP_RETURN_CODE). Catch2's own exit code is the number of failures, so four
/// failures would count as a skip.
int main(int argc, char** argv) {
    const int failures = Catch::Session().run(argc, argv);
    if (failures != 0) {
        return 1;
    }
    return skipped ? 4 : 0;
}
