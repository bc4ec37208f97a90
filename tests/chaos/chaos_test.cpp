#include "../catch.hpp"
#include "../integration/running_server.hpp"
#include "chaos_users.hpp"
#include "onlooker.hpp"
#include "small_disk.hpp"

#include <roundhouse/settings.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

// Without the programs there is nothing to test: see tests/CMakeLists.txt.
#if defined(ROUNDHOUSE_SERVER) && defined(ROUNDHOUSE_DEMO_ENGINE)

using namespace roundhouse_tests;
using namespace std::chrono_literals;

namespace {

std::uint64_t number_of(const char* name, std::uint64_t otherwise) {
    const char* const text = std::getenv(name);
    return text == nullptr ? otherwise : std::stoull(text);
}

child_process::environment impatient(const std::string& folder) {
    return options(folder, {{"ORCH_HEALTH_CHECK_INTERVAL_S", "0.5"},
                            {"ORCH_HEALTH_CHECK_TIMEOUT_S", "0.5"},
                            {"ORCH_HEALTH_MAX_FAILURES", "2"},
                            {"ORCH_BOOT_TIMEOUT_S", "5"},
                            {"ORCH_STOP_GRACE_S", "1"},
                            {"ORCH_RESTART_BACKOFF_MAX_S", "1"},
                            {"ORCH_RESTART_MAX_ATTEMPTS", "1000"},
                            {"ORCH_SLEEP_AFTER_S", "1"},
                            {"ORCH_LOG_LEVEL", "info"}});
}

/// The server, which is killed and started again.
class mortal_server {
public:
    explicit mortal_server(child_process::environment variables)
        : variables_(std::move(variables)) {
        start();
    }

    [[nodiscard]] const current_address& address() const noexcept { return address_; }
    [[nodiscard]] running_server& now() noexcept { return *server_; }

    void kill_and_restart() {
        server_->process.signal(SIGKILL);
        server_.reset();
        start();
    }

private:
    /// On a full disk it cannot start: then it is tried again, as a service manager does.
    void start() {
        for (int attempt = 1; !server_; ++attempt) {
            try {
                server_ = std::make_unique<running_server>(variables_);
            } catch (const std::exception& why) {
                if (attempt == 50) throw;
                std::this_thread::sleep_for(100ms);
            }
        }
        address_.set(server_->address);
    }

    const child_process::environment variables_;
    current_address address_;
    std::unique_ptr<running_server> server_;
};

/// Runs something again and again in a thread of its own, until it is to end.
class repeated {
public:
    template <class Function>
    explicit repeated(Function once)
        : thread_([once = std::move(once)](const std::stop_token& end) mutable {
              while (!end.stop_requested()) once();
          }) {}
    void end() {
        thread_.request_stop();
        thread_.join();
    }

private:
    std::jthread thread_;
};

/// Waits until the fleet has been quiet for a while, with nothing missing at any look.
std::optional<std::string> unrest_after(const onlooker& eyes, std::chrono::seconds budget) {
    roundhouse::settings with;
    with.restart_max_attempts = 1000;
    const auto give_up = std::chrono::steady_clock::now() + budget;
    auto calm_since = std::chrono::steady_clock::now();
    for (;;) {
        const auto missing = eyes.missing(with);
        const auto now = std::chrono::steady_clock::now();
        if (missing) calm_since = now;
        if (now - calm_since > 3s) return std::nullopt;
        if (now > give_up) return missing.value_or("it is never calm for long");
        std::this_thread::sleep_for(100ms);
    }
}

} // namespace

TEST_CASE("a fleet in which everything goes wrong at once comes to rest as it was asked to be") {
    const std::chrono::seconds length(number_of("ROUNDHOUSE_CHAOS_S", 60));
    const auto seed = number_of("ROUNDHOUSE_CHAOS_SEED", std::random_device{}());
    const scratch_folder folder;
    const small_disk disk(folder.path() + "/store");
    mortal_server server(impatient(folder.path()));
    const onlooker eyes(folder.path() + "/store", master_key);

    std::vector<std::vector<chaos_user>> users(4);
    for (std::size_t i = 0; i < 20; ++i)
        users[i % users.size()].emplace_back("user-" + std::to_string(i), server.address(), eyes);
    std::vector<std::unique_ptr<repeated>> threads;
    for (auto& some : users)
        threads.push_back(std::make_unique<repeated>(
            [&some, random = std::mt19937_64(seed + threads.size())]() mutable {
                some[random() % some.size()].act(random);
            }));
    threads.push_back(std::make_unique<repeated>([&disk] {
        std::this_thread::sleep_for(3s);
        disk.fill();
        std::this_thread::sleep_for(2s);
        disk.free();
    }));

    std::mt19937_64 random(seed);
    const auto end = std::chrono::steady_clock::now() + length;
    std::size_t deaths = 0;
    while (std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 6'000));
        server.kill_and_restart();
        ++deaths;
    }
    for (auto& one : threads) one->end();
    disk.free();

    std::uint64_t answered = 0;
    for (const auto& some : users)
        for (const auto& user : some) answered += user.answered();
    std::cout << "seed " << seed << ", " << answered << " answers, " << deaths
              << " deaths of the server, metrics " << server.now().get("/metrics") << '\n';
    if (!disk.mounted()) std::cout << "the disk was never full: nothing may be mounted here\n";

    INFO("ROUNDHOUSE_CHAOS_SEED=" << seed);
    const auto unrest = unrest_after(eyes, 60s);
    CHECK(unrest.value_or("") == "");
    const auto rows = eyes.rows();
    for (const auto& some : users)
        for (const auto& user : some) CHECK(user.broken_promise(rows).value_or("") == "");
    CHECK(answered > 100);
    CHECK(member(server.now().get("/status"), "total") == std::to_string(rows.size()));
}

#endif
