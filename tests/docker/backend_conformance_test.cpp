#include "../catch.hpp"
#include "../demo_engine_count.hpp"
#include "../io_threads.hpp"
#include "docker_fixture.hpp"

#include <roundhouse/backend/docker.hpp>
#include <roundhouse/testing/backend_conformance.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string>

// The two macros are defined only if the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse;
using namespace roundhouse_tests;

namespace {

/// A port that is free at the time of the call.
std::uint16_t free_port() {
    asio::io_context context;
    const asio::ip::tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
    return acceptor.local_endpoint().port();
}

/// The containers and volumes of an installation on the daemon.
std::string objects_of(const std::string& installation_id) {
    const auto filter = "label=dev.roundhouse.instance=" + installation_id;
    return docker({"ps", "--all", "--quiet", "--filter", filter}).output +
           docker({"volume", "ls", "--quiet", "--filter", filter}).output;
}

/// The variables that an engine's container was created with.
named_texts variables_of(const workload_ref& ref) {
    const auto told = docker({"inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}",
                              "engine-" + short_id(ref.engine_id)});
    if (told.code != 0) throw std::runtime_error{told.output};
    named_texts variables;
    std::istringstream lines(told.output);
    for (std::string line; std::getline(lines, line);)
        if (const auto equals = line.find('='); equals != std::string::npos)
            variables.emplace(line.substr(0, equals), line.substr(equals + 1));
    return variables;
}

/// Tests a requirement with the demo engine in containers, and that nothing is left on the daemon.
void run_in_containers(const testing::backend_case<docker_backend>& requirement) {
    std::string network;
    {
        const docker_place place;
        network = place.network();
        io_threads io;
        docker_options options;
        if (const char* const host = std::getenv("DOCKER_HOST")) options.host = host;
        options.network = options.installation_id = network;
        docker_backend tested(io.executor(), options);
        const auto run_docker = [](const std::string& verb, const workload_ref& ref) {
            const auto done = docker({verb, "engine-" + short_id(ref.engine_id)});
            if (done.code != 0) throw std::runtime_error{done.output};
        };
        requirement.run(
            {.tested = tested,
             .executor = io.executor(),
             .version = "roundhouse-test-engine:1",
             .free_port = free_port,
             .crash = [&](const workload_ref& ref) { run_docker("kill", ref); },
             .count =
                 [&](const workload_ref& ref, const std::string& key) {
                     return count_of_demo_engine(io, ref.port, key);
                 },
             .set_paused = [&](const workload_ref& ref,
                               bool paused) { run_docker(paused ? "pause" : "unpause", ref); },
             .environment = variables_of});
        CHECK(objects_of(network).empty());
    }
    CHECK(docker({"network", "inspect", network}).code != 0);
}

} // namespace

TEST_CASE("the Docker backend meets the requirements of the concept") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const auto requirement = GENERATE(from_range(testing::backend_conformance<docker_backend>()));
    // Podman's followed output begins with the first that the engine writes.
    if (on_podman() && requirement.name == std::string("a wait for output can be cancelled"))
        return;
    DYNAMIC_SECTION(requirement.name) { run_in_containers(requirement); }
}

TEST_CASE("the Docker backend keeps the data and the keys of its engines") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const auto requirement = GENERATE(
        from_range(testing::backend_data_conformance<docker_backend>()));
    DYNAMIC_SECTION(requirement.name) { run_in_containers(requirement); }
}

#endif
