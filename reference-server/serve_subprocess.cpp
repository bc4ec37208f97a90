#include "serving.hpp"

#include <roundhouse/backend/subprocess.hpp>

#include <unistd.h>

namespace roundhouse::server {

int serve_subprocess(const server_context& context) {
    const auto& options = context.options;
    if (::geteuid() == 0)
        context.log.write(log_level::warning,
                          "engines run as root, without isolation: each can read this server's "
                          "keys, its store and the data of all engines; run the server as an "
                          "ordinary user, or engines in containers");
    subprocess_options backend_options;
    backend_options.store_path = options.store_path;
    backend_options.command = options.engine.command;
    backend_options.environment = options.engine.environment;
    backend_options.catalog_dir = options.engine.catalog_path;
    return serve_over(context, [&](const std::string&) {
        return std::make_shared<subprocess_backend>(context.workers.executor(),
                                                    std::move(backend_options));
    });
}

} // namespace roundhouse::server
