#pragma once

#include <roundhouse/version.hpp>
#include <roundhouse/workload.hpp>

#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// An engine of a case, and the key that opens it.
struct trial_engine {
    workload what;
    std::string key;
};

[[nodiscard]] inline trial_engine next_generation(trial_engine engine) {
    ++engine.what.ref.generation;
    return engine;
}

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
