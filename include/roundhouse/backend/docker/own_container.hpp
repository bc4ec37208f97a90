#pragma once

#include <roundhouse/backend/docker/address.hpp>
#include <roundhouse/backend/docker/daemon.hpp>
#include <roundhouse/backend/docker/options.hpp>
#include <roundhouse/error.hpp>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <simdjson.h>
#include <unistd.h>

#include <array>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>

namespace roundhouse {
inline namespace ROUNDHOUSE_ABI {

/// The way to reach engines from this process (SPEC §6, `auto`): by their network if the process
/// runs in a container on it, else by ports of the host. Blocks until the daemon has answered, at
/// most for `call_timeout`; the result is `host` if it does not. Throws std::invalid_argument for a
/// malformed address, and for certificates that cannot be used.
[[nodiscard]] inline docker_advertise find_docker_advertise(const docker_options& options) {
    namespace dk = detail::docker;
    if (!std::filesystem::exists("/.dockerenv")) return docker_advertise::host;
    // The host name of a container is its id, unless another was set.
    std::array<char, 256> own{};
    if (::gethostname(own.data(), own.size() - 1) != 0) return docker_advertise::host;
    dk::daemon daemon{dk::daemon_of(options), options.call_timeout};
    asio::io_context io{1};
    result<detail::http_response> answer = fail(errc::backend_error, "no answer");
    auto asking = daemon.call("GET", "/containers/" + dk::escaped(own.data()) + "/json");
    asio::co_spawn(io, std::move(asking), [&](std::exception_ptr thrown, auto outcome) {
        if (!thrown) answer = std::move(outcome);
    });
    io.run();
    if (!answer || answer->status != 200) return docker_advertise::host;
    const auto read = dk::read_json(answer->body);
    simdjson::dom::element network;
    const bool on_network =
        read &&
        (*read)->root.at_pointer("/NetworkSettings/Networks/" + options.network).get(network) ==
            simdjson::SUCCESS;
    return on_network ? docker_advertise::network : docker_advertise::host;
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
