#include "../catch.hpp"
#include "../installed_versions.hpp"
#include "../integration/running_server.hpp"
#include "../io_threads.hpp"
#include "../number_from_environment.hpp"
#include "../temporary_folder.hpp"
#include "doomed_product.hpp"
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
#include <map>
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
        {"upgrade", [](stirred_user& user) { user.upgrade(); }},
        {"upgrade that fails", [](stirred_user& user) { user.upgrade_in_vain(); }},
    };
    return all;
}

constexpr std::size_t users = 5;
constexpr std::size_t newcomers_a_round = 6;
constexpr std::size_t engines_of_a_product = 3;

std::vector<stirred_user> users_named(const std::string& prefix, std::size_t count,
                                      const current_address& server) {
    std::vector<stirred_user> out;
    for (std::size_t n = 0; n < count; ++n) out.emplace_back(prefix + std::to_string(n), server);
    return out;
}

/// What the killed server had not answered, and how often.
using cut_off_calls = std::map<std::string, std::size_t>;

/// Stirs the users' engines at once, lets newcomers provision, and deletes a product with its engines,
/// until the server is killed, `moment` after the beginning.
void stir_and_kill(killable_server& server, std::vector<stirred_user>& known,
                   std::vector<stirred_user>& newcomers, doomed_product& product,
                   std::uint64_t seed, std::chrono::milliseconds moment) {
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
    threads.emplace_back([&product, further = seed % 3] {
        for (std::uint64_t n = 0; n < further; ++n)
            if (!product.provision()) break;
        product.erase();
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
        if (last.empty() && fleet.copies() != 0) last = "a copy of an engine's data is left";
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
    auto variables = installed_versions(folder.path(), ROUNDHOUSE_DEMO_ENGINE).variables();
    variables.insert({{"ORCH_RESTART_MAX_ATTEMPTS", "1000"}, {"ORCH_LOG_LEVEL", "info"}});
    killable_server server(options(folder.path(), variables));
    const fleet_inspector fleet((folder.path() / "store").string(), master_key);
    auto known = users_named("user-", users, server.address());
    for (auto& user : known) user.provision();

    std::mt19937_64 random(seed);
    cut_off_calls cut_off;
    for (std::uint64_t round = 0; round < rounds; ++round) {
        const std::chrono::milliseconds moment(random() % 400);
        INFO("round " << round << ", killed after " << moment.count() << " ms");
        auto newcomers = users_named("new-" + std::to_string(round) + "-", newcomers_a_round,
                                     server.address());
        doomed_product product("doomed-" + std::to_string(round), server.address(),
                               engines_of_a_product);
        stir_and_kill(server, known, newcomers, product, random(), moment);
        for (const auto& user : known)
            if (!user.answered()) ++cut_off[user.last_stir()];
        ++cut_off[product.answered() ? "deletion under way" : "deletion"];
        server.start();
        REQUIRE(unrest_of(fleet) == "");
        for (auto* const group : {&known, &newcomers})
            for (auto& user : *group) REQUIRE(user.broken_promise(fleet).value_or("") == "");
        REQUIRE(product.broken_promise(fleet).value_or("") == "");
        for (auto& user : newcomers) user.destroy();
        REQUIRE(unrest_of(fleet) == "");
        REQUIRE(fleet.rows().size() == users);
    }
    for (const auto& [call, times] : cut_off)
        std::cout << "cut off: " << call << ' ' << times << '\n';
}

#endif
