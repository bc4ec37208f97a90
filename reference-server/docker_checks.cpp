#include "docker_checks.hpp"

#include "secrets.hpp"

#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/backend/docker/image.hpp>
#include <roundhouse/backend/docker/registry_auth.hpp>

#include <algorithm>

namespace roundhouse::server {

namespace docker = roundhouse::detail::docker;

result<void> check_docker(const server_options& options) {
    if (const auto read = docker::read_address(options.engine.docker_host); !read)
        return fail(errc::invalid_request, "DOCKER_HOST: " + read.error().message);
    if (const auto image = docker::image_of(options.settings.default_version, {}); !image)
        return fail(errc::invalid_request, "ORCH_ENGINE_IMAGE: " + image.error().message);
    const auto& file = options.engine.registry_auth_file;
    if (file.empty()) return {};
    const auto registry = docker::registry_of(options.settings.default_version);
    if (const auto auth = docker::read_registry_auth(file, registry); !auth)
        return fail(errc::invalid_request, "ORCH_REGISTRY_AUTH_FILE: " + auth.error().message);
    return {};
}

std::vector<std::string> docker_warnings(const server_options& options, bool memory_is_chosen) {
    std::vector<std::string> warnings;
    const auto& registries = options.engine.registries;
    const auto& image = options.settings.default_version;
    const auto registry = docker::registry_of(image);
    if (!registries.empty() && !docker::is_digest(image) &&
        std::ranges::find(registries, registry) == registries.end())
        warnings.push_back("ORCH_ENGINE_IMAGE: " + image +
                           " cannot be pulled, because its registry " + registry +
                           " is not in ORCH_ENGINE_REGISTRIES; the daemon must have it already");
    if (const auto warning = warning_of_readers(options.engine.registry_auth_file))
        warnings.push_back("ORCH_REGISTRY_AUTH_FILE: " + *warning);
    if (!memory_is_chosen)
        warnings.push_back("ORCH_ENGINE_MEMORY_MB: is not set, so that one engine can use up the "
                           "memory of the daemon's host; set a ceiling in MiB, or 0 to go without");
    return warnings;
}

} // namespace roundhouse::server
