#include "../demo_engine_count.hpp"
#include "../installed_versions.hpp"
#include "../io_threads.hpp"
#include "catch.hpp"
#include "running_server.hpp"

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <future>
#include <map>
#include <string>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
using Catch::Matchers::Contains;

namespace {

/// The demo engine, of which the version `bad` exits at once.
std::map<std::string, std::string> command_of_versions() {
    return {{"ORCH_ENGINE_COMMAND",
             R"(/bin/sh -c '[ "$ENGINE_VERSION" != bad ] || exit 3; exec "$0"' )" +
                 std::string(ROUNDHOUSE_DEMO_ENGINE)}};
}

std::uint64_t count_of(io_threads& io, const std::string& engine) {
    const auto url = member(engine, "url");
    const auto port = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
    const auto count = count_of_demo_engine(io, port, member(engine, "api_key"));
    REQUIRE(count);
    return *count;
}

std::string upgrade_to(const std::string& version) {
    return R"({"engine_version":")" + version + R"(","healthy_for_s":0.2})";
}

} // namespace

TEST_CASE("an engine runs another version on its data, with its port and key") {
    const temporary_folder folder;
    io_threads io(1);
    running_server server(options(folder.path(), command_of_versions()));
    const auto made = server.provision("ada");
    CHECK(count_of(io, made) == 1);
    const auto upgraded = server.post("/engines/ada/upgrade", upgrade_to("good"));
    CHECK(member(upgraded, "engine_version") == "good");
    CHECK(member(upgraded, "url") == member(made, "url"));
    CHECK(member(upgraded, "api_key") == member(made, "api_key"));
    CHECK_THAT(upgraded, Contains(R"("settings_revision":2,"pending":[],"upgrade":null)"));
    CHECK(count_of(io, upgraded) == 2);
    CHECK_THAT(server.get("/audit?action=upgrade"), Contains(R"("to_version":"good")"));
}

TEST_CASE("an engine whose new version exits has its old one and its data again") {
    const temporary_folder folder;
    io_threads io(1);
    running_server server(options(folder.path(), command_of_versions()));
    const auto made = server.provision("ada");
    CHECK(count_of(io, made) == 1);
    auto admit = std::async(std::launch::async, [&] {
        httplib::Client client("http://" + server.address);
        client.set_default_headers({{"X-Platform-Key", platform_key}});
        std::size_t denied = 0;
        for (int n = 0; n < 20; ++n) {
            const auto reply = client.Post("/engines/ada/admit", "{}", "application/json");
            if (!reply || reply->status != 200 ||
                reply->body.find(R"("admitted":true)") == std::string::npos)
                ++denied;
        }
        return denied;
    });
    const auto failed = server.post("/engines/ada/upgrade", upgrade_to("bad"), 502);
    CHECK_THAT(failed, Contains("UPGRADE_FAILED") &&
                           Contains(R"("cause":"exited","exit_code":3)") &&
                           Contains(R"("reverted":true)"));
    CHECK(admit.get() == 0);
    const auto now = server.get("/engines/ada");
    CHECK(member(now, "status") == "running");
    CHECK(member(now, "engine_version") == member(made, "engine_version"));
    CHECK(count_of(io, now) == 2);
    CHECK_THAT(server.get("/audit?action=upgrade_reverted"), Contains(R"("to_version":"bad")"));
}

TEST_CASE(
    "an engine is upgraded to the program that its version names, and back from one that exits") {
    const temporary_folder folder;
    io_threads io(1);
    const installed_versions versions(folder.path(), ROUNDHOUSE_DEMO_ENGINE);
    running_server server(options(folder.path(), versions.variables()));
    const auto made = server.provision("ada");
    const auto engine_id = member(made, "engine_id");
    const auto program = [&] {
        return std::filesystem::read_symlink(
            "/proc/" + std::to_string(process_of(folder, engine_id)) + "/exe");
    };
    CHECK(member(made, "engine_version") == versions.first);
    CHECK(program() == versions.program_of(versions.first));
    CHECK(count_of(io, made) == 1);

    const auto upgraded = server.post("/engines/ada/upgrade", upgrade_to(versions.second));
    CHECK(member(upgraded, "engine_id") == engine_id);
    CHECK(member(upgraded, "engine_version") == versions.second);
    CHECK(program() == versions.program_of(versions.second));
    CHECK(count_of(io, upgraded) == 2);

    const auto failed = server.post("/engines/ada/upgrade", upgrade_to(versions.bad), 502);
    CHECK_THAT(failed, Contains("UPGRADE_FAILED") &&
                           Contains(R"("cause":"exited","exit_code":3)") &&
                           Contains(R"("reverted":true)"));
    const auto now = server.get("/engines/ada");
    CHECK(member(now, "status") == "running");
    CHECK(member(now, "engine_version") == versions.second);
    CHECK(member(now, "upgrade") == "null");
    CHECK(program() == versions.program_of(versions.second));
    CHECK(count_of(io, now) == 3);

    CHECK_THAT(server.post("/engines/ada/upgrade", upgrade_to("unlisted"), 403),
               Contains("POLICY_DENIED"));
    CHECK(program() == versions.program_of(versions.second));
}

TEST_CASE("a server that is killed while it upgrades ends on one of the two versions") {
    for (const auto* const step : {"copy", "boot", "watch"}) {
        INFO(step);
        // Each step has a fleet of its own: in the log of an earlier one's server the engine boots too.
        const temporary_folder folder;
        const auto chosen = options(folder.path(), command_of_versions());
        running_server server(chosen);
        const auto made = server.post("/engines/ada/admit", R"({"auto_provision":true})");
        REQUIRE(member(made, "admitted") == "true");
        auto under_way = std::async(std::launch::async, [&] {
            httplib::Client client("http://" + server.address);
            client.set_default_headers({{"X-Platform-Key", platform_key}});
            (void)client.Post("/engines/ada/upgrade", upgrade_to(std::string("after-") + step),
                              "application/json");
        });
        server.process.line_with(R"("intent":")" + std::string(step) + '"');
        server.process.signal(SIGKILL);
        REQUIRE(server.process.wait() == -SIGKILL);
        under_way.get();
        running_server next(chosen);
        CHECK(eventually([&] {
            const auto now = next.get("/engines/ada");
            return member(now, "status") == "running" && member(now, "upgrade") == "null" &&
                   member(now, "engine_version") == std::string("after-") + step;
        }));
    }
}

#endif
