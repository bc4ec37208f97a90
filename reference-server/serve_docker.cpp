#include "metadata_address.hpp"
#include "serving.hpp"

#include <roundhouse/backend/docker.hpp>
#include <roundhouse/backend/docker/image.hpp>
#include <roundhouse/backend/docker/own_container.hpp>

#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace roundhouse::server {

namespace {

docker_options options_for(const server_context& context) {
    const auto& engine = context.options.engine;
    docker_options out;
    out.host = engine.docker_host;
    out.certificates_path = engine.docker_certificates_path;
    out.network = engine.network;
    // No other variable of the server's environment reaches a container (SPEC §6).
    out.environment = engine.passed_through();
    out.catalog_path = engine.catalog_path;
    out.repository = detail::docker::repository_of(context.options.settings.default_version);
    out.registries = engine.registries;
    out.registry_auth_file = engine.registry_auth_file;
    out.runtime = engine.runtime;
    out.user = engine.user;
    out.memory_bytes = engine.memory_mb * 1024 * 1024;
    out.cpus = engine.cpus;
    out.pids = engine.pids;
    const auto& relaxed = engine.relaxed;
    out.hardening.drop_capabilities = !relaxed.capabilities;
    out.hardening.no_new_privileges = !relaxed.new_privileges;
    out.hardening.read_only_root = !relaxed.writable_root;
    out.hardening.init = !relaxed.no_init;
    out.hardening.traffic_between_engines = relaxed.traffic;
    out.log = context.log.sink();
    switch (engine.advertise) {
    case advertise::host: out.advertise = docker_advertise::host; break;
    case advertise::network: out.advertise = docker_advertise::network; break;
    case advertise::automatic: out.advertise = find_docker_advertise(out); break;
    }
    return out;
}

/// Keeps containers from the metadata address where that can be done, and warns where it is not.
/// The rules of this machine count for a daemon at a Unix socket or without TLS, which are on it; the
/// latter may be a forwarded one, so nothing is added for it.
void guard_metadata_address(const server_context& context) {
    const auto& engine = context.options.engine;
    const bool on_socket = engine.docker_host.starts_with("unix://");
    const bool may_add = engine.adds_metadata_rule && on_socket && ::geteuid() == 0;
    metadata_outcome found{metadata_rule::missing, "the daemon may be on another machine"};
    if (on_socket || engine.docker_certificates_path.empty()) {
        const auto& variables = engine.environment;
        const auto path = std::ranges::find(variables, "PATH",
                                            &std::pair<std::string, std::string>::first);
        const auto iptables = find_iptables(path == variables.end() ? "" : path->second);
        found = check_metadata_rule(iptables, may_add);
    }
    if (found.rule == metadata_rule::added)
        context.log.write(log_level::info,
                          "a rule was added to DOCKER-USER that keeps containers from "
                          "169.254.169.254, where a cloud hands out the machine's credentials; it "
                          "stays when the server ends");
    if (found.rule == metadata_rule::missing)
        context.log.write(log_level::warning,
                          "no rule can be seen that keeps engines from 169.254.169.254, where a "
                          "cloud hands out the machine's credentials: run `iptables -I DOCKER-USER "
                          "-d 169.254.169.254 -j DROP` on the daemon's machine, at each of its "
                          "starts",
                          {{"reason", found.cause}});
}

} // namespace

int serve_docker(const server_context& context) {
    guard_metadata_address(context);
    try {
        auto options = options_for(context);
        return serve_over(context, [&](const std::string& installation_id) {
            options.installation_id = installation_id;
            return std::make_shared<docker_backend>(context.workers.executor(), std::move(options));
        });
    } catch (const std::invalid_argument& problem) {
        context.log.write(log_level::error, std::string("DOCKER_HOST: ") + problem.what());
        return exit_code::bad_options;
    }
}

} // namespace roundhouse::server
