#include "orchestrator_fixture.hpp"

#include <roundhouse/core/shares.hpp>
#include <roundhouse/shell/shared_places.hpp>

#include <asio/use_future.hpp>

#include <atomic>
#include <cstddef>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

using namespace roundhouse_tests;
using namespace std::chrono_literals;

namespace {

/// A backend on which the workloads that are created while `hanging` is set never become healthy.
struct hanging_backend {
    memory_backend_script script() {
        memory_backend_script out;
        out.fail = [this](backend_operation operation,
                          const workload_ref& ref) -> std::optional<error> {
            const std::lock_guard lock(mutex);
            if (hanging && operation == backend_operation::create) hung.insert(ref.engine_id);
            return std::nullopt;
        };
        out.answer = [this](const workload_ref& ref) -> result<health> {
            const std::lock_guard lock(mutex);
            if (hung.contains(ref.engine_id)) return fail(errc::backend_error, "it hangs");
            return health{};
        };
        return out;
    }

    std::size_t count() {
        const std::lock_guard lock(mutex);
        return hung.size();
    }

    std::mutex mutex;
    std::set<uuid> hung;
    std::atomic<bool> hanging = true;
};

/// A backend on which pulls of the version `slow` do not end.
struct pulling_backend {
    memory_backend_script script() {
        memory_backend_script out;
        out.prepare_time = [this](const workload& wanted) -> duration {
            if (wanted.version != "slow") return duration{0};
            ++pulls;
            return 24h;
        };
        return out;
    }

    std::atomic<std::size_t> pulls = 0; ///< That have begun.
};

template <class T> bool becomes_ready(const std::future<T>& outcome) {
    return outcome.wait_for(patience) == std::future_status::ready;
}

using provisions = std::vector<std::future<result<engine_view>>>;

/// Begins the provisions of `count` users of a product.
provisions begin_provisions(const memory_fleet<>& fleet, const product_ptr& product, int count,
                            const std::optional<std::string>& version = {}) {
    provisions begun;
    for (int i = 0; i < count; ++i)
        begun.push_back(fleet.orchestrator->async_provision(product, "user" + std::to_string(i),
                                                            version, asio::use_future));
    return begun;
}

/// Provisions the engines of five users of a product, one after the other.
void provision_five(const memory_fleet<>& fleet, const product_ptr& product) {
    for (int i = 0; i < 5; ++i) {
        auto made = fleet.orchestrator->async_provision(product, "user" + std::to_string(i),
                                                        std::nullopt, asio::use_future);
        REQUIRE(becomes_ready(made));
        CHECK(made.get());
    }
}

} // namespace

TEST_CASE("200 boots of one product that hang do not keep another product from booting") {
    hanging_backend host;
    auto settings = memory_fleet<>::quick();
    settings.boot_timeout = 24h;
    memory_fleet<> fleet(host.script(), settings);
    const auto crowded = fleet.registered({}, "crowded");
    const auto other = fleet.registered({}, "other");
    const auto hang = begin_provisions(fleet, crowded, 200);
    const auto share = settings.boot_concurrency - core::kept_turns(settings.boot_concurrency);
    REQUIRE(fleet.eventually([&] { return host.count() == share; }));
    host.hanging = false;
    provision_five(fleet, other);
    CHECK(host.count() == share);
    CHECK(fleet.backend->created() == share + 5);
}

TEST_CASE(
    "no more boots of a product run at once than its policy allows, and a raised limit holds at "
    "once") {
    hanging_backend host;
    auto settings = memory_fleet<>::quick();
    settings.boot_timeout = 24h;
    memory_fleet<> fleet(host.script(), settings);
    policy limits;
    limits.max_concurrent_boots = 2;
    const auto product = fleet.registered(limits);
    const auto hang = begin_provisions(fleet, product, 8);
    REQUIRE(fleet.eventually([&] { return host.count() == 2; }));
    host.hanging = false;
    REQUIRE(fleet.orchestrator->of(fleet.registered({}, "other")).provision("ada"));
    CHECK(fleet.backend->created() == 3);
    host.hanging = true;
    limits.max_concurrent_boots = 5;
    REQUIRE(fleet.orchestrator->async_set_policy("demo", limits, wait));
    CHECK(fleet.eventually([&] { return host.count() == 5; }));
}

