#include "open_files.hpp"

#include "options.hpp"

#include <sys/resource.h>

#include <algorithm>

namespace roundhouse::server {

namespace {

constexpr std::size_t max_connections = 50'000;
constexpr std::size_t files_of_a_boot = 8; ///< The identity file, the log, pipes and a probe.
constexpr std::size_t files_for_the_rest = 128;
constexpr std::size_t comfortable_connections = 1'000;

} // namespace

soft_limits present_limits() {
    rlimit files{};
    rlimit core{};
    ::getrlimit(RLIMIT_NOFILE, &files); // fails for no valid reason
    ::getrlimit(RLIMIT_CORE, &core);
    return {.open_files = files.rlim_cur, .core_bytes = core.rlim_cur};
}

std::size_t raise_open_file_limit() {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return 1024;
    const auto before = files.rlim_cur;
    files.rlim_cur = files.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &files) != 0) files.rlim_cur = before;
    return static_cast<std::size_t>(files.rlim_cur);
}

open_file_plan plan_open_files(std::size_t limit, const server_options& options) {
    const auto& settings = options.settings;
    // An engine's process is watched through one descriptor, and its port held by another.
    const std::size_t files_of_an_engine = options.backend == backend_kind::subprocess ? 2 : 1;
    const std::size_t ports = static_cast<std::size_t>(settings.port_max - settings.port_min) + 1;
    const std::size_t engines = ports * files_of_an_engine;
    // Each stream of a container's output is a connection to the daemon, and so is each pull.
    const std::size_t to_daemon = options.backend == backend_kind::docker
                                      ? settings.max_log_streams + settings.prepare_concurrency
                                      : 0;
    const std::size_t reserve = engines + to_daemon + settings.health_concurrency +
                                settings.boot_concurrency * files_of_a_boot + files_for_the_rest;
    const std::size_t left = limit > reserve ? limit - reserve : 0;
    const std::size_t possible = std::max<std::size_t>({left, limit / 4, 1});
    const std::size_t wanted = options.connections > 0 ? options.connections : max_connections;
    open_file_plan out;
    out.connections = std::min(possible, wanted);
    out.connections_per_address = options.connections_per_address > 0
                                      ? options.connections_per_address
                                      : std::max<std::size_t>(out.connections / 4, 1);
    out.scarce = left < (options.connections > 0 ? options.connections : comfortable_connections);
    return out;
}

} // namespace roundhouse::server
