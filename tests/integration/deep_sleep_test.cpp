#include "../demo_engine_count.hpp"
#include "../io_threads.hpp"
#include "catch.hpp"
#include "running_server.hpp"

#include <csignal>
#include <cstdint>
#include <future>
#include <string>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

const std::string without_workload = R"({"mode":"stopped"})";

std::uint16_t port_of(const std::string& url) {
    return static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
}

/// How often an engine has executed something, this time included: what its data tells.
std::uint64_t count_of(io_threads& io, const std::string& engine) {
    const auto count = count_of_demo_engine(io, port_of(member(engine, "url")),
                                            member(engine, "api_key"));
    REQUIRE(count);
    return *count;
}

bool exists(pid_t process) { return ::kill(process, 0) == 0; }

} // namespace

TEST_CASE("an engine that sleeps without a workload has no process, and wakes as it was") {
    const temporary_folder folder;
    io_threads io(1);
    running_server server(options(folder.path()));
    const auto made = server.provision("ada");
    CHECK(count_of(io, made) == 1);
    const auto process = process_of(folder, member(made, "engine_id"));
    const auto asleep = server.post("/engines/ada/sleep", without_workload);
    CHECK(member(asleep, "status") == "sleeping");
    CHECK(member(asleep, "sleep_mode") == "stopped");
    CHECK_THAT(asleep, !Contains("api_key"));
    CHECK_FALSE(exists(process));
    CHECK_FALSE(answers(member(made, "url")));
    const auto woken = server.post("/engines/ada/wake");
    CHECK(member(woken, "url") == member(made, "url"));
    CHECK(member(woken, "api_key") == member(made, "api_key"));
    CHECK(member(woken, "sleep_mode") == "null");
    CHECK(count_of(io, woken) == 2);
    server.post("/engines/ada/wake", "{}", 409);
}

TEST_CASE("an engine that nobody uses is paused, then ended, and an admit boots it") {
    const temporary_folder folder;
    io_threads io(1);
    running_server server(options(folder.path(), {{"ORCH_SLEEP_AFTER_S", "0.05"},
                                                  {"ORCH_DEEP_SLEEP_AFTER_S", "0.05"},
                                                  {"ORCH_HEALTH_CHECK_INTERVAL_S", "0.05"}}));
    const auto made = server.provision("ada");
    const auto process = process_of(folder, member(made, "engine_id"));
    CHECK(
        eventually([&] { return member(server.get("/engines/ada"), "sleep_mode") == "stopped"; }));
    CHECK_FALSE(exists(process));
    CHECK_THAT(server.get("/audit?action=sleep"), Contains(R"("mode":"stopped")"));
    const auto admitted = server.post("/engines/ada/admit", R"({"auto_wake":true})");
    CHECK(member(admitted, "admitted") == "true");
    CHECK(member(admitted, "url") == member(made, "url"));
}

TEST_CASE("an engine with a lease is busy, and one that was paused by a call is ended by another") {
    const temporary_folder folder;
    running_server server(options(folder.path()));
    const auto made = server.provision("ada");
    const auto process = process_of(folder, member(made, "engine_id"));
    server.post("/engines/ada/activity", R"({"busy_for_s":600})");
    CHECK_THAT(server.post("/engines/ada/sleep", without_workload, 409), Contains("ENGINE_BUSY"));
    CHECK(exists(process));
    const auto other = process_of(folder, member(server.provision("bob"), "engine_id"));
    CHECK(member(server.post("/engines/bob/sleep"), "sleep_mode") == "paused");
    CHECK(exists(other));
    server.post("/engines/bob/sleep", without_workload);
    CHECK_FALSE(exists(other));
}

TEST_CASE("a server that is killed while it ends a workload settles, with the engine's data") {
    const temporary_folder folder;
    io_threads io(1);
    std::string made;
    for (std::uint64_t round = 1; round <= 6; ++round) {
        INFO("round " << round);
        running_server server(options(folder.path()));
        if (round == 1) made = server.provision("ada");
        const auto admitted = server.post("/engines/ada/admit", R"({"auto_wake":true})");
        REQUIRE(member(admitted, "admitted") == "true");
        CHECK(member(admitted, "engine_id") == member(made, "engine_id"));
        CHECK(member(admitted, "api_key") == member(made, "api_key"));
        CHECK(count_of(io, admitted) == round);
        const auto call = [&](const char* verb, const std::string& body) {
            httplib::Client client("http://" + server.address);
            client.set_default_headers({{"X-Platform-Key", platform_key}});
            (void)client.Post(std::string("/engines/ada/") + verb, body, "application/json");
        };
        // Killed at whatever step it has come to: in later rounds in a wake from deep sleep.
        if (round % 2 == 0) server.post("/engines/ada/sleep", without_workload);
        auto under_way = std::async(std::launch::async, call, round % 2 == 0 ? "wake" : "sleep",
                                    round % 2 == 0 ? std::string("{}") : without_workload);
        server.process.line_with(round % 2 == 0 ? R"("intent":"boot")" : R"("intent":"sleep")");
        server.process.signal(SIGKILL);
        REQUIRE(server.process.wait() == -SIGKILL);
        under_way.get();
    }
    running_server server(options(folder.path()));
    CHECK(eventually([&] {
        const auto status = member(server.get("/engines/ada"), "status");
        return status == "running" || status == "sleeping";
    }));
}

#endif
