#include "../catch.hpp"
#include "orchestrator_fixture.hpp"

#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>

using namespace roundhouse_tests;
using namespace std::chrono_literals;

namespace {

/// A backend whose engines can hang: the first probe of each fails, and later ones never return.
class hanging_backend : public memory_backend {
public:
    asio::awaitable<result<health>> probe(const workload_ref& workload, duration timeout) {
        if (!hang) co_return co_await memory_backend::probe(workload, timeout);
        if (well.contains(workload.engine_id)) {
            ++answered;
            co_return health{};
        }
        bool first = false;
        {
            const std::lock_guard lock(mutex_);
            first = seen_.insert(workload.engine_id).second;
        }
        if (!first) {
            ++hanging;
            asio::steady_timer never(co_await asio::this_coro::executor, 24h);
            co_await never.async_wait(asio::use_awaitable);
        }
        co_return fail(errc::backend_error, "no answer");
    }

    std::atomic<bool> hang = false;
    std::atomic<int> hanging = 0;
    std::atomic<int> answered = 0;
    std::set<uuid> well; ///< Engines that always answer. Constant once `hang` is set.

private:
    std::mutex mutex_;
    std::set<uuid> seen_;
};

} // namespace

TEST_CASE("engines that do not answer do not keep the others from being probed") {
    asio::thread_pool threads{2};
    const auto backend = std::make_shared<hanging_backend>();
    orchestrator_options options(memory_fleet<>::keys());
    options.settings.health_check_interval = 10ms;
    options.settings.health_concurrency = 4;
    options.settings.health_max_failures = 1'000;
    auto orchestrator =
        std::make_shared<roundhouse::orchestrator<hanging_backend, memory_store, system_clock>>(
            threads.get_executor(), backend, std::make_shared<memory_store>(),
            std::make_shared<system_clock>(), options);
    {
        REQUIRE(orchestrator->async_recover(wait));
        const auto product = orchestrator->authenticate(
            orchestrator->async_register_product("demo", "Demo", {}, wait)->platform_key);
        REQUIRE(product);
        for (int i = 0; i < 12; ++i) {
            const auto made = orchestrator->of(*product).provision("user-" + std::to_string(i));
            REQUIRE(made);
            if (i < 2) backend->well.insert(made->record->id);
        }
        backend->hang = true;
        // Engines that hang occupy at most half of the concurrent probes.
        REQUIRE(memory_fleet<>::eventually([&] { return backend->hanging == 2; }));
        const int before = backend->answered;
        CHECK(memory_fleet<>::eventually([&] { return backend->answered > before + 20; }));
        CHECK(backend->hanging == 2);
    }
    orchestrator.reset();
    threads.join();
}

TEST_CASE("an engine that fails its probes fails even where engines sleep almost at once") {
    std::atomic<bool> sick = false;
    memory_backend_script script;
    script.answer = [&](const workload_ref& workload) -> result<health> {
        if (sick && workload.generation == 1) return fail(errc::backend_error, "status is sick");
        return health{.busy = true}; // keeps it awake while it is healthy
    };
    auto settings = memory_fleet<>::quick();
    settings.health_check_interval = 5ms;
    settings.health_max_failures = 3;
    settings.sleep_after = 2ms;
    memory_fleet<> fleet(std::move(script), settings);
    const auto product = fleet.registered();
    REQUIRE(fleet.orchestrator->of(product).provision("ada"));
    sick = true;
    CHECK(fleet.eventually(
        [&] { return fleet.audit(product, audit_action::health_failed).size() == 1; }));
    CHECK(fleet.audit(product, audit_action::sleep).empty());
}

TEST_CASE(
    "an engine falls asleep also where probes are further apart than the steady clock counts") {
    auto settings = memory_fleet<>::quick();
    settings.health_check_interval = 24h * 365 * 100;
    settings.sleep_after = 20ms;
    memory_fleet<> fleet({}, settings);
    const auto product = fleet.registered();
    for (const std::string user : {"ada", "bob", "eve"}) {
        REQUIRE(fleet.orchestrator->of(product).provision(user));
        CHECK(fleet.becomes(product, user, engine_status::sleeping));
    }
}