TEST_CASE("200 pulls of one product that do not end keep no other product from booting") {
    pulling_backend host;
    const auto settings = memory_fleet<>::quick();
    memory_fleet<> fleet(host.script(), settings);
    const auto crowded = fleet.registered({}, "crowded");
    const auto other = fleet.registered({}, "other");
    const auto pulling = begin_provisions(fleet, crowded, 200, "slow");
    const auto turns = settings.prepare_concurrency;
    const auto share = turns - core::kept_turns(turns);
    REQUIRE(fleet.eventually([&] { return host.pulls == share; }));
    provision_five(fleet, other);
    CHECK(host.pulls == share);
    CHECK(fleet.backend->created() == 5);
}

TEST_CASE("a boot whose image is pulled holds no turn to boot") {
    pulling_backend host;
    auto settings = memory_fleet<>::quick();
    settings.boot_concurrency = 1;
    memory_fleet<> fleet(host.script(), settings);
    const auto product = fleet.registered();
    const auto pulling = fleet.orchestrator->async_provision(product, "ada", "slow",
                                                             asio::use_future);
    REQUIRE(fleet.eventually([&] { return host.pulls == 1; }));
    auto made = fleet.orchestrator->async_provision(product, "bob", std::nullopt, asio::use_future);
    REQUIRE(becomes_ready(made));
    CHECK(made.get());
    CHECK(fleet.orchestrator->find(product, "ada")->record->status == engine_status::provisioning);
}

TEST_CASE("a DELETE ends a pull, and a pull that waits for its turn, and the next one begins") {
    pulling_backend host;
    auto settings = memory_fleet<>::quick();
    settings.prepare_concurrency = 1;
    memory_fleet<> fleet(host.script(), settings);
    const auto product = fleet.registered();
    const auto provision = [&](const std::string& user, const std::string& version) {
        return fleet.orchestrator->async_provision(product, user, version, asio::use_future);
    };
    auto pulled = provision("ada", "slow");
    REQUIRE(fleet.eventually([&] { return host.pulls == 1; }));
    auto given_up = provision("bob", "slow");
    REQUIRE(fleet.becomes(product, "bob", engine_status::provisioning));
    auto next = provision("eve", "quick");
    REQUIRE(fleet.becomes(product, "eve", engine_status::provisioning));
    for (const auto* const user : {"bob", "ada"}) {
        auto gone = fleet.orchestrator->async_destroy(product, user, asio::use_future);
        REQUIRE(becomes_ready(gone));
        CHECK(gone.get());
    }
    CHECK_FALSE(pulled.get());
    CHECK_FALSE(given_up.get());
    REQUIRE(becomes_ready(next));
    CHECK(next.get());
    CHECK(host.pulls == 1);
}

TEST_CASE("a pull that takes longer than the backend may take ends its boot") {
    pulling_backend host;
    auto settings = memory_fleet<>::quick();
    settings.create_timeout = 50ms;
    settings.restart_max_attempts = 0;
    memory_fleet<> fleet(host.script(), settings);
    const auto product = fleet.registered();
    auto made = fleet.orchestrator->async_provision(product, "ada", "slow", asio::use_future);
    REQUIRE(becomes_ready(made));
    const auto outcome = made.get();
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().code == errc::boot_timeout);
    CHECK(fleet.backend->created() == 0);
}

TEST_CASE("no more images are pulled for a product at once than its policy allows boots") {
    pulling_backend host;
    memory_fleet<> fleet(host.script());
    policy limits;
    limits.max_concurrent_boots = 2;
    const auto product = fleet.registered(limits);
    const auto pulling = begin_provisions(fleet, product, 8, "slow");
    REQUIRE(fleet.eventually([&] { return host.pulls == 2; }));
    REQUIRE(fleet.orchestrator->of(fleet.registered({}, "other")).provision("ada"));
    CHECK(host.pulls == 2);
    limits.max_concurrent_boots = 5;
    REQUIRE(fleet.orchestrator->async_set_policy("demo", limits, wait));
    CHECK(fleet.eventually([&] { return host.pulls == 5; }));
}

