#pragma once

#include <roundhouse/backend/subprocess.hpp>
#include <roundhouse/backend/subprocess/engine_command.hpp>
#include <roundhouse/fleet.hpp>
#include <roundhouse/store/lmdb.hpp>

#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

struct subprocess_fleet_options : fleet_options {
    /// The program that each engine runs, and its arguments; the program by its path. If
    /// `{engine_version}` stands in it, `settings::versions_need_allowing` is set.
    std::vector<std::string> engine_command;
    /// What engines find in their environment beside their own variables (SPEC §6).
    std::vector<std::pair<std::string, std::string>> environment;
};

/// Opens a fleet of engines that are processes of this machine, kept on disk with LMDB. Blocks until
/// what ran before has been found again. Needs the components `subprocess` and `lmdb`.
[[nodiscard]] inline result<fleet> open_subprocess_fleet(subprocess_fleet_options options) {
    auto threads = std::make_unique<asio::thread_pool>(options.threads);
    subprocess_options engines;
    engines.store_path = options.folder;
    engines.command = std::move(options.engine_command);
    engines.environment = std::move(options.environment);
    engines.log = options.log;
    auto store = lmdb_store::open({.folder = options.folder, .log = options.log});
    if (!store) return unexpected(std::move(store.error()));
    auto chosen = detail::orchestrator_options_of(std::move(options));
    if (!chosen) return unexpected(std::move(chosen.error()));
    if (detail::subprocess::names_version(engines.command))
        chosen->settings.versions_need_allowing = true;
    engines.ports = {.low = chosen->settings.port_min, .high = chosen->settings.port_max};
    for (const auto& [name, value] : engines.environment) chosen->redacted.push_back(value);
    std::shared_ptr<subprocess_backend> backend;
    try {
        backend = std::make_shared<subprocess_backend>(threads->get_executor(), std::move(engines));
    } catch (const std::exception& problem) {
        return fail(errc::invalid_request, problem.what());
    }
    return fleet::open(std::move(threads), std::move(backend), std::move(*store),
                       std::move(*chosen));
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
