#include "catch.hpp"
#include "running_server.hpp"

#include <roundhouse/backend/subprocess/identity.hpp>
#include <roundhouse/backend/subprocess/process.hpp>

#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

// Without the programs there is nothing to test: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
namespace sub = roundhouse::detail::subprocess;

namespace {

/// No probe and no new sleep comes between two looks at the fleet.
child_process::environment still(const std::string& folder, child_process::environment more = {}) {
    more.insert({"ORCH_HEALTH_CHECK_INTERVAL_S", "2678400"});
    return options(folder, std::move(more));
}

std::vector<std::string> users(const std::string& prefix, int count) {
    std::vector<std::string> out;
    for (int n = 0; n < count; ++n) out.push_back(prefix + std::to_string(n));
    return out;
}

std::string engine(running_server& server, const std::string& user) {
    return server.get("/engines/" + user);
}

/// The process that runs a user's engine, as its folder tells.
pid_t process_of(const scratch_folder& folder, running_server& server, const std::string& user) {
    const auto id = member(engine(server, user), "engine_id");
    const auto found = sub::read_identity(folder.path() + "/store/engines/" + id);
    REQUIRE(found);
    REQUIRE(*found);
    return (*found)->pid;
}

/// The state letter of /proc/<pid>/stat; a dot if the process is gone.
char state_of(pid_t pid) {
    const auto stat = sub::read_process_stat(pid);
    return stat ? stat->state : '.';
}

void provision(running_server& server, const std::string& user) {
    server.post("/engines/provision", R"({"user_id":")" + user + "\"}");
}

bool becomes(running_server& server, const std::string& user, const std::string& status) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < until) {
        if (member(engine(server, user), "status") == status) return true;
        std::this_thread::yield();
    }
    return false;
}

void kill_at_once(running_server& server) {
    server.process.signal(SIGKILL);
    REQUIRE(server.process.wait() == -SIGKILL);
}

/// What the API shows of users, and the processes of their engines.
struct sight {
    std::vector<std::string> engines;
    std::vector<pid_t> processes;
    std::string metrics;
};

sight look(const scratch_folder& folder, running_server& server,
           const std::vector<std::string>& whom) {
    sight out;
    for (const auto& user : whom) {
        out.engines.push_back(engine(server, user));
        out.processes.push_back(process_of(folder, server, user));
    }
    out.metrics = server.get("/metrics");
    return out;
}

} // namespace

TEST_CASE("a server that was killed finds its engines again, with the same processes, keys and "
          "counters") {
    const scratch_folder folder;
    const auto fleet = users("user-", 12);
    sight before;
    {
        running_server server(still(folder.path()));
        for (const auto& user : fleet) provision(server, user);
        server.post("/engines/user-0/rotate-key");
        provision(server, "gone");
        REQUIRE(server.client.Delete("/engines/gone")->status == 200);
        before = look(folder, server, fleet);
        kill_at_once(server);
    }
    for (const auto pid : before.processes) CHECK(state_of(pid) != '.');

    running_server server(still(folder.path()));
    const auto after = look(folder, server, fleet);
    CHECK(after.engines == before.engines);
    CHECK(after.processes == before.processes);
    CHECK(after.metrics == before.metrics);
    CHECK(member(after.metrics, "total_provisions") == "13");
    CHECK(member(after.metrics, "total_destroys") == "1");
    CHECK(member(server.get("/status"), "running") == "12");
    for (const auto& record : after.engines)
        CHECK(execute(member(record, "url"), member(record, "api_key")) == 200);
}

TEST_CASE("engines that slept when the server was killed sleep on, and wake when they are wanted") {
    const scratch_folder folder;
    const auto fleet = users("sleeper-", 3);
    sight before;
    {
        running_server server(still(folder.path(), {{"ORCH_SLEEP_AFTER_S", "0.05"}}));
        for (const auto& user : fleet) provision(server, user);
        for (const auto& user : fleet) REQUIRE(becomes(server, user, "sleeping"));
        before = look(folder, server, fleet);
        kill_at_once(server);
    }
    running_server server(still(folder.path()));
    const auto after = look(folder, server, fleet);
    CHECK(after.engines == before.engines);
    CHECK(after.processes == before.processes);
    for (const auto pid : after.processes) CHECK(state_of(pid) == 'T');

    const auto woken = server.post("/engines/sleeper-0/admit", R"({"auto_wake":true})");
    CHECK(member(woken, "admitted") == "true");
    CHECK(process_of(folder, server, "sleeper-0") == before.processes[0]);
    CHECK(execute(member(woken, "url"), member(woken, "api_key")) == 200);
    CHECK(state_of(before.processes[1]) == 'T');
}

TEST_CASE("engines that were stopped with the server boot again at the next start, as no crash") {
    const scratch_folder folder;
    const auto fleet = users("user-", 3);
    std::vector<std::string> keys;
    {
        running_server server(still(folder.path()));
        for (const auto& user : fleet) {
            provision(server, user);
            keys.push_back(member(engine(server, user), "api_key"));
        }
        server.post("/engines/user-2/stop");
        server.process.signal(SIGTERM);
        REQUIRE(server.process.wait() == 0);
    }
    running_server server(still(folder.path()));
    CHECK(becomes(server, "user-0", "running"));
    CHECK(becomes(server, "user-1", "running"));
    CHECK(member(engine(server, "user-2"), "status") == "stopped");
    for (std::size_t n = 0; n < fleet.size(); ++n)
        CHECK(member(engine(server, fleet[n]), "api_key") == keys[n]);
    CHECK(member(server.get("/metrics"), "crashes_1h") == "0");
}

TEST_CASE("engines that were kept at an orderly exit are found again at the next start") {
    const scratch_folder folder;
    const auto fleet = users("user-", 3);
    const auto keeping = still(folder.path(), {{"ORCH_SUBPROCESS_ON_EXIT", "keep"}});
    sight before;
    {
        running_server server(keeping);
        for (const auto& user : fleet) provision(server, user);
        before = look(folder, server, fleet);
        server.process.signal(SIGTERM);
        REQUIRE(server.process.wait() == 0);
    }
    running_server server(still(folder.path()));
    const auto after = look(folder, server, fleet);
    CHECK(after.engines == before.engines);
    CHECK(after.processes == before.processes);
    CHECK(after.metrics == before.metrics);
}

#endif
