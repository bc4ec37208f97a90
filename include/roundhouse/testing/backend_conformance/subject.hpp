#pragma once

#include <roundhouse/concepts.hpp>
#include <roundhouse/engine_settings.hpp>
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

/// A backend, and what its cases must know of the engines that it runs. The engines should become
/// healthy soon and end on SIGTERM, as SPEC §6 asks.
///
/// The cases make engines with new ids, look at no others, and destroy what they have made. They
/// replace the handlers of the backend. The functions are called by the thread that runs the case,
/// and may block and throw.
template <backend Backend> struct backend_subject {
    Backend& tested;
    /// Runs the backend's operations, each on a strand of its own. Its context must be run by
    /// threads other than the one that runs the case.
    asio::any_io_executor executor;
    /// The `version` of the workloads.
    std::string version;
    /// Returns a host port that is free. Called if the backend `needs_port()`.
    std::function<std::uint16_t()> free_port;
    /// Ends a workload that is up or paused, as a crash would: by killing its process, say.
    std::function<void(const workload_ref&)> crash;
    /// Asks the engine, with a key, to raise a count in its data by one. Returns the count, which
    /// is 1 where there was no data; empty if the engine refuses the key. Needed by
    /// `backend_data_conformance` only.
    std::function<std::optional<std::uint64_t>(const workload_ref&, const std::string& key)> count =
        {};
    /// Pauses or resumes a workload without asking the backend. Without it the reports of pauses
    /// are not tested.
    std::function<void(const workload_ref&, bool paused)> set_paused = {};
    /// The variables of a workload that is up, at least those that it was created with. Without it
    /// `workload::env` is not tested.
    std::function<named_texts(const workload_ref&)> environment = {};

    /// The longest wait for anything; it is reached by failures only.
    duration patience = std::chrono::seconds{60};
    /// The grace of a stop.
    duration grace = std::chrono::seconds{30};
};

} // namespace testing
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
