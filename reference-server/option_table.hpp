#pragma once

#include "options.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace roundhouse::server {

/// One option: everything about it in one line of the table.
struct option_row {
    std::string_view name;        ///< Of the environment variable.
    std::string_view placeholder; ///< What `--help` calls its value.
    std::string_view fallback;    ///< The text that counts if it is not given; empty: none.
    std::string_view help;
    /// Reads the text into the options. Its failures tell the cause, without the name.
    std::function<result<void>(server_options&, const std::string& text)> read;
    bool secret = false;
};

/// `ORCH_PORT_MIN` is `--port-min`, `DOCKER_HOST` is `--docker-host`.
[[nodiscard]] std::string flag_of(std::string_view variable);

/// Every option, in the order in which `--help` shows them.
[[nodiscard]] std::span<const option_row> option_table();

} // namespace roundhouse::server
