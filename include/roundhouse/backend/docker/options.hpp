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

/// How engines are reached (SPEC §6): at a port of the host, or by name on their network.
enum class docker_advertise : std::uint8_t { host, network };

/// The rights of containers. The defaults remove all that the engine's contract does not need; each
/// member gives one of them back.
struct docker_hardening {
    bool drop_capabilities = true; ///< Drops all but those in `capabilities`.
    std::vector<std::string> capabilities;
    bool no_new_privileges = true;
    bool read_only_root = true;
    /// The size of the tmpfs at /tmp, which only a read-only root has.
    std::uint64_t tmp_bytes = std::uint64_t{64} * 1024 * 1024;
    /// A small init as process 1, which reaps an engine's orphans.
    bool init = true;
    /// With `docker_advertise::host`: whether engines may talk to each other on the network.
    bool traffic_between_engines = false;
};

/// The daemon of a `docker_backend`, and the containers that it creates.
struct docker_options {
    /// The daemon's address: `unix:///path`, or `tcp://host:port`, which without
    /// `certificates_path` must be on this machine.
    std::string host = "unix:///var/run/docker.sock";
    /// A folder with `ca.pem`, `cert.pem` and `key.pem`, with which `tcp://` is spoken over TLS. They
    /// are read once, by the backend's constructor. Empty for none: then `tcp://` has no TLS.
    std::string certificates_path;
    /// The id of this installation on the daemon, in a label of everything that it creates.
    /// Installations with different ids never touch each other's objects.
    std::string installation_id;
    /// The network of the engines. Created if missing.
    std::string network = "engine_net";
    docker_advertise advertise = docker_advertise::host;
    /// Variables of every engine, beside the engine's own, which take precedence.
    std::vector<std::pair<std::string, std::string>> environment;
    /// A folder of the daemon's host, mounted read-only at /catalog in every engine; empty for
    /// none.
    std::string catalog_path;

    /// The name, without tag and digest, of the images whose version is a digest alone
    /// (`@sha256:…`). Empty if there are none.
    std::string repository;
    /// The registries that images may be pulled from; empty for all. A registry is the host, with
    /// its port, that an image's name begins with; `docker.io` if it begins with none.
    std::vector<std::string> registries;
    /// A file with the credentials of registries, in the format of Docker's `config.json`, without
    /// helpers. It is read at each pull. Empty for none: then pulls are anonymous.
    std::string registry_auth_file;

    std::string runtime;            ///< Such as runsc (gVisor); empty for the daemon's default.
    std::string user;               ///< Empty for the image's.
    std::uint64_t memory_bytes = 0; ///< 0 for no limit, here and in the next two.
    double cpus = 0;
    std::uint64_t pids = 4096;
    docker_hardening hardening;

    /// How long to wait for the daemon's answer, except to a pull; a stop's grace is added.
    duration call_timeout = std::chrono::seconds{60};
    /// How long to wait for the inspection after an event. Later events may wait for it.
    duration look_timeout = std::chrono::seconds{5};
    /// How long a pull may take.
    duration pull_timeout = std::chrono::minutes{30};
    /// How long to wait for an engine's answer to `POST /rotate-key`.
    duration swap_timeout = std::chrono::seconds{10};
    /// The time between SIGTERM and SIGKILL where the caller gives no grace.
    duration short_grace = std::chrono::seconds{2};
    /// The wait between two attempts to reach the daemon: doubles from the first to the second.
    duration reconnect_min = std::chrono::milliseconds{50};
    duration reconnect_max = std::chrono::seconds{2};

    /// The most that `logs` and `boot_logs` return.
    std::size_t log_tail_bytes = std::size_t{1024} * 1024;
    /// The size of each of the two files in which the daemon keeps an engine's output.
    std::uint64_t log_limit_bytes = std::uint64_t{10} * 1024 * 1024;
    detail::engine_answer_limits answers;
    log_sink log;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