TEST_CASE("pulls begin by the weights of their products") {
    std::mutex mutex;
    std::vector<std::string> begun;
    memory_backend_script script;
    script.prepare_time = [&](const workload& wanted) -> duration {
        const std::lock_guard lock(mutex);
        begun.push_back(wanted.owner.user_id);
        return wanted.version == "slow" ? duration{24h} : duration{0};
    };
    const auto pulled = [&] {
        const std::lock_guard lock(mutex);
        return begun;
    };
    auto settings = memory_fleet<>::quick();
    settings.prepare_concurrency = 1;
    memory_fleet<> fleet(std::move(script), settings);
    policy twice;
    twice.weight = 2;
    const auto first = fleet.registered({}, "first");
    const auto heavy = fleet.registered(twice, "heavy");
    const auto light = fleet.registered({}, "light");
    const auto slow = fleet.orchestrator->async_provision(first, "ada", "slow", asio::use_future);
    REQUIRE(fleet.eventually([&] { return pulled().size() == 1; }));
    std::vector<std::future<result<engine_view>>> made;
    const auto provision = [&](const product_ptr& product, const std::string& user) {
        made.push_back(
            fleet.orchestrator->async_provision(product, user, "quick", asio::use_future));
        REQUIRE(fleet.becomes(product, user, engine_status::provisioning));
        // It is decided after the provision, whose pull waits for its turn then.
        CHECK(fleet.orchestrator->of(product).stop(user).error().code == errc::engine_not_running);
    };
    for (const auto* const user : {"h1", "h2", "h3"}) provision(heavy, user);
    for (const auto* const user : {"l1", "l2"}) provision(light, user);
    auto gone = fleet.orchestrator->async_destroy(first, "ada", asio::use_future);
    REQUIRE(becomes_ready(gone));
    CHECK(gone.get());
    for (auto& engine : made) {
        REQUIRE(becomes_ready(engine));
        CHECK(engine.get());
    }
    CHECK(pulled() == std::vector<std::string>{"ada", "h1", "h2", "l1", "h3", "l2"});
}

TEST_CASE("max_provisions_per_minute counts engines that are created, and says how long to wait") {
    memory_fleet<stopped_clock> fleet;
    policy limits;
    limits.max_provisions_per_minute = 2;
    const auto product = fleet.registered(limits);
    const auto calls = fleet.orchestrator->of(product);
    REQUIRE(calls.provision("ada"));
    CHECK(calls.provision("ada").error().code == errc::engine_already_exists);
    REQUIRE(calls.admit("bob", {.auto_provision = true}));
    const auto refused = calls.provision("eve");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::rate_limited);
    CHECK(refused.error().message ==
          "Product 'demo' is over its max_provisions_per_minute (2). Try again in 60 s.");
    CHECK(refused.error().retry_after_s == 60);
    CHECK(calls.admit("eve", {.auto_provision = true}).error().code == errc::rate_limited);
    CHECK(calls.admit("ada", {.auto_provision = true})->engine);
    CHECK(fleet.orchestrator->of(fleet.registered({}, "other")).provision("eve"));
}

TEST_CASE("the SDK refuses a policy that the HTTP API would refuse, and names the member") {
    memory_fleet<> fleet;
    policy limits;
    limits.max_concurrent_boots = 0;
    const auto made = fleet.orchestrator->async_register_product("demo", "Demo", limits, wait);
    REQUIRE_FALSE(made);
    CHECK(made.error().code == errc::invalid_request);
    CHECK(made.error().message.starts_with(
        "policy.max_concurrent_boots: must be a whole number, 1 or more"));
    (void)fleet.registered();
    limits = {};
    limits.allowed_versions = {"a*b"};
    const auto set = fleet.orchestrator->async_set_policy("demo", limits, wait);
    REQUIRE_FALSE(set);
    CHECK(set.error().message == "policy.allowed_versions[0]: may hold a * at its end only.");
}

