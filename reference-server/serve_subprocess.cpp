#include "serving.hpp"

#include <roundhouse/backend/subprocess.hpp>
#include <roundhouse/backend/subprocess/disk.hpp>
#include <roundhouse/backend/subprocess/isolation.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace roundhouse::server {

namespace {

/// Warns of what every engine may read although it should not.
void warn_of_readable(const server_options& options, logger& log) {
    const auto warn = [&log](std::string_view name, const std::string& path) {
        const auto given = detail::subprocess::given_to_all(path);
        if (path.empty() || given.empty()) return;
        log.write(log_level::warning,
                  std::string(name) + ": " + path + " lies in " + given +
                      ", which every engine may read: move it elsewhere, such as "
                      "to /var/lib");
    };
    warn("ORCH_STORE_PATH", options.store_path);
    warn("ORCH_TLS_KEY", options.tls.key);
    for (const auto& [name, path] : options.secret_files) warn(name, path);
}

void tell_isolation(const subprocess_backend& backend, bool is_off, logger& log) {
    const auto parts = backend.isolation();
    const auto has = [&parts](std::string_view part) {
        return std::ranges::find(parts, part) != parts.end();
    };
    std::string names;
    for (const auto& part : parts) names.append(names.empty() ? "" : ",").append(part);
    if (const auto why = backend.why_no_uids(); !why.empty() && ::geteuid() == 0)
        log.write(log_level::warning,
                  "engines run as root, not as users of their own: " + why +
                      ": open what is closed to all users (chmod o+rx), set ORCH_ENGINE_UIDS to "
                      "users that can be had, or to none");
    if (has("landlock") || has("uid"))
        return log.write(log_level::info, "engines are isolated", {{"isolation", names}});
    const auto* const who = ::geteuid() == 0 ? "root" : "this server's user";
    log.write(log_level::warning,
              std::string("engines run as ") + who +
                  ", and nothing keeps them from the store and from each other's data" +
                  (::geteuid() == 0 ? ", nor from this server's keys" : "") +
                  (is_off ? ": set ORCH_ENGINE_ISOLATION=auto, or run engines in containers"
                          : ": use a kernel with Landlock, or run engines in containers"),
              {{"isolation", names}});
}

/// Warns of each ceiling that was asked for and does not hold.
void warn_of_ceilings(const subprocess_backend& backend, const server_options& options,
                      logger& log) {
    const auto& engine = options.engine;
    const auto unheld = backend.unheld_ceilings();
    const bool has_disk = detail::subprocess::disk_of(options.store_path + "/engines") != 0;
    const auto warn = [&](std::string_view member, std::string_view variable,
                          std::string_view controller, std::string_view other_way) {
        if (std::ranges::find(unheld, member) == unheld.end()) return;
        std::string text(variable);
        if (engine.isolation == isolation_mode::none && member == "processes")
            text.append(": does not hold with ORCH_ENGINE_ISOLATION=none: set auto");
        else if (member == "io_bytes_per_s" && !has_disk)
            text.append(": does not hold: ")
                .append(options.store_path)
                .append(" is on a file system that is on no one disk, such as overlayfs, tmpfs, "
                        "btrfs or one of a network: have engines/ on one that is, such as ext4");
        else
            text.append(": does not hold: engines have no control group with the controller ")
                .append(controller)
                .append(", because this server may not make one below its own. With systemd, set "
                        "Delegate=yes and DelegateSubgroup=roundhouse-server in its unit; ")
                .append(other_way)
                .append("or run engines in containers");
        log.write(log_level::warning, text);
    };
    warn("memory_bytes", "ORCH_ENGINE_MEMORY_MB", "memory", "");
    warn("cpus", "ORCH_ENGINE_CPUS", "cpu", "");
    if (engine.pids_given)
        warn("processes", "ORCH_ENGINE_PIDS", "pids",
             "or run it as root, with a user for each engine (ORCH_ENGINE_UIDS); ");
    warn("io_bytes_per_s", "ORCH_ENGINE_IO_MB_S", "io", "");
}

/// A refusal of the backend, with the name of the variable in place of the option's.
std::string by_variable(std::string_view refusal) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 3> names{
        {{"subprocess backend: uids: ", "ORCH_ENGINE_UIDS: "},
         {"subprocess backend: readable: ", "ORCH_ENGINE_READABLE: "},
         {"subprocess backend: isolation: ", "ORCH_ENGINE_ISOLATION: "}}};
    for (const auto& [option, variable] : names)
        if (refusal.starts_with(option))
            return std::string(variable).append(refusal.substr(option.size()));
    return std::string(refusal);
}

} // namespace

int serve_subprocess(const server_context& context) {
    const auto& options = context.options;
    subprocess_options backend_options;
    backend_options.store_path = options.store_path;
    backend_options.command = options.engine.command;
    backend_options.environment = options.engine.environment;
    backend_options.pass_listener = options.engine.pass_listener;
    backend_options.catalog_dir = options.engine.catalog_path;
    backend_options.isolation = options.engine.isolation;
    backend_options.readable = options.engine.readable;
    backend_options.file_bytes = options.engine.file_mb * 1024 * 1024;
    backend_options.uids = options.engine.uids;
    backend_options.processes = static_cast<std::uint32_t>(options.engine.pids);
    backend_options.memory_bytes = options.engine.memory_mb * 1024 * 1024;
    backend_options.cpus = options.engine.cpus;
    backend_options.io_bytes_per_s = options.engine.io_mb_s * 1024 * 1024;
    backend_options.ports = {.low = options.settings.port_min, .high = options.settings.port_max};
    backend_options.ends_orphans = true; // the server has no other children
    backend_options.limits = context.limits;
    backend_options.log = context.log.sink();
    try {
        return serve_over(context, [&](const std::string&) {
            auto backend = std::make_shared<subprocess_backend>(context.workers.executor(),
                                                                std::move(backend_options));
            tell_isolation(*backend, options.engine.isolation == isolation_mode::none, context.log);
            if (options.engine.isolation != isolation_mode::none)
                warn_of_readable(options, context.log);
            warn_of_ceilings(*backend, options, context.log);
            return backend;
        });
    } catch (const std::invalid_argument& refused) {
        context.log.write(log_level::error, by_variable(refused.what()));
        return exit_code::bad_options;
    }
}

} // namespace roundhouse::server
