#include "catch.hpp"
#include "io_threads.hpp"
#include "running_server.hpp"

#include <signal.h>

#include <string>
#include <vector>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;

namespace {

/// How often `part` occurs in `text`.
int count(const std::string& text, const std::string& part) {
    int out = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++out;
    return out;
}

constexpr int ms_per_day = 86'400'000;

/// The time of day of the first audit row, whose timestamp is like "...T12:34:56.789Z".
int ms_of_day(const std::string& rows) {
    const auto text = member(rows, "timestamp");
    const auto number = [&](std::size_t at, std::size_t size) {
        return std::stoi(text.substr(at, size));
    };
    return ((number(11, 2) * 60 + number(14, 2)) * 60 + number(17, 2)) * 1'000 + number(20, 3);
}

std::string audit_rows(running_server& server, const std::string& action) {
    return server.get("/audit?limit=1000&action=" + action);
}

} // namespace

TEST_CASE("40 engines that are killed together all run again after one restart each") {
    const temporary_folder folder;
    running_server server(options(folder.path(), {{"ORCH_BOOT_CONCURRENCY", "4"}}));
    std::vector<std::string> engines;
    std::vector<std::string> keys;
    for (int n = 0; n < 40; ++n) {
        const auto made = server.provision("user-" + std::to_string(n));
        engines.push_back(member(made, "engine_id"));
        keys.push_back(member(made, "api_key"));
        REQUIRE(execute(member(made, "url"), keys.back()) == 200);
    }
    for (const auto& engine : engines) ::kill(process_of(folder, engine), SIGKILL);
    REQUIRE(eventually(
        [&] { return count(audit_rows(server, "auto_restart_success"), "\"id\"") == 40; }));
    CHECK(count(audit_rows(server, "health_failed"), "\"id\"") == 40);
    CHECK(count(audit_rows(server, "auto_restart_start"), "\"id\"") == 40);
    CHECK(member(server.get("/status"), "running") == "40");
    for (std::size_t n = 0; n < engines.size(); ++n) {
        const auto now = server.get("/engines/user-" + std::to_string(n));
        CHECK(member(now, "engine_id") == engines[n]);
        CHECK(execute(member(now, "url"), keys[n]) == 200);
    }
}

TEST_CASE("a pending restart keeps its time when the server is restarted") {
    const temporary_folder folder;
    const auto slow = options(folder.path(), {{"ORCH_RESTART_BACKOFF_BASE_S", "2"}});
    {
        running_server server(slow);
        const auto made = server.provision("ann");
        ::kill(process_of(folder, member(made, "engine_id")), SIGKILL);
        REQUIRE(
            eventually([&] { return count(audit_rows(server, "health_failed"), "\"id\"") == 1; }));
        server.process.signal(SIGKILL);
        server.process.wait();
    }
    running_server server(slow);
    REQUIRE(eventually(
        [&] { return count(audit_rows(server, "auto_restart_success"), "\"id\"") == 1; }));
    CHECK(count(audit_rows(server, "health_failed"), "\"id\"") == 1);
    CHECK(count(audit_rows(server, "auto_restart_start"), "\"attempt\":1") == 1);
    const auto waited = ms_of_day(audit_rows(server, "auto_restart_start")) -
                        ms_of_day(audit_rows(server, "health_failed"));
    CHECK((waited + ms_per_day) % ms_per_day >= 1'800);
}

#endif
