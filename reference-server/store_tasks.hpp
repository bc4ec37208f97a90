#pragma once

#include "options.hpp"

#include <roundhouse/error.hpp>
#include <roundhouse/log.hpp>

#include <string>

namespace roundhouse::server {

/// The outcome of a task.
struct store_task_report {
    std::string text;     ///< Lines for the standard output.
    bool all_well = true; ///< False if the store has a problem, which the text describes.
};

/// Runs the task that the invocation names on the store on disk: `backup`, `reencrypt` or
/// `verify_store`. A failure's message begins with the name of the variable or flag at fault.
/// Blocks, and logs that a store of an older schema is converted first.
[[nodiscard]] result<store_task_report> run_store_task(const invocation& task, log_sink log);

} // namespace roundhouse::server
