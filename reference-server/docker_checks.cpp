#include "docker_checks.hpp"

#include "secrets.hpp"

#include <roundhouse/backend/docker/address.hpp>
#include <roundhouse/backend/docker/image.hpp>
#include <roundhouse/backend/docker/registry_auth.hpp>
#include <roundhouse/backend/docker/tls.hpp>

#include <algorithm>
#include <utility>

namespace roundhouse::server {

namespace docker = roundhouse::detail::docker;

namespace {

bool is_tcp(const engine_options& engine) {
    return engine.docker_host.starts_with(docker::tcp_scheme);
}

result<void> check_daemon(const engine_options& engine) {
    const auto& certificates = engine.docker_certificates_path;
    if (is_tcp(engine) && certificates.empty() && !engine.docker_tls_verify.empty())
        return fail(errc::invalid_request,
                    "DOCKER_TLS_VERIFY: needs DOCKER_CERT_PATH, the folder that has ca.pem, "
                    "cert.pem and key.pem for the daemon");
    docker::tls_credentials_ptr credentials;
    if (is_tcp(engine) && !certificates.empty()) {
        auto loaded = docker::load_tls(certificates);
        if (!loaded)
            return fail(errc::invalid_request, "DOCKER_CERT_PATH: " + loaded.error().message);
        credentials = std::move(*loaded);
    }
    if (const auto read = docker::read_address(engine.docker_host, credentials); !read)
        return fail(errc::invalid_request, "DOCKER_HOST: " + read.error().message);
    return {};
}

} // namespace

result<void> check_docker(const server_options& options) {
    if (auto checked = check_daemon(options.engine); !checked) return checked;
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
    const auto& certificates = options.engine.docker_certificates_path;
    if (!certificates.empty() && !is_tcp(options.engine))
        warnings.push_back("DOCKER_CERT_PATH: is not used, because DOCKER_HOST is a Unix socket");
    else if (!certificates.empty())
        if (const auto warning = warning_of_readers(certificates + "/key.pem"))
            warnings.push_back("DOCKER_CERT_PATH: " + *warning);
    if (!memory_is_chosen)
        warnings.push_back("ORCH_ENGINE_MEMORY_MB: is not set, so that one engine can use up the "
                           "memory of the daemon's host; set a ceiling in MiB, or 0 to go without");
    return warnings;
}

} // namespace roundhouse::server
