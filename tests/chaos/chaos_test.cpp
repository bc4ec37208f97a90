#include "../catch.hpp"
#include "../integration/running_server.hpp"
#include "../number_from_environment.hpp"
#include "../temporary_folder.hpp"
#include "chaos_users.hpp"
#include "fleet_inspector.hpp"
#include "killable_server.hpp"
#include "small_disk.hpp"

#include <roundhouse/settings.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
using namespace std::chrono_literals;

namespace {

child_process::environment server_environment(const std::string& folder) {
    return options(folder, {{"ORCH_HEALTH_CHECK_INTERVAL_S", "0.5"},
                            {"ORCH_HEALTH_CHECK_TIMEOUT_S", "0.5"},
                            {"ORCH_HEALTH_MAX_FAILURES", "2"},
                            {"ORCH_BRAKE_MAX_S", "2"},
                            {"ORCH_BOOT_TIMEOUT_S", "5"},
                            {"ORCH_STOP_GRACE_S", "1"},
                            {"ORCH_RESTART_BACKOFF_MAX_S", "1"},
                            {"ORCH_RESTART_MAX_ATTEMPTS", "1000"},
                            {"ORCH_SLEEP_AFTER_S", "1"},
                            {"ORCH_DEEP_SLEEP_AFTER_S", "1"},
                            {"ORCH_LOG_LEVEL", "info"}});
}

/// Calls a function again and again on a thread of its own.
class looping_thread {
public:
    template <class Function>
    explicit looping_thread(Function function)
        : thread_([function = std::move(function)](const std::stop_token& end) mutable {
              while (!end.stop_requested()) function();
          }) {}
    void end() {
        thread_.request_stop();
        thread_.join();
    }

private:
    std::jthread thread_;
};

/// Waits until the fleet has been at rest for a while; returns why it is not if that takes longer
/// than `longest`.
std::optional<std::string> unrest_after(const fleet_inspector& inspector,
                                        std::chrono::seconds longest) {
    roundhouse::settings settings;
    settings.restart_max_attempts = 1000;
    const auto give_up = std::chrono::steady_clock::now() + longest;
    auto at_rest_since = std::chrono::steady_clock::now();
    for (;;) {
        const auto unrest = inspector.unrest(settings);
        const auto now = std::chrono::steady_clock::now();
        if (unrest) at_rest_since = now;
        if (now - at_rest_since > 3s) return std::nullopt;
        if (now > give_up) return unrest.value_or("it is never at rest for long");
        std::this_thread::sleep_for(100ms);
    }
}

} // namespace

// The sleeps set how often faults come; none of them waits for something to happen.
TEST_CASE("a fleet under all faults at once comes to rest and keeps every promise") {
    const std::chrono::seconds length(number_from_environment("ROUNDHOUSE_CHAOS_S", 60));
    const auto seed = number_from_environment("ROUNDHOUSE_CHAOS_SEED", std::random_device{}());
    const temporary_folder folder;
    const auto store_path = (folder.path() / "store").string();
    const small_disk disk(store_path);
    killable_server server(server_environment(folder.path().string()));
    const fleet_inspector inspector(store_path, master_key);

    std::vector<std::vector<chaos_user>> users(4);
    for (std::size_t i = 0; i < 20; ++i)
        users[i % users.size()].emplace_back("user-" + std::to_string(i), server.address(),
                                             inspector);
    std::vector<std::unique_ptr<looping_thread>> threads;
    for (auto& group : users)
        threads.push_back(std::make_unique<looping_thread>(
            [&group, random = std::mt19937_64(seed + threads.size())]() mutable {
                group[random() % group.size()].act(random);
            }));
    threads.push_back(std::make_unique<looping_thread>([&disk] {
        std::this_thread::sleep_for(3s);
        disk.fill();
        std::this_thread::sleep_for(2s);
        disk.free();
    }));

    std::mt19937_64 random(seed);
    const auto end = std::chrono::steady_clock::now() + length;
    std::size_t kills = 0;
    while (std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 6'000));
        server.kill_and_restart();
        ++kills;
    }
    for (auto& thread : threads) thread->end();
    disk.free();

    std::uint64_t answered = 0;
    for (const auto& group : users)
        for (const auto& user : group) answered += user.answered();
    std::cout << "seed " << seed << ", " << answered << " answers, the server was killed " << kills
              << " times, metrics " << server.current().get("/metrics") << '\n';
    if (!disk.mounted()) std::cout << "the disk was never full: no right to mount one\n";

    INFO("ROUNDHOUSE_CHAOS_SEED=" << seed);
    const auto unrest = unrest_after(inspector, 60s);
    CHECK(unrest.value_or("") == "");
    const auto rows = inspector.rows();
    for (const auto& group : users)
        for (const auto& user : group) CHECK(user.broken_promise(rows).value_or("") == "");
    CHECK(answered > 100);
    CHECK(member(server.current().get("/status"), "total") == std::to_string(rows.size()));
}

#endif
