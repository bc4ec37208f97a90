#pragma once

#include <roundhouse/detail/engine_calls.hpp>
#include <roundhouse/types.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// How far engines are kept from this program, from each other and from the rest of the machine.
enum class isolation_mode : std::uint8_t {
    automatic, ///< As far as this machine and the rights of this program allow.
    required,  ///< The backend is not made with less than no-new-privileges, limits and Landlock.
    none,
};

/// The engine command of a `subprocess_backend`, and its bounds.
struct subprocess_options {
    /// Engines have their folders in `<store_path>/engines/`. Created if missing.
    std::filesystem::path store_path;
    /// Program and arguments, run without a shell. A program without a slash is searched for, at
    /// each start, on the PATH in `environment`. A relative path with a slash counts from the
    /// working folder at the construction of the backend.
    std::vector<std::string> command;
    /// The environment of every engine, beside the engine's own variables, which take precedence.
    /// An engine inherits nothing from this process: put PATH, LANG, TZ and all that is to be
    /// passed through in here.
    std::vector<std::pair<std::string, std::string>> environment;
    /// The `CATALOG_DIR` of every engine; empty for none.
    std::string catalog_dir;

    isolation_mode isolation = isolation_mode::automatic;
    /// Files and folders that every engine may read and execute, beside those of the system, those
    /// of the command, and the catalog. Not the store's folder, nor one that has it in it.
    std::vector<std::string> readable;
    /// The most bytes of one file that an engine writes; 0 for no bound. It holds for the log too: an
    /// engine that prints half of it within `log_check_interval` may be ended by SIGXFSZ.
    std::uint64_t file_bytes = 0;

    /// When an engine's `engine.log` is larger, its last bytes, as many as this, are moved to
    /// `engine.log.1`. At most half of `file_bytes`, if that is set.
    std::uint64_t log_limit_bytes = std::uint64_t{10} * 1024 * 1024;
    /// How often the sizes are checked. Logs may exceed the limit in between.
    duration log_check_interval = std::chrono::seconds{1};
    /// The most that `logs` and `boot_logs` return.
    std::size_t log_tail_bytes = std::size_t{1024} * 1024;

    /// The time between SIGTERM and SIGKILL where the caller gives no grace: in `destroy`, and in
    /// `create` for the workload that it replaces.
    duration short_grace = std::chrono::seconds{2};
    /// How long to wait for processes after SIGKILL. Those in uninterruptible sleep may take
    /// longer: that is a failure which names a process.
    duration kill_timeout = std::chrono::seconds{10};
    /// How long `pause` and `resume` wait for their effect.
    duration pause_timeout = std::chrono::seconds{5};
    /// How long to wait for an engine's answer to `POST /rotate-key`.
    duration swap_timeout = std::chrono::seconds{10};
    /// How long to wait for the end of a launch that a crashed orchestrator had begun.
    duration launch_timeout = std::chrono::seconds{5};

    detail::engine_answer_limits answers;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
