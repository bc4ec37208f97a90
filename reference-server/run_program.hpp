#pragma once

#include <roundhouse/error.hpp>

#include <string>
#include <vector>

namespace roundhouse::server {

struct program_outcome {
    int exit_code = 0;  ///< 128 plus the number of the signal that ended it, as in a shell.
    std::string output; ///< Of both the standard output and the standard error.
};

/// Runs a program of the system to its end, without a shell, with an empty environment, and without
/// input. Blocks for as long as it takes. `path` is absolute. A failure (`backend_error`) is that it
/// could not be started; its message names the program and the cause.
[[nodiscard]] result<program_outcome> run_program(const std::string& path,
                                                  const std::vector<std::string>& arguments);

} // namespace roundhouse::server
