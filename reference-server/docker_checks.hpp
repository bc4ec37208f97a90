#pragma once

#include "options.hpp"

#include <roundhouse/error.hpp>

#include <string>
#include <vector>

/// Checks of the options of the Docker backend that depend on each other.
namespace roundhouse::server {

/// Refuses what the backend could not start with. A failure's message begins with the name of the
/// option.
[[nodiscard]] result<void> check_docker(const server_options& options);

/// What is valid and probably not intended; each warning begins with the name of the option.
/// `memory_is_chosen` says that there is a memory ceiling, or none by choice.
[[nodiscard]] std::vector<std::string> docker_warnings(const server_options& options,
                                                       bool memory_is_chosen);

} // namespace roundhouse::server
