#pragma once

#include <roundhouse/detail/engine_calls.hpp>
#include <roundhouse/log.hpp>
#include <roundhouse/types.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// How engines are reached (SPEC §6): on a port of the host, or by name on their network.
enum class docker_advertise : std::uint8_t { host, network };

/// What containers may do. The defaults take away everything that the engine's contract does not
/// ask for; each member gives one thing back.
struct docker_hardening {
    bool drop_capabilities = true; ///< All of them, whatever `capabilities` adds again.
    std::vector<std::string> capabilities;
    bool no_new_privileges = true;
    bool read_only_root = true;
    /// Of the tmpfs at /tmp, which is there only with a root that cannot be written.
    std::uint64_t tmp_bytes = std::uint64_t{64} * 1024 * 1024;
    /// A small init as process 1, which reaps what an engine leaves behind.
    bool init = true;
    /// With `docker_advertise::host`: whether containers on the network may talk to each other.
    bool traffic_between_engines = false;
};

/// What `docker_backend` makes of engines, and where.
struct docker_options {
    /// Where the daemon listens: `unix:///path` or `tcp://host:port`, without TLS.
    std::string host = "unix:///var/run/docker.sock";
    /// Names this installation on the daemon, in the label of everything that it makes. Two with
    /// different names never touch what is the other's.
    std::string installation_id;
    /// Made if it is not there.
    std::string network = "engine_net";
    docker_advertise advertise = docker_advertise::host;
    /// Given to every engine beside its own variables, which win over these.
    std::vector<std::pair<std::string, std::string>> environment;
    /// A folder of the daemon's host that every engine sees read-only at /catalog; empty for none.
    std::string catalog_path;

    std::string runtime;            ///< Such as runsc (gVisor); empty is the daemon's default.
    std::string user;               ///< Empty is the image's.
    std::uint64_t memory_bytes = 0; ///< 0 is no ceiling, here and in the next two.
    double cpus = 0;
    std::uint64_t pids = 4096;
    docker_hardening hardening;

    /// By when the daemon must have answered a call that is not a pull, beyond the grace of a stop.
    duration call_timeout = std::chrono::seconds{60};
    /// By when the daemon must have told how a workload ended, or whether it is paused: others wait
    /// for their turn meanwhile.
    duration look_timeout = std::chrono::seconds{5};
    /// By when an image must have been pulled.
    duration pull_timeout = std::chrono::minutes{30};
    /// By when an engine must have answered `POST /rotate-key`.
    duration swap_timeout = std::chrono::seconds{10};
    /// Between SIGTERM and SIGKILL, where the caller cannot name a grace.
    duration short_grace = std::chrono::seconds{2};
    /// From one attempt to reach the daemon again to the next; doubled up to the second.
    duration reconnect_min = std::chrono::milliseconds{50};
    duration reconnect_max = std::chrono::seconds{2};

    /// `logs` never returns more than this.
    std::size_t log_tail_bytes = std::size_t{1024} * 1024;
    /// Kept by the daemon of each engine's output, in two files.
    std::uint64_t log_limit_bytes = std::uint64_t{10} * 1024 * 1024;
    detail::engine_answer_limits answers;
    log_sink log;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
