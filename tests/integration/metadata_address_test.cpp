#include "../../reference-server/metadata_address.hpp"
#include "catch.hpp"
#include "running_server.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

// ROUNDHOUSE_SERVER and ROUNDHOUSE_DEMO_ENGINE are defined only if the programs are built: see
// tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
using roundhouse::server::blocks_metadata_address;
using roundhouse::server::check_metadata_rule;
using roundhouse::server::find_iptables;
using roundhouse::server::metadata_rule;

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

/// A program in place of iptables, which lists these rules, and writes down the rules that it is to
/// add. `adding` are the commands of a shell that it runs then.
class iptables_stand_in {
public:
    explicit iptables_stand_in(const std::string& rules, const std::string& adding = "exit 0",
                               const std::string& listing = "exit 0") {
        std::ofstream{program()} << "#!/bin/sh\n/usr/bin/env >" << folder() << "/environment\n"
                                 << "case \"$*\" in *-I*) echo \"$*\" >>" << folder() << "/added; "
                                 << adding << ";; esac\necho '" << rules << "'\n"
                                 << listing << '\n';
        std::filesystem::permissions(program(), std::filesystem::perms::owner_all);
    }

    [[nodiscard]] std::string folder() const { return folder_.path(); }
    [[nodiscard]] std::string program() const { return folder() + "/iptables"; }
    [[nodiscard]] std::string added() const { return text_of("added"); }
    [[nodiscard]] std::string environment() const { return text_of("environment"); }

private:
    [[nodiscard]] std::string text_of(const std::string& name) const {
        std::ifstream file{folder() + '/' + name};
        return {std::istreambuf_iterator<char>{file}, {}};
    }

    const scratch_folder folder_;
};

constexpr auto no_rule = "-N DOCKER-USER\n-A DOCKER-USER -j RETURN";
constexpr auto a_rule = "-A DOCKER-USER -d 169.254.169.254/32 -j DROP";
constexpr auto the_addition = "-w 5 -I DOCKER-USER -d 169.254.169.254/32 -j DROP\n";

/// What a server on the Docker backend logs until it listens, with this program for iptables.
std::string log_with(const iptables_stand_in& iptables, child_process::environment more = {}) {
    const scratch_folder folder;
    more.insert({{"PATH", iptables.folder() + ":/usr/bin:/bin"},
                 {"ORCH_ENGINE_BACKEND", "docker"},
                 {"DOCKER_HOST", "unix:///no/such/socket"}});
    child_process server(ROUNDHOUSE_SERVER, {}, options(folder.path(), std::move(more)));
    static_cast<void>(server.line_with("\"listening\""));
    server.signal(SIGTERM);
    server.wait();
    return server.output();
}

const auto warned = Catch::Matchers::Contains("keeps engines from 169.254.169.254");

} // namespace

TEST_CASE("a rule for the metadata address is added where there is none") {
    const iptables_stand_in iptables(no_rule);
    const auto outcome = check_metadata_rule(iptables.program(), true);
    CHECK(outcome.rule == metadata_rule::added);
    CHECK(iptables.added() == the_addition);
}

TEST_CASE("a rule for the metadata address that is there is not added again") {
    const iptables_stand_in iptables(a_rule);
    CHECK(check_metadata_rule(iptables.program(), true).rule == metadata_rule::present);
    CHECK(check_metadata_rule(iptables.program(), false).rule == metadata_rule::present);
    CHECK(iptables.added().empty());
}

TEST_CASE("without the right to, no rule for the metadata address is added") {
    const iptables_stand_in iptables(no_rule);
    const auto outcome = check_metadata_rule(iptables.program(), false);
    CHECK(outcome.rule == metadata_rule::missing);
    CHECK(outcome.cause == "DOCKER-USER has no such rule");
    CHECK(iptables.added().empty());
}

TEST_CASE(
    "a rule for the metadata address that cannot be seen or added is missing, with the cause") {
    const auto* const unknown = "iptables: No chain/target/match by that name.";
    const iptables_stand_in no_chain(unknown, "exit 0", "exit 1");
    auto outcome = check_metadata_rule(no_chain.program(), true);
    CHECK(outcome.rule == metadata_rule::missing);
    CHECK(outcome.cause == unknown);
    CHECK(no_chain.added().empty());

    const iptables_stand_in no_right(no_rule,
                                     "echo 'Permission denied (you must be root)' >&2; exit 4");
    outcome = check_metadata_rule(no_right.program(), true);
    CHECK(outcome.rule == metadata_rule::missing);
    CHECK(outcome.cause == "Permission denied (you must be root)");

    const iptables_stand_in killed(no_rule, "kill -9 $$");
    CHECK(check_metadata_rule(killed.program(), true).cause == "iptables exits with 137");

    CHECK(check_metadata_rule("", true).cause == "iptables is not installed");
    outcome = check_metadata_rule("/no/such/iptables", true);
    CHECK(outcome.rule == metadata_rule::missing);
    CHECK(outcome.cause == "/no/such/iptables cannot be run: No such file or directory");
}

TEST_CASE("iptables is looked for in absolute folders only") {
    const iptables_stand_in iptables(no_rule);
    CHECK(find_iptables("/no/such/folder:" + iptables.folder()) == iptables.program());
    CHECK(find_iptables(iptables.folder() + ":/usr/sbin") == iptables.program());
    for (const auto* const path : {"", ":", ".:bin", "/no/such/folder"}) {
        const auto found = find_iptables(path);
        CHECK((found.empty() || found.starts_with("/usr/sbin/") || found.starts_with("/sbin/")));
    }
}

TEST_CASE("a server warns if engines may reach the metadata address") {
    const iptables_stand_in without(no_rule);
    CHECK_THAT(log_with(without, {{"ORCH_ENGINE_METADATA_RULE", "none"}}), warned);
    // Without TLS on TCP the daemon may be a forwarded one.
    CHECK_THAT(log_with(without, {{"DOCKER_HOST", "tcp://127.0.0.1:1"}}), warned);
    CHECK(without.added().empty());
    CHECK_THAT(without.environment(), !Catch::Matchers::Contains("ORCH_"));
    CHECK_THAT(log_with(iptables_stand_in(a_rule)), !warned);
}

TEST_CASE("a server that is root keeps engines from the metadata address") {
    if (::geteuid() != 0) ROUNDHOUSE_SKIP("needs root");
    const iptables_stand_in without(no_rule);
    const auto log = log_with(without);
    CHECK_THAT(log, !warned);
    CHECK_THAT(log, Catch::Matchers::Contains("a rule was added to DOCKER-USER"));
    CHECK(without.added() == the_addition);
}

TEST_CASE("a server that is not root adds no rule for the metadata address") {
    if (::geteuid() == 0) ROUNDHOUSE_SKIP("needs another user than root");
    const iptables_stand_in without(no_rule);
    CHECK_THAT(log_with(without), warned);
    CHECK(without.added().empty());
}

#endif
