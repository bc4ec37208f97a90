#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace roundhouse_tests {

/// The number that an environment variable holds, by which a test is made longer or repeated.
inline std::uint64_t number_from_environment(const char* name, std::uint64_t fallback) {
    const char* const text = std::getenv(name);
    return text == nullptr ? fallback : std::stoull(text);
}

} // namespace roundhouse_tests
