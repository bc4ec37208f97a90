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
#include <stdexcept>
#include <string>

// Without the programs there is nothing to test: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse;
using namespace roundhouse_tests;

namespace {

/// A port that nobody listened on a moment ago.
std::uint16_t free_port() {
    asio::io_context context;
    const asio::ip::tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
    return acceptor.local_endpoint().port();
}

/// What the daemon has of an installation: containers and volumes.
std::string left_of(const std::string& installation_id) {
    const auto filter = "label=dev.roundhouse.instance=" + installation_id;
    return docker({"ps", "--all", "--quiet", "--filter", filter}).said +
           docker({"volume", "ls", "--quiet", "--filter", filter}).said;
}

/// Runs a case on the demo engine in containers. Nothing is left on the daemon.
void run_in_containers(const testing::backend_case<docker_backend>& one) {
    std::string network;
    {
        const docker_place place;
        network = place.network();
        io_threads io;
        docker_options options;
        if (const char* const host = std::getenv("DOCKER_HOST")) options.host = host;
        options.network = options.installation_id = network;
        docker_backend tested(io.executor(), options);
        const auto kill = [](const workload_ref& ref) {
            const auto killed = docker({"kill", "engine-" + short_id(ref.engine_id)});
            if (killed.code != 0) throw std::runtime_error{killed.said};
        };
        one.run({.tested = tested,
                 .executor = io.executor(),
                 .version = "roundhouse-test-engine:1",
                 .free_port = free_port,
                 .crash = kill,
                 .count = [&](const workload_ref& ref, const std::string& key) {
                     return count_of_demo_engine(io, ref.port, key);
                 }});
        CHECK(left_of(network).empty());
    }
    CHECK(docker({"network", "inspect", network}).code != 0);
}

} // namespace

TEST_CASE("the Docker backend conforms: it keeps what every backend promises") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const auto one = GENERATE(from_range(testing::backend_conformance<docker_backend>()));
    DYNAMIC_SECTION(one.name) { run_in_containers(one); }
}

TEST_CASE("the Docker backend conforms: it keeps the data and the keys of its engines") {
    if (!docker_is_ready()) ROUNDHOUSE_SKIP(no_docker);
    const auto one = GENERATE(from_range(testing::backend_data_conformance<docker_backend>()));
    DYNAMIC_SECTION(one.name) { run_in_containers(one); }
}

#endif
