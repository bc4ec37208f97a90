#pragma once

#include "logging.hpp"
#include "main_events.hpp"
#include "options.hpp"
#include "worker_pool.hpp"

#include <roundhouse/backend/subprocess/options.hpp>

namespace roundhouse::server {

/// The parts of a server that do not depend on its backend and store.
struct server_context {
    const server_options& options;
    logger& log;
    main_events& events;
    worker_pool& workers;
    soft_limits limits; ///< Those that the server was started with.
};

// Each function serves with one kind of backend until the server is asked to stop, and returns the
// exit code.

[[nodiscard]] int serve_memory(const server_context& context);
[[nodiscard]] int serve_subprocess(const server_context& context);
[[nodiscard]] int serve_docker(const server_context& context);

} // namespace roundhouse::server
