#pragma once

#include "options.hpp"

#include <roundhouse/error.hpp>

#include <string>

namespace roundhouse::server {

/// What came of a task.
struct store_task_report {
    std::string text;     ///< Lines for the standard output.
    bool all_well = true; ///< False if something is wrong with the store, which the text tells.
};

/// Carries out `backup`, `reencrypt` or `verify_store` on the store on disk. A failure's message
/// begins with the name of the variable or flag to look at.
[[nodiscard]] result<store_task_report> run_store_task(const invocation& asked);

} // namespace roundhouse::server
