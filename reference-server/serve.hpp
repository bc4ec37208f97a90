#pragma once

#include "logging.hpp"
#include "main_events.hpp"
#include "options.hpp"
#include "worker_pool.hpp"

namespace roundhouse::server {

/// What a server is made of, whatever its backend and store.
struct surroundings {
    const server_options& options;
    logger& log;
    main_events& events;
    worker_pool& workers;
};

// Each serves with one kind of engines until it is asked to stop, and returns the exit code.

[[nodiscard]] int serve_memory(const surroundings& around);
[[nodiscard]] int serve_subprocess(const surroundings& around);
[[nodiscard]] int serve_docker(const surroundings& around);

} // namespace roundhouse::server
