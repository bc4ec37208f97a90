#include "serving.hpp"

#include <roundhouse/backend/subprocess.hpp>

namespace roundhouse::server {

int serve_subprocess(const surroundings& around) {
    const auto& options = around.options;
    subprocess_options what;
    what.store_path = options.store_path;
    what.command = options.engine.command;
    what.environment = options.engine.environment;
    what.catalog_dir = options.engine.catalog_path;
    return serve_over(around, [&](const std::string&) {
        return std::make_shared<subprocess_backend>(around.workers.executor(), std::move(what));
    });
}

} // namespace roundhouse::server
