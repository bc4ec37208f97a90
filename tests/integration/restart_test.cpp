#include "catch.hpp"
#include "io_threads.hpp"
#include "running_server.hpp"

#include <roundhouse/backend/subprocess/process.hpp>

#include <regex>
#include <string>
#include <utility>
#include <vector>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
namespace sub = roundhouse::detail::subprocess;

namespace {

/// Options under which no probe and no new sleep changes the fleet between two snapshots.
child_process::environment without_probes(const temporary_folder& folder,
                                          child_process::environment more = {}) {
    more.insert({"ORCH_HEALTH_CHECK_INTERVAL_S", "2678400"});
    return options(folder.path(), std::move(more));
}

std::vector<std::string> users(const std::string& prefix, int count) {
    std::vector<std::string> out;
    for (int n = 0; n < count; ++n) out.push_back(prefix + std::to_string(n));
    return out;
}

std::string engine(running_server& server, const std::string& user) {
    return server.get("/engines/" + user);
}

/// The process of a user's engine.
pid_t process_of(const temporary_folder& folder, running_server& server, const std::string& user) {
    return process_of(folder, member(engine(server, user), "engine_id"));
}

/// The state letter of /proc/<pid>/stat; a dot if the process is gone.
char state_of(pid_t pid) {
    const auto stat = sub::read_process_stat(pid);
    return stat ? stat->state : '.';
}

bool becomes(running_server& server, const std::string& user, const std::string& status) {
    return eventually([&] { return member(engine(server, user), "status") == status; });
}

void kill_server(running_server& server) {
    server.process.signal(SIGKILL);
    REQUIRE(server.process.wait() == -SIGKILL);
}

/// What the API shows of a fleet, and the processes of its engines.
struct snapshot {
    std::vector<std::string> engines;
    std::vector<pid_t> processes;
    std::string metrics;
};

snapshot take_snapshot(const temporary_folder& folder, running_server& server,
                       const std::vector<std::string>& user_ids) {
    snapshot out;
    // A time between two readings of the clocks, which differs by a millisecond where they are read anew.
    const std::regex sleeps_at(R"("sleeps_at":"[^"]*")");
    for (const auto& user : user_ids) {
        out.engines.push_back(std::regex_replace(engine(server, user), sleeps_at, ""));
        out.processes.push_back(process_of(folder, server, user));
    }
    out.metrics = server.get("/metrics");
    return out;
}

} // namespace

TEST_CASE(
    "a server that was killed finds its engines again with the same processes, keys and counters") {
    const temporary_folder folder;
    const auto fleet = users("user-", 12);
    snapshot before;
    {
        running_server server(without_probes(folder));
        for (const auto& user : fleet) server.provision(user);
        server.post("/engines/user-0/rotate-key");
        server.provision("gone");
        REQUIRE(server.client.Delete("/engines/gone")->status == 200);
        before = take_snapshot(folder, server, fleet);
        kill_server(server);
    }
    for (const auto pid : before.processes) CHECK(state_of(pid) != '.');

    running_server server(without_probes(folder));
    const auto after = take_snapshot(folder, server, fleet);
    CHECK(after.engines == before.engines);
    CHECK(after.processes == before.processes);
    CHECK(after.metrics == before.metrics);
    CHECK(member(after.metrics, "total_provisions") == "13");
    CHECK(member(after.metrics, "total_destroys") == "1");
    CHECK(member(server.get("/status"), "running") == "12");
    for (const auto& record : after.engines)
        CHECK(execute(member(record, "url"), member(record, "api_key")) == 200);
}

TEST_CASE("engines asleep when the server was killed stay asleep until an admit wakes them") {
    const temporary_folder folder;
    const auto fleet = users("sleeper-", 3);
    snapshot before;
    {
        running_server server(without_probes(folder, {{"ORCH_SLEEP_AFTER_S", "0.05"}}));
        for (const auto& user : fleet) server.provision(user);
        for (const auto& user : fleet) REQUIRE(becomes(server, user, "sleeping"));
        // The next server has another time, which they would show.
        for (const auto& user : fleet)
            server.patch("/engines/" + user, R"({"sleep":{"after_s":1800}})");
        before = take_snapshot(folder, server, fleet);
        kill_server(server);
    }
    running_server server(without_probes(folder));
    const auto after = take_snapshot(folder, server, fleet);
    CHECK(after.engines == before.engines);
    CHECK(after.processes == before.processes);
    for (const auto pid : after.processes) CHECK(state_of(pid) == 'T');

    const auto woken = server.post("/engines/sleeper-0/admit", R"({"auto_wake":true})");
    CHECK(member(woken, "admitted") == "true");
    CHECK(process_of(folder, server, "sleeper-0") == before.processes[0]);
    CHECK(execute(member(woken, "url"), member(woken, "api_key")) == 200);
    CHECK(state_of(before.processes[1]) == 'T');
}

TEST_CASE("engines stopped with the server boot again at the next start, which is no crash") {
    const temporary_folder folder;
    const auto fleet = users("user-", 3);
    std::vector<std::string> keys;
    {
        running_server server(without_probes(folder));
        for (const auto& user : fleet) {
            server.provision(user);
            keys.push_back(member(engine(server, user), "api_key"));
        }
        server.post("/engines/user-2/stop");
        server.process.signal(SIGTERM);
        REQUIRE(server.process.wait() == 0);
    }
    running_server server(without_probes(folder));
    CHECK(becomes(server, "user-0", "running"));
    CHECK(becomes(server, "user-1", "running"));
    CHECK(member(engine(server, "user-2"), "status") == "stopped");
    for (std::size_t n = 0; n < fleet.size(); ++n)
        CHECK(member(engine(server, fleet[n]), "api_key") == keys[n]);
    CHECK(member(server.get("/metrics"), "crashes_1h") == "0");
}

TEST_CASE("engines kept at an orderly exit are found again at the next start") {
    const temporary_folder folder;
    const auto fleet = users("user-", 3);
    const auto keeping = without_probes(folder, {{"ORCH_SUBPROCESS_ON_EXIT", "keep"}});
    snapshot before;
    {
        running_server server(keeping);
        for (const auto& user : fleet) server.provision(user);
        before = take_snapshot(folder, server, fleet);
        server.process.signal(SIGTERM);
        REQUIRE(server.process.wait() == 0);
    }
    running_server server(without_probes(folder));
    const auto after = take_snapshot(folder, server, fleet);
    CHECK(after.engines == before.engines);
    CHECK(after.processes == before.processes);
    CHECK(after.metrics == before.metrics);
}

#endif
