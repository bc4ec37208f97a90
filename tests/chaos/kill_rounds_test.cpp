#include "../catch.hpp"
#include "../integration/running_server.hpp"
#include "../io_threads.hpp"
#include "../number_from_environment.hpp"
#include "../temporary_folder.hpp"
#include "fleet_inspector.hpp"
#include "killable_server.hpp"
#include "stirred_user.hpp"

#include <roundhouse/settings.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iostream>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

// Only where the programs are built: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;

namespace {

/// Something that is done to an engine while the server may be killed. Another operation is another
/// row: its call, and the status in which it leaves the engine.
struct stirrer {
    std::string_view name;
    std::function<void(stirred_user&)> stir;
};

const std::vector<stirrer>& stirrers() {
    static const std::vector<stirrer> all{
        {"provision", [](stirred_user& user) { user.provision(); }},
        {"pause", [](stirred_user& user) { user.post("/sleep", "{}", "sleeping"); }},
        {"deep sleep",
         [](stirred_user& user) { user.post("/sleep", R"({"mode":"stopped"})", "sleeping"); }},
        {"wake", [](stirred_user& user) { user.post("/wake", "{}", "running"); }},
        {"execute", [](stirred_user& user) { user.execute(); }},
    };
    return all;
}

constexpr std::size_t users = 5;
constexpr std::size_t newcomers_a_round = 6;

std::vector<stirred_user> users_named(const std::string& prefix, std::size_t count,
                                      const current_address& server) {
    std::vector<stirred_user> out;
    for (std::size_t n = 0; n < count; ++n) out.emplace_back(prefix + std::to_string(n), server);
    return out;
}

/// Stirs the users' engines at once, and lets newcomers provision, until the server is killed, `moment`
/// after the beginning.
void stir_and_kill(killable_server& server, std::vector<stirred_user>& known,
                   std::vector<stirred_user>& newcomers, std::uint64_t seed,
                   std::chrono::milliseconds moment) {
    std::atomic<bool> killed = false;
    std::vector<std::thread> threads;
    for (auto& user : known)
        threads.emplace_back(
            [&user, &killed, random = std::mt19937_64(seed + threads.size())]() mutable {
                do {
                    const auto& drawn = stirrers()[random() % stirrers().size()];
                    user.stirred_by(drawn.name);
                    drawn.stir(user);
                } while (user.answered() && !killed);
            });
    threads.emplace_back([&newcomers, &killed] {
        for (auto& user : newcomers) {
            if (killed) return;
            user.provision();
        }
    });
    // It sets the moment of the fault, and waits for nothing.
    std::this_thread::sleep_for(moment);
    server.kill();
    killed = true;
    for (auto& thread : threads) thread.join();
}

/// Why the fleet does not come to rest; empty once it has.
std::string unrest_of(const fleet_inspector& fleet) {
    roundhouse::settings settings;
    settings.restart_max_attempts = 1000;
    std::string last;
    eventually([&] {
        last = fleet.unrest(settings).value_or("");
        return last.empty();
    });
    return last;
}

} // namespace

TEST_CASE("a server that is killed round after round loses nothing and doubles nothing") {
    const auto rounds = number_from_environment("ROUNDHOUSE_KILL_ROUNDS", 5);
    const auto seed = number_from_environment("ROUNDHOUSE_KILL_SEED", std::random_device{}());
    std::cout << "ROUNDHOUSE_KILL_SEED=" << seed << ", " << rounds << " rounds\n";
    INFO("ROUNDHOUSE_KILL_SEED=" << seed);
    const temporary_folder folder;
    killable_server server(options(
        folder.path(), {{"ORCH_RESTART_MAX_ATTEMPTS", "1000"}, {"ORCH_LOG_LEVEL", "info"}}));
    const fleet_inspector fleet((folder.path() / "store").string(), master_key);
    auto known = users_named("user-", users, server.address());
    for (auto& user : known) user.provision();

    std::mt19937_64 random(seed);
    for (std::uint64_t round = 0; round < rounds; ++round) {
        const std::chrono::milliseconds moment(random() % 400);
        INFO("round " << round << ", killed after " << moment.count() << " ms");
        auto newcomers = users_named("new-" + std::to_string(round) + "-", newcomers_a_round,
                                     server.address());
        stir_and_kill(server, known, newcomers, random(), moment);
        server.start();
        REQUIRE(unrest_of(fleet) == "");
        for (auto* const group : {&known, &newcomers})
            for (auto& user : *group) REQUIRE(user.broken_promise(fleet).value_or("") == "");
        for (auto& user : newcomers) user.destroy();
        REQUIRE(unrest_of(fleet) == "");
        REQUIRE(fleet.rows().size() == users);
    }
}

#endif
