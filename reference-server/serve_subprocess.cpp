#include "serving.hpp"

#include <roundhouse/backend/subprocess.hpp>
#include <roundhouse/backend/subprocess/landlock.hpp>

#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

namespace roundhouse::server {

namespace {

void tell_isolation(const std::vector<std::string>& parts, logger& log) {
    std::string names;
    for (const auto& part : parts) names.append(names.empty() ? "" : ",").append(part);
    if (std::ranges::find(parts, "landlock") != parts.end())
        return log.write(log_level::info, "engines are isolated", {{"isolation", names}});
    const auto* const who = ::geteuid() == 0 ? "root" : "this server's user";
    log.write(log_level::warning,
              std::string("engines run as ") + who +
                  ", and nothing keeps them from the store and from each other's data" +
                  (::geteuid() == 0 ? ", nor from this server's keys" : "") +
                  ": use a kernel with Landlock, or run engines in containers",
              {{"isolation", names}});
}

} // namespace

int serve_subprocess(const server_context& context) {
    const auto& options = context.options;
    if (options.engine.isolation == isolation_mode::required &&
        detail::subprocess::landlock_version() == 0) {
        context.log.write(
            log_level::error,
            "ORCH_ENGINE_ISOLATION: this kernel has no Landlock, or it is switched off "
            "(the kernel's parameter lsm= has to name landlock): enable it, or do not "
            "require isolation");
        return exit_code::bad_options;
    }
    subprocess_options backend_options;
    backend_options.store_path = options.store_path;
    backend_options.command = options.engine.command;
    backend_options.environment = options.engine.environment;
    backend_options.catalog_dir = options.engine.catalog_path;
    backend_options.isolation = options.engine.isolation;
    backend_options.readable = options.engine.readable;
    backend_options.file_bytes = options.engine.file_mb * 1024 * 1024;
    return serve_over(context, [&](const std::string&) {
        auto backend = std::make_shared<subprocess_backend>(context.workers.executor(),
                                                            std::move(backend_options));
        tell_isolation(backend->isolation(), context.log);
        return backend;
    });
}

} // namespace roundhouse::server
