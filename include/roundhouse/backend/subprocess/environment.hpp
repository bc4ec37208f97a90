#pragma once

#include <roundhouse/backend/subprocess/folder.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/backend/subprocess/passed_listener.hpp>
#include <roundhouse/detail/workload_variables.hpp>
#include <roundhouse/types.hpp>
#include <roundhouse/workload.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {
namespace detail::subprocess {

/// The environment of an engine: the variables of SPEC §6, those of its own that have other names,
/// and those of the options that neither has.
[[nodiscard]] inline std::vector<std::string> engine_environment(const subprocess_options& options,
                                                                 const workload& requested,
                                                                 const std::string& folder) {
    auto variables = workload_variables(requested);
    variables.insert(variables.end(), {{"ENGINE_HOST", "127.0.0.1"},
                                       {"ENGINE_PORT", std::to_string(requested.ref.port)},
                                       {"SQLITE_DB_PATH", folder + "/brain.sqlite"},
                                       {"HOME", folder},
                                       {"TMPDIR", folder + '/' + temporary_name}});
    if (options.pass_listener)
        variables.emplace_back("ENGINE_LISTEN_FD", std::to_string(listener_number));
    if (!options.catalog_dir.empty()) variables.emplace_back("CATALOG_DIR", options.catalog_dir);
    variables.insert(variables.end(), requested.env.begin(), requested.env.end());
    variables.insert(variables.end(), options.environment.begin(), options.environment.end());
    std::vector<std::string> environment;
    for (auto at = variables.begin(); at != variables.end(); ++at) {
        const auto same = [at](const auto& earlier) { return earlier.first == at->first; };
        if (std::none_of(variables.begin(), at, same))
            environment.push_back(at->first + '=' + at->second);
    }
    return environment;
}

} // namespace detail::subprocess
} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