TEST_CASE("one product's calls take at most half of the places for waiting calls") {
    hanging_backend host;
    auto settings = memory_fleet<>::quick();
    settings.boot_timeout = 24h;
    settings.max_waiting = 20;
    memory_fleet<> fleet(host.script(), settings);
    const auto crowded = fleet.registered({}, "crowded");
    const auto other = fleet.registered({}, "other");
    std::vector<std::future<result<admission>>> waiting;
    for (int i = 0; i < 10; ++i)
        waiting.push_back(fleet.orchestrator->async_admit(crowded, "ada", {.auto_provision = true},
                                                          asio::use_future));
    const auto refused = fleet.orchestrator->of(crowded).admit("bob", {.auto_provision = true});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::overloaded);
    CHECK(refused.error().retry_after_s == 1);
    REQUIRE(fleet.eventually([&] { return host.count() == 1; }));
    host.hanging = false;
    CHECK(fleet.orchestrator->of(other).provision("bob"));
}

TEST_CASE("one product's streams of output take at most half of the places for them") {
    auto settings = memory_fleet<>::quick();
    settings.max_log_streams = 4;
    memory_fleet<> fleet({}, settings);
    const auto crowded = fleet.orchestrator->of(fleet.registered({}, "crowded"));
    const auto other = fleet.orchestrator->of(fleet.registered({}, "other"));
    for (const auto* const user : {"ada", "bob", "eve"}) REQUIRE(crowded.provision(user));
    REQUIRE(other.provision("ada"));
    std::vector<text_stream_ptr> open;
    const auto follow = [&](const auto& product, const std::string& user) -> result<void> {
        auto stream = product.stream_logs(user, {.tail = 0, .follow = true});
        if (!stream) return unexpected(std::move(stream.error()));
        open.push_back(std::move(*stream));
        return {};
    };
    REQUIRE(follow(crowded, "ada"));
    REQUIRE(follow(crowded, "bob"));
    const auto refused = follow(crowded, "eve");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::overloaded);
    CHECK(refused.error().retry_after_s == 1);
    CHECK(follow(other, "ada"));
    CHECK(follow(other, "ada"));
    CHECK_FALSE(follow(other, "ada"));
    open.erase(open.begin()); // ada's, of the crowded product
    CHECK(follow(crowded, "eve"));
}

TEST_CASE("places that products share are counted of all and of each") {
    detail::shared_places places(3);
    const uuid first{};
    auto second = first;
    second.bytes.front() = 1;
    CHECK(places.take(first));
    CHECK(places.take(first));
    CHECK_FALSE(places.take(first));
    CHECK(places.take(second));
    CHECK_FALSE(places.take(second));
    places.give_back(first);
    CHECK(places.take(second));
    CHECK_FALSE(places.take(first));
    places.give_back(second);
    CHECK(places.take(first));
}

TEST_CASE("the default policy holds for a product while its own has no member") {
    auto settings = memory_fleet<>::quick();
    settings.default_policy.max_engines = 1;
    memory_fleet<> fleet({}, settings);
    auto product = fleet.registered();
    const auto provision = [&](const std::string& user) {
        product = fleet.orchestrator->calls()->current(product).value();
        return fleet.orchestrator->of(product).provision(user);
    };
    REQUIRE(provision("ada"));
    CHECK(provision("bob").error().code == errc::quota_exceeded);
    policy own;
    own.allow_provision = true;
    REQUIRE(fleet.orchestrator->async_set_policy("demo", own, wait));
    REQUIRE(provision("bob"));
    REQUIRE(fleet.orchestrator->async_set_policy("demo", policy{}, wait));
    CHECK(provision("eve").error().code == errc::quota_exceeded);
}

TEST_CASE("a default policy that no product may have stops the recovery, which names the member") {
    asio::thread_pool threads(1);
    orchestrator_options options(memory_fleet<>::keys());
    options.settings.default_policy.max_concurrent_boots = 0;
    orchestrator<memory_backend, memory_store, roundhouse::system_clock> fleet(
        threads.get_executor(), std::make_shared<memory_backend>(),
        std::make_shared<memory_store>(), std::make_shared<roundhouse::system_clock>(), options);
    const auto recovered = fleet.async_recover(wait);
    REQUIRE_FALSE(recovered);
    CHECK(recovered.error().code == errc::invalid_request);
    CHECK(recovered.error().message.starts_with(
        "settings::default_policy: max_concurrent_boots: must be a whole number, 1 or more"));
}
