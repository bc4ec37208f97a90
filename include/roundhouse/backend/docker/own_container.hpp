#pragma once

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

/// How engines are reached best from here: by their network if this process runs in a container on
/// it, else by ports of the host (SPEC §6, `auto`). Blocks for as long as the daemon takes to
/// answer, at most `call_timeout`; a daemon that does not answer is taken for another host's.
/// Throws std::invalid_argument for an address that cannot be one.
[[nodiscard]] inline docker_advertise find_docker_advertise(const docker_options& options) {
    namespace dk = detail::docker;
    if (!std::filesystem::exists("/.dockerenv")) return docker_advertise::host;
    // Docker calls a container's host by its id, unless it was told another name.
    std::array<char, 256> own{};
    if (::gethostname(own.data(), own.size() - 1) != 0) return docker_advertise::host;
    dk::daemon daemon{dk::parse_host(options.host), options.call_timeout};
    asio::io_context io{1};
    result<detail::http_response> answer = fail(errc::backend_error, "no answer");
    auto asking = daemon.call("GET", "/containers/" + dk::escaped(own.data()) + "/json");
    asio::co_spawn(io, std::move(asking), [&](std::exception_ptr thrown, auto got) {
        if (!thrown) answer = std::move(got);
    });
    io.run();
    if (!answer || answer->status != 200) return docker_advertise::host;
    const auto read = dk::read_json(answer->body);
    simdjson::dom::element network;
    const bool on_it =
        read &&
        (*read)->root.at_pointer("/NetworkSettings/Networks/" + options.network).get(network) ==
            simdjson::SUCCESS;
    return on_it ? docker_advertise::network : docker_advertise::host;
}

} // namespace ROUNDHOUSE_ABI
} // namespace roundhouse
