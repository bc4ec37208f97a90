#pragma once

#include <roundhouse/backend/subprocess/options.hpp>

#include <cstddef>

namespace roundhouse::server {

struct server_options;

/// The soft limits of this process. To be read before it changes them.
[[nodiscard]] soft_limits present_limits();

/// Raises the limit on open files as far as possible, and returns the new limit.
[[nodiscard]] std::size_t raise_open_file_limit();

/// The division of the open files, so that neither clients nor engines can use up all of them.
struct open_file_plan {
    std::size_t connections = 0;             ///< Connections that clients may have open.
    std::size_t connections_per_address = 0; ///< Those of one client address.
    /// Not enough for a full fleet and a thousand clients, or for as many as were asked for.
    bool scarce = false;
};

/// Divides `limit` open files.
[[nodiscard]] open_file_plan plan_open_files(std::size_t limit, const server_options& options);

} // namespace roundhouse::server
