#pragma once

#include "logging.hpp"
#include "options.hpp"

namespace roundhouse::server {

/// Serves until SIGTERM or SIGINT, and then shuts down in order. Returns the exit code: 0, or 2 if
/// the options could not be put into effect (the log names the variable). Blocks.
[[nodiscard]] int run_server(const server_options& options, logger& log);

} // namespace roundhouse::server
