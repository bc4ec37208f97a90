#pragma once

#include <roundhouse/version.hpp>
#include <roundhouse/workload.hpp>

#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// An engine that a case made: its workload, and the key that opens it.
struct trial_engine {
    roundhouse::workload workload;
    std::string key;
};

[[nodiscard]] inline trial_engine next_generation(trial_engine engine) {
    ++engine.workload.ref.generation;
    return engine;
}

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
