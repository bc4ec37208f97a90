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

/// A backend of which some engines hang: a first probe fails, then none is ever answered.
class hanging_backend : public memory_backend {
public:
    asio::awaitable<result<health>> probe(const workload_ref& what, duration timeout) {
        if (!hang) co_return co_await memory_backend::probe(what, timeout);
        if (well.contains(what.engine_id)) {
            ++answered;
            co_return health{};
        }
        bool first = false;
        {
            const std::lock_guard lock(mutex_);
            first = seen_.insert(what.engine_id).second;
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
    std::set<uuid> well; ///< Not to be changed once they hang.

private:
    std::mutex mutex_;
    std::set<uuid> seen_;
};

} // namespace

TEST_CASE("however many engines hang, the others are probed") {
    asio::thread_pool threads{2};
    const auto backend = std::make_shared<hanging_backend>();
    orchestrator_options options(memory_fleet<>::keys());
    options.settings.health_check_interval = 10ms;
    options.settings.health_concurrency = 4;
    options.settings.health_max_failures = 1'000;
    auto over = std::make_shared<orchestrator<hanging_backend, memory_store, system_clock>>(
        threads.get_executor(), backend, std::make_shared<memory_store>(),
        std::make_shared<system_clock>(), options);
    {
        blocking sync(over);
        REQUIRE(sync.recover());
        const auto who = over->authenticate(sync.register_product("demo", "Demo")->platform_key);
        REQUIRE(who);
        for (int i = 0; i < 12; ++i) {
            const auto made = sync.provision(*who, "user-" + std::to_string(i));
            REQUIRE(made);
            if (i < 2) backend->well.insert(made->record->id);
        }
        backend->hang = true;
        // Half of the places is all that those which hang ever get.
        REQUIRE(memory_fleet<>::eventually([&] { return backend->hanging == 2; }));
        const int before = backend->answered;
        CHECK(memory_fleet<>::eventually([&] { return backend->answered > before + 20; }));
        CHECK(backend->hanging == 2);
    }
    over.reset();
    threads.join();
}

TEST_CASE("an engine that does not answer fails, also where engines are put to sleep at once") {
    std::atomic<bool> sick = false;
    memory_backend_script script;
    script.answer = [&](const workload_ref& what) -> result<health> {
        if (sick && what.generation == 1) return fail(errc::backend_error, "status is sick");
        return health{.busy = true}; // so it does not sleep while it is well
    };
    auto with = memory_fleet<>::quick();
    with.health_check_interval = 5ms;
    with.health_max_failures = 3;
    with.sleep_after = 2ms;
    memory_fleet<> fleet(std::move(script), with);
    const auto who = fleet.registered();
    REQUIRE(fleet.sync->provision(who, "ada"));
    sick = true;
    CHECK(fleet.eventually(
        [&] { return fleet.audit(who, audit_action::health_failed).size() == 1; }));
    CHECK(fleet.audit(who, audit_action::sleep).empty());
}
