#pragma once

#include "options.hpp"

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace roundhouse::server {

/// An option of the server.
struct option_row {
    std::string_view name;        ///< The name of the environment variable.
    std::string_view placeholder; ///< Stands for the value in `--help`.
    std::string_view fallback;    ///< The text that is used if none is given; may be empty.
    std::string_view help;
    /// Reads the text into the options. A failure's message is the cause, without the name.
    std::function<result<void>(server_options&, const std::string& text)> read;
    bool secret = false; ///< No engine may have it; may be given by file.
};

/// Characters of an admin key. One that has fewer than the first, and not fewer than the second, is
/// taken with a warning.
inline constexpr std::size_t shortest_admin_key = 32;
inline constexpr std::size_t shortest_admin_key_taken = 16;
inline constexpr std::string_view admin_key_advice =
    "Make one with `head -c 24 /dev/urandom | base64`";

/// Returns the flag of a variable: `--port-min` for `ORCH_PORT_MIN`, `--docker-host` for
/// `DOCKER_HOST`.
[[nodiscard]] std::string flag_of(std::string_view variable);

/// Returns the option that names the file of a secret: `ORCH_MASTER_KEY_FILE` for `ORCH_MASTER_KEY`.
[[nodiscard]] const option_row& secret_file_row(const option_row& secret);

/// Returns all options, in the order in which `--help` shows them.
[[nodiscard]] std::span<const option_row> option_table();

} // namespace roundhouse::server
