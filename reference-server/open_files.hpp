#pragma once

#include <cstddef>

namespace roundhouse::server {

struct server_options;

/// Raises the limit on open files as far as this process may, and returns what it is then.
[[nodiscard]] std::size_t raise_open_file_limit();

/// How the open files are shared out, so that neither clients nor engines can use them all up.
struct open_file_plan {
    std::size_t connections = 0; ///< The most that clients may have open at once.
    bool scarce = false; ///< There are fewer than a full fleet and a thousand clients could use.
};

[[nodiscard]] open_file_plan plan_open_files(std::size_t limit, const server_options& options);

} // namespace roundhouse::server
