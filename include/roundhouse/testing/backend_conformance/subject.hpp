#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/version.hpp>
#include <roundhouse/workload.hpp>

#include <asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace testing {

/// A backend, and what its cases must know of the engines that it runs. They should be healthy soon
/// and end on SIGTERM, as SPEC §6 asks.
///
/// The cases make engines with new ids, look at no others, and destroy what they have made; they
/// set the handler of `on_exit`. The functions are called by the thread that runs the case, and may
/// block and throw.
template <backend Backend> struct backend_subject {
    Backend& tested;
    /// Where the backend's operations are run, each on a strand of its own. Threads beside the one
    /// that runs the case must run its context.
    asio::any_io_executor executor;
    /// What the workloads are made from: their `version`.
    std::string version;
    /// A host port that nobody holds. Called if the backend `needs_port()`.
    std::function<std::uint16_t()> free_port;
    /// Ends a workload that is up or paused from outside, as a crash would: kills its process, say.
    std::function<void(const workload_ref&)> crash;
    /// Asks the engine, with a key, to count one further in its data. Returns the count, which is 1
    /// where there was no data; nothing if the engine refuses the key. May be absent, but for
    /// `backend_data_conformance`.
    std::function<std::optional<std::uint64_t>(const workload_ref&, const std::string& key)> count =
        {};

    /// How long anything is waited for before it counts as never. Only failures take so long.
    duration patience = std::chrono::seconds{60};
    /// What a stop gives an engine between SIGTERM and SIGKILL.
    duration grace = std::chrono::seconds{30};
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
