#pragma once

#include "logging.hpp"
#include "options.hpp"

namespace roundhouse::server {

/// Serves until SIGTERM or SIGINT, and leaves in good order. Returns the exit code: 0, or 2 if the
/// options could not be put into effect (which is logged, naming the variable).
[[nodiscard]] int run_server(const server_options& options, logger& log);

} // namespace roundhouse::server
