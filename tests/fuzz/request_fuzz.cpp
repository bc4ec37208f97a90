// libFuzzer target: the server's request reader beside http-parser. The first byte is the size of
// the pieces in which the rest arrives.
#include "compare_readers.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto problem = roundhouse_tests::disagreement(bytes, data[0]);
    if (problem.empty()) return 0;
    std::fprintf(stderr, "%s\n", problem.c_str());
    std::abort();
}
