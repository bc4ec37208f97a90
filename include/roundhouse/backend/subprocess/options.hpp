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

/// What `subprocess_backend` runs, and the bounds it keeps.
struct subprocess_options {
    /// Engines live in `<store_path>/engines/<engine_id>/`. Made absolute, and made if missing.
    std::filesystem::path store_path;
    /// Program and arguments, run without a shell. A program without a slash is looked up, at each
    /// start, on the PATH in `environment`; one with a slash is relative to the working folder that
    /// the backend is made in.
    std::vector<std::string> command;
    /// Given to every engine beside its own variables, which win over these. Nothing else of this
    /// process's environment reaches an engine: put PATH, LANG, TZ and what is to be passed through
    /// in here.
    std::vector<std::pair<std::string, std::string>> environment;
    /// `CATALOG_DIR` of every engine; empty for none.
    std::string catalog_dir;

    /// An engine's `engine.log` that has outgrown this is kept as `engine.log.1`, cut to this size,
    /// and begun again.
    std::uint64_t log_limit_bytes = std::uint64_t{10} * 1024 * 1024;
    /// How often the sizes are looked at. What an engine writes in between goes beyond the limit.
    duration log_check_interval = std::chrono::seconds{1};
    /// `logs` never returns more than this.
    std::size_t log_tail_bytes = std::size_t{1024} * 1024;

    /// Between SIGTERM and SIGKILL, where the caller cannot name a grace: `destroy`, and `create`
    /// over an older generation.
    duration short_grace = std::chrono::seconds{2};
    /// Processes that are still there this long after SIGKILL (in uninterruptible sleep) are a
    /// failure that names them.
    duration kill_timeout = std::chrono::seconds{10};
    /// By when `pause` and `resume` must have taken effect.
    duration pause_timeout = std::chrono::seconds{5};
    /// By when an engine must have answered `POST /rotate-key`.
    duration swap_timeout = std::chrono::seconds{10};
    /// A start that an orchestrator before this one had begun when it died must have ended by then.
    duration launch_timeout = std::chrono::seconds{5};

    detail::engine_answer_limits answers;
};

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
