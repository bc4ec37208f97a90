#pragma once

#include "logging.hpp"
#include "options.hpp"

#include <roundhouse/backend/subprocess/options.hpp>

namespace roundhouse::server {

/// Serves until SIGTERM or SIGINT, and then shuts down in order. Returns the exit code: 0, or 2 if
/// the options could not be put into effect (the log names the variable). `limits` are those that
/// this process was started with. Blocks.
[[nodiscard]] int run_server(const server_options& options, const soft_limits& limits, logger& log);

} // namespace roundhouse::server
