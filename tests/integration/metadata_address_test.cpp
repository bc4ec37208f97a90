#include "../../reference-server/metadata_address.hpp"
#include "catch.hpp"
#include "running_server.hpp"

#include <filesystem>
#include <fstream>
#include <string>

// ROUNDHOUSE_SERVER and ROUNDHOUSE_DEMO_ENGINE are defined only if the programs are built: see
// tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
using roundhouse::server::blocks_metadata_address;

TEST_CASE("a rule for the metadata address counts where it comes before the way out") {
    const std::string made = "-N DOCKER-USER\n";
    const std::string rule = "-A DOCKER-USER -d 169.254.169.254/32 -j DROP\n";
    const std::string way_out = "-A DOCKER-USER -j RETURN\n";
    CHECK(blocks_metadata_address(made + rule + way_out));
    CHECK(blocks_metadata_address(made + "-A DOCKER-USER -i eth0 -j RETURN\n" + rule));
    CHECK(blocks_metadata_address(
        "-A DOCKER-USER -d 169.254.0.0/16 -i br-1 -j REJECT --reject-with icmp-port-unreachable"));
    CHECK_FALSE(blocks_metadata_address(""));
    CHECK_FALSE(blocks_metadata_address(made + way_out));
    CHECK_FALSE(blocks_metadata_address(made + way_out + rule));
    CHECK_FALSE(blocks_metadata_address(made + "-A DOCKER-USER -j ACCEPT\n" + rule));
    CHECK_FALSE(blocks_metadata_address("-A DOCKER-USER ! -d 169.254.169.254/32 -j DROP"));
    CHECK_FALSE(blocks_metadata_address("-A DOCKER-USER -s 169.254.169.254/32 -j DROP"));
    CHECK_FALSE(blocks_metadata_address("-A DOCKER-USER -d 169.254.169.254/32 -j RETURN"));
    CHECK_FALSE(blocks_metadata_address("-A DOCKER-USER -d 169.254.169.253/32 -j DROP"));
}

namespace {

/// What a server on the Docker backend logs until it listens, where iptables prints these rules.
std::string log_with(const std::string& rules) {
    const scratch_folder folder;
    const auto iptables = folder.path() + "/iptables";
    std::ofstream{iptables} << "#!/bin/sh\necho '" << rules << "'\n";
    std::filesystem::permissions(iptables, std::filesystem::perms::owner_all);
    child_process server(ROUNDHOUSE_SERVER, {},
                         options(folder.path(), {{"PATH", folder.path() + ":/usr/bin:/bin"},
                                                 {"ORCH_ENGINE_BACKEND", "docker"},
                                                 {"DOCKER_HOST", "unix:///no/such/socket"}}));
    static_cast<void>(server.line_with("\"listening\""));
    server.signal(SIGTERM);
    server.wait();
    return server.output();
}

} // namespace

TEST_CASE("a server warns if engines may reach the metadata address") {
    const auto warned = Catch::Matchers::Contains("keeps engines from 169.254.169.254");
    CHECK_THAT(log_with("-N DOCKER-USER"), warned);
    CHECK_THAT(log_with("-A DOCKER-USER -d 169.254.169.254/32 -j DROP"), !warned);
}

#endif
