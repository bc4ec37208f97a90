#include "orchestrator_fixture.hpp"

#include <asio/co_spawn.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

using namespace roundhouse_tests;
using namespace std::chrono_literals;

namespace {

/// A clock whose steady time a test moves.
class stepped_clock : public roundhouse::system_clock {
public:
    [[nodiscard]] duration steady_now() const noexcept { return duration{now_.load()}; }
    void step(duration span) noexcept { now_ += span.count(); }

private:
    std::atomic<duration::rep> now_ = duration{std::chrono::hours{1}}.count();
};

/// Starts `count` calls without waiting in between, and returns their outcomes.
template <class T, class Start> std::vector<result<T>> all_at_once(int count, Start start) {
    std::vector<std::future<result<T>>> waiting;
    for (int i = 0; i < count; ++i) waiting.push_back(start(i));
    std::vector<result<T>> out;
    for (auto& outcome : waiting) out.push_back(outcome.get());
    return out;
}

template <class T> auto count_ok(const std::vector<result<T>>& outcomes) {
    return std::count_if(outcomes.begin(), outcomes.end(),
                         [](const auto& outcome) { return outcome.has_value(); });
}

template <class T> auto count_failed(const std::vector<result<T>>& outcomes, errc code) {
    return std::count_if(outcomes.begin(), outcomes.end(), [&](const auto& outcome) {
        return !outcome && outcome.error().code == code;
    });
}

/// A backend of which one operation fails with a message while `broken` is set.
memory_backend_script failing(backend_operation failing_operation, const std::atomic<bool>& broken,
                              std::string message) {
    memory_backend_script script;
    script.fail = [failing_operation, &broken, message = std::move(message)](
                      backend_operation operation, const workload_ref&) -> std::optional<error> {
        if (broken && operation == failing_operation) return error{errc::backend_error, message};
        return std::nullopt;
    };
    return script;
}

/// A backend whose engines are unhealthy while `sick` is set.
memory_backend_script unhealthy(const std::atomic<bool>& sick) {
    memory_backend_script script;
    script.answer = [&sick](const workload_ref&) -> result<health> {
        if (sick) return fail(errc::backend_error, "sick");
        return health{};
    };
    return script;
}

} // namespace

TEST_CASE("a call before the recovery fails with starting") {
    asio::thread_pool threads(1);
    orchestrator<memory_backend, memory_store, roundhouse::system_clock> not_recovered(
        threads.get_executor(), std::make_shared<memory_backend>(),
        std::make_shared<memory_store>(), std::make_shared<roundhouse::system_clock>(),
        orchestrator_options(memory_fleet<>::keys()));
    CHECK(not_recovered.starting());
    const auto product = std::make_shared<const roundhouse::product>();
    const auto answer = not_recovered.try_admit(product, "ada", {});
    REQUIRE(answer);
    CHECK(answer->error().code == errc::starting);
}

TEST_CASE("a provisioned engine runs and is found with the key that was handed out") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    const auto made = fleet.orchestrator->of(product).provision("ada");
    REQUIRE(made);
    CHECK(made->record->status == engine_status::running);
    CHECK(made->api_key.starts_with("sk-sept-"));
    const auto found = fleet.orchestrator->find(product, "ada");
    REQUIRE(found);
    CHECK(found->api_key == made->api_key);
    CHECK(found->record->key_hash == crypto::sha256(made->api_key));
}

TEST_CASE("engines are found by id and looked up together, within their product only") {
    memory_fleet<> fleet;
    const auto calls = fleet.orchestrator->of(fleet.registered());
    const auto other = fleet.orchestrator->of(fleet.registered({}, "other"));
    const auto ada = calls.provision("ada").value();
    const auto bob = calls.provision("bob").value();

    const auto found = calls.find_by_id(ada.record->id);
    REQUIRE(found);
    CHECK(found->record->user_id == "ada");
    CHECK(found->api_key == ada.api_key);
    CHECK(other.find_by_id(ada.record->id).error().code == errc::engine_not_found);
    CHECK(calls.find_by_id(roundhouse::uuid{}).error().code == errc::engine_not_found);

    const auto both = calls.look_up({"bob", "nobody", "ada"});
    REQUIRE(both);
    REQUIRE(both->size() == 2);
    CHECK((*both)[0].record->id == bob.record->id);
    CHECK((*both)[1].record->id == ada.record->id);
    CHECK((*both)[1].url == ada.url);
    CHECK((*both)[1].api_key.empty());
    CHECK(other.look_up({"ada"})->empty());
    CHECK(calls.look_up({})->empty());
}

TEST_CASE("400 concurrent admits of a new user boot one engine and all receive it") {
    memory_fleet<> fleet({.latency = 5ms, .boot_delay = 20ms});
    const auto product = fleet.registered();
    const auto outcomes = all_at_once<admission>(400, [&](int) {
        return fleet.orchestrator->async_admit(product, "ada", {.auto_provision = true},
                                               asio::use_future);
    });
    REQUIRE(count_ok(outcomes) == 400);
    const auto id = outcomes.front()->engine->id;
    CHECK(std::all_of(outcomes.begin(), outcomes.end(), [&](const auto& outcome) {
        return outcome->engine && outcome->engine->id == id;
    }));
    CHECK(fleet.backend->created() == 1);
}

TEST_CASE("one of several concurrent provisions of a user succeeds and the others are conflicts") {
    memory_fleet<> fleet({.boot_delay = 20ms});
    const auto product = fleet.registered();
    const auto outcomes = all_at_once<engine_view>(20, [&](int) {
        return fleet.orchestrator->async_provision(product, "ada", std::nullopt, asio::use_future);
    });
    CHECK(count_ok(outcomes) == 1);
    CHECK(count_failed(outcomes, errc::engine_already_exists) == 19);
}

TEST_CASE("40 concurrent provisions under a quota of 5 create exactly 5 engines") {
    memory_fleet<> fleet({.boot_delay = 5ms});
    policy limits;
    limits.max_engines = 5;
    const auto product = fleet.registered(limits);
    const auto outcomes = all_at_once<engine_view>(40, [&](int i) {
        return fleet.orchestrator->async_provision(product, "user" + std::to_string(i),
                                                   std::nullopt, asio::use_future);
    });
    CHECK(count_ok(outcomes) == 5);
    CHECK(count_failed(outcomes, errc::quota_exceeded) == 35);
    CHECK(fleet.backend->alive() == 5);
}

TEST_CASE("no more boots run at once than boot_concurrency allows") {
    std::atomic<int> now = 0;
    std::atomic<int> most = 0;
    memory_backend_script script;
    script.boot_delay = 5ms;
    script.fail = [&](backend_operation operation, const workload_ref&) -> std::optional<error> {
        if (operation == backend_operation::create) {
            int running_boots = ++now;
            for (int known = most;
                 running_boots > known && !most.compare_exchange_weak(known, running_boots);) {
            }
        }
        return std::nullopt;
    };
    script.answer = [&](const workload_ref&) -> result<health> {
        --now;
        return health{};
    };
    auto settings = memory_fleet<>::quick();
    settings.boot_concurrency = 4;
    settings.health_check_interval = 1h;
    memory_fleet<> fleet(std::move(script), settings);
    const auto product = fleet.registered();
    const auto outcomes = all_at_once<engine_view>(30, [&](int i) {
        return fleet.orchestrator->async_provision(product, "user" + std::to_string(i),
                                                   std::nullopt, asio::use_future);
    });
    CHECK(count_ok(outcomes) == 30);
    CHECK(most.load() <= 4);
    CHECK(most.load() > 1);
}

TEST_CASE("a rate limit lets exactly its number of admits through and says how long to wait") {
    memory_fleet<stopped_clock> fleet;
    policy limits;
    limits.rate_limit_rpm = 30;
    const auto product = fleet.registered(limits);
    REQUIRE(fleet.orchestrator->of(product).provision("ada"));
    int through = 0;
    for (int i = 0; i < 100; ++i) {
        const auto answer = fleet.orchestrator->try_admit(product, "ada", {});
        REQUIRE(answer);
        if (*answer) {
            ++through;
        } else {
            CHECK(answer->error().code == errc::rate_limited);
            CHECK(answer->error().retry_after_s >= 59);
            CHECK(answer->error().retry_after_s <= 60);
        }
    }
    CHECK(through == 30);
}

TEST_CASE("an admit of a user without an engine is denied unless auto_provision is set") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    const auto refused = fleet.orchestrator->of(product).admit("ada");
    REQUIRE(refused);
    CHECK_FALSE(refused->engine);
    CHECK(refused->reason == denial::engine_not_found);
    CHECK_FALSE(refused->status);
    const auto admitted = fleet.orchestrator->of(product).admit("ada", {.auto_provision = true});
    REQUIRE(admitted);
    CHECK(admitted->engine);
}

TEST_CASE("a stopped engine is never woken by an admit, and a start boots it again with its key") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    const auto made = fleet.orchestrator->of(product).provision("ada");
    REQUIRE(fleet.orchestrator->of(product).stop("ada"));
    const auto refused = fleet.orchestrator->of(product).admit(
        "ada", {.auto_provision = true, .auto_wake = true});
    REQUIRE(refused);
    CHECK(refused->reason == denial::engine_sleeping);
    CHECK(refused->status == engine_status::stopped);
    CHECK(refused->retry_after_s == 0);
    CHECK(fleet.orchestrator->of(product).stop("ada").error().code == errc::engine_not_running);
    const auto started = fleet.orchestrator->of(product).start("ada");
    REQUIRE(started);
    CHECK(started->record->id == made->record->id);
    CHECK(started->record->status == engine_status::running);
    CHECK(started->url == made->url);
    CHECK(started->api_key == made->api_key);
    CHECK(started->last_health_at);
    CHECK(fleet.orchestrator->of(product).start("ada").error().code ==
          errc::engine_already_running);
    CHECK(fleet.orchestrator->of(product).admit("ada")->engine->api_key() == made->api_key);
}

TEST_CASE("a burst spreads the admits of a minute, whose number stays as it is") {
    memory_fleet<stepped_clock> fleet;
    policy limits;
    limits.rate_limit_rpm = 60;
    limits.rate_limit_burst = 10;
    const auto product = fleet.registered(limits);
    REQUIRE(fleet.orchestrator->of(product).provision("ada"));
    roundhouse::error refusal;
    const auto admitted_now = [&] {
        int through = 0;
        for (int i = 0; i < 12; ++i) {
            const auto answer = fleet.orchestrator->try_admit(product, "ada", {});
            REQUIRE(answer);
            if (*answer) ++through;
            else refusal = answer->error();
        }
        return through;
    };
    CHECK(admitted_now() == 10);
    const auto told = fleet.orchestrator->of(product).rate_limit();
    REQUIRE(told);
    REQUIRE(*told);
    CHECK((*told)->minute.left == 50);
    CHECK((*told)->burst->left == 0);
    CHECK((*told)->burst->more_in == 1s);
    CHECK(refusal.code == errc::rate_limited);
    CHECK(refusal.message == "Product 'demo' is over its rate_limit_burst (10). Try again in 1 s.");
    CHECK(refusal.retry_after_s == 1);
    for (int second = 1; second <= 50; ++second) {
        fleet.clock->step(1s);
        CHECK(admitted_now() == 1);
    }
    fleet.clock->step(5s);
    CHECK(admitted_now() == 0);
    CHECK(refusal.message == "Product 'demo' is over its rate_limit_rpm (60). Try again in 5 s.");
    fleet.clock->step(5s);
    CHECK(admitted_now() == 10);
}

TEST_CASE("a product without a rate limit is told none") {
    memory_fleet<> fleet;
    const auto told = fleet.orchestrator->of(fleet.registered()).rate_limit();
    REQUIRE(told);
    CHECK_FALSE(*told);
}

TEST_CASE("every boot tells the backend whose engine it is, also one that no caller waits for") {
    std::mutex mutex;
    std::vector<workload> asked;
    const auto asked_so_far = [&] {
        const std::lock_guard lock(mutex);
        return asked;
    };
    memory_backend_script script;
    script.prepare_time = [&](const workload& wanted) {
        const std::lock_guard lock(mutex);
        asked.push_back(wanted);
        return duration{0};
    };
    memory_fleet<> fleet(std::move(script));
    const auto product = fleet.registered({}, "acme");
    const auto made = fleet.orchestrator->of(product).provision("ada", "v2");
    REQUIRE(made);
    fleet.reopen();
    REQUIRE(fleet.backend->crash(made->record->id));
    REQUIRE(fleet.eventually([&] { return asked_so_far().size() == 2; }));
    for (const auto& wanted : asked_so_far()) {
        CHECK(wanted.product_slug == "acme");
        CHECK(wanted.owner.user_id == "ada");
        CHECK(wanted.version == "v2");
    }
}

TEST_CASE("an engine whose key no master key opens is started, and shown without it") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    REQUIRE(fleet.orchestrator->of(product).provision("ada"));
    REQUIRE(fleet.orchestrator->of(product).stop("ada"));
    fleet.adjust_ = [](orchestrator_options& options) {
        options.master_keys =
            crypto::key_ring::parse(crypto::key_ring::make_key(crypto::system_entropy)).value();
    };
    fleet.reopen();
    const auto started = fleet.orchestrator->of(product).start("ada");
    REQUIRE(started);
    CHECK(started->record->status == engine_status::running);
    CHECK(started->api_key.empty());
    CHECK(fleet.orchestrator->of(product).find("ada").error().code == errc::internal_error);
}

TEST_CASE("a provision whose workload cannot be created leaves no row and can be retried") {
    std::atomic<bool> broken = true;
    memory_fleet<> fleet(failing(backend_operation::create, broken, "no such command."));
    const auto product = fleet.registered();
    const auto failed = fleet.orchestrator->of(product).provision("ada");
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == errc::backend_error);
    CHECK(failed.error().message.find("no such command") != std::string::npos);
    CHECK(fleet.orchestrator->find(product, "ada").error().code == errc::engine_not_found);
    CHECK(fleet.orchestrator->metrics(product)->total_provisions == 0);
    CHECK(fleet.audit(product, audit_action::provision_failed).size() == 1);
    broken = false;
    CHECK(fleet.orchestrator->of(product).provision("ada"));
    CHECK(fleet.orchestrator->metrics(product)->total_provisions == 1);
}

TEST_CASE("a boot that is not healthy in time fails, is reported, and is restarted automatically") {
    std::atomic<bool> sick = true;
    auto settings = memory_fleet<>::quick();
    settings.boot_timeout = 50ms;
    memory_fleet<> fleet(unhealthy(sick), settings);
    const auto product = fleet.registered();
    const auto failed = fleet.orchestrator->of(product).provision("ada");
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == errc::boot_timeout);
    sick = false;
    CHECK(fleet.becomes(product, "ada", engine_status::running));
    CHECK(fleet.audit(product, audit_action::auto_restart_success).size() == 1);
    CHECK(fleet.audit(product, audit_action::provision).size() == 1);
}

TEST_CASE("a DELETE ends a boot in flight and answers the calls that waited for it") {
    memory_fleet<> fleet({.boot_delay = 1h});
    const auto product = fleet.registered();
    auto provision = fleet.orchestrator->async_provision(product, "ada", std::nullopt,
                                                         asio::use_future);
    REQUIRE(fleet.eventually([&] { return fleet.backend->alive() == 1; }));
    auto admit = fleet.orchestrator->async_admit(product, "ada", {}, asio::use_future);
    REQUIRE(fleet.orchestrator->of(product).destroy("ada"));
    CHECK(provision.get().error().code == errc::engine_not_found);
    const auto refused = admit.get();
    REQUIRE(refused);
    CHECK(refused->reason == denial::engine_not_found);
    CHECK(fleet.backend->alive() == 0);
    CHECK(fleet.orchestrator->of(product).destroy("ada").error().code == errc::engine_not_found);
}

TEST_CASE("a DELETE that the backend fails is reported, and the next DELETE retries it") {
    std::atomic<bool> broken = true;
    memory_fleet<> fleet(failing(backend_operation::destroy, broken, "away."));
    const auto product = fleet.registered();
    const auto made = fleet.orchestrator->of(product).provision("ada");
    CHECK(fleet.orchestrator->of(product).destroy("ada").error().code == errc::backend_error);
    CHECK(fleet.orchestrator->find(product, "ada")->record->status == engine_status::destroying);
    CHECK(fleet.orchestrator->of(product).admit("ada", {.auto_provision = true})->reason ==
          denial::engine_not_found);
    broken = false;
    CHECK(*fleet.orchestrator->of(product).destroy("ada") == made->record->id);
    CHECK(fleet.orchestrator->metrics(product)->total_destroys == 1);
}

TEST_CASE("a rotated key replaces the old one, and an engine that cannot swap keys is recreated "
          "with it") {
    for (const auto way : {key_swap::done, key_swap::unsupported, key_swap::unknown}) {
        memory_backend_script script;
        script.swap = [way](const workload_ref&) -> result<key_swap> { return way; };
        memory_fleet<> fleet(std::move(script));
        const auto product = fleet.registered();
        const auto made = fleet.orchestrator->of(product).provision("ada");
        CHECK(fleet.orchestrator->of(product).admit("ada")->engine->api_key() == made->api_key);
        const auto next = fleet.orchestrator->of(product).rotate_key("ada");
        REQUIRE(next);
        CHECK(*next != made->api_key);
        CHECK(fleet.orchestrator->of(product).admit("ada")->engine->api_key() == *next);
        CHECK(fleet.orchestrator->find(product, "ada")->api_key == *next);
        CHECK(fleet.backend->created() == (way == key_swap::done ? 1U : 2U));
        CHECK(fleet.audit(product, audit_action::rotate_key).size() == 1);
    }
}

TEST_CASE("no admit answers what was true before a change that has returned, whoever else admits") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    const auto made = fleet.orchestrator->of(product).provision("ada");
    REQUIRE(made);
    std::atomic<bool> done = false;
    std::thread others([&] {
        while (!done) (void)fleet.orchestrator->try_admit(product, "ada", {});
    });
    for (int i = 0; i < 200; ++i) {
        const auto next = fleet.orchestrator->of(product).rotate_key("ada");
        REQUIRE(next);
        const auto answer = fleet.orchestrator->of(product).admit("ada");
        CHECK(answer->engine->api_key() == *next);
    }
    REQUIRE(fleet.orchestrator->of(product).stop("ada"));
    CHECK_FALSE(fleet.orchestrator->of(product).admit("ada")->engine);
    done = true;
    others.join();
}

TEST_CASE("a new key that the engine refuses leaves the old key in place") {
    memory_backend_script script;
    script.swap = [](const workload_ref&) -> result<key_swap> {
        return fail(errc::backend_error, "HTTP 500");
    };
    memory_fleet<> fleet(std::move(script));
    const auto product = fleet.registered();
    const auto made = fleet.orchestrator->of(product).provision("ada");
    CHECK(fleet.orchestrator->of(product).rotate_key("ada").error().code == errc::backend_error);
    CHECK(fleet.orchestrator->find(product, "ada")->api_key == made->api_key);
}

TEST_CASE(
    "an exit that was not requested is a crash, even with code 0, and the engine is restarted") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    const auto made = fleet.orchestrator->of(product).provision("ada");
    REQUIRE(fleet.backend->crash(made->record->id, 0));
    REQUIRE(fleet.eventually(
        [&] { return fleet.audit(product, audit_action::auto_restart_success).size() == 1; }));
    CHECK(fleet.orchestrator->metrics(product)->crashes_1h == 1);
    CHECK(fleet.orchestrator->metrics(product)->restarts_1h == 1);
    CHECK(fleet.orchestrator->find(product, "ada")->record->generation == 2);
    CHECK(fleet.orchestrator->find(product, "ada")->restarts == 1);
}

TEST_CASE("an engine tells how it failed until it runs again, and how often it was restarted") {
    auto settings = memory_fleet<>::quick();
    settings.restart_backoff_base = settings.restart_backoff_max = 200s;
    memory_fleet<> fleet({}, settings);
    const auto product = fleet.registered();
    const auto made = fleet.orchestrator->of(product).provision("ada");
    REQUIRE(made);
    CHECK_FALSE(made->failure);
    CHECK(made->booted_at == made->record->healthy_since);
    CHECK(made->booted_at);
    REQUIRE(fleet.backend->crash(made->record->id, 3));
    REQUIRE(fleet.becomes(product, "ada", engine_status::failed));
    const auto failed = fleet.orchestrator->find(product, "ada");
    REQUIRE(failed);
    REQUIRE(failed->failure);
    CHECK(failed->failure->exit.exit_code == 3);
    CHECK(failed->failure->reason == "it exited with code 3.");
    CHECK(failed->failure->restart_at);
    CHECK_FALSE(failed->failure->gave_up);
    CHECK_FALSE(failed->booted_at);
    CHECK_FALSE(failed->sleeps_at);
    REQUIRE(fleet.orchestrator->of(product).start("ada"));
    const auto again = fleet.orchestrator->find(product, "ada");
    REQUIRE(again);
    CHECK_FALSE(again->failure);
    CHECK(again->restarts == 0);
    CHECK(again->booted_at);
}

TEST_CASE("a running engine tells until when it is busy and when it sleeps") {
    memory_fleet<stopped_clock> fleet;
    const auto product = fleet.registered();
    const auto calls = fleet.orchestrator->of(product);
    REQUIRE(calls.provision("ada"));
    const auto idle = calls.find("ada");
    REQUIRE(idle);
    CHECK(idle->sleeps_at);
    CHECK_FALSE(idle->busy_until);
    REQUIRE(calls.note_activity("ada", 2h));
    const auto busy = calls.find("ada");
    REQUIRE(busy);
    CHECK(busy->busy_until);
    CHECK(busy->sleeps_at > idle->sleeps_at);
    REQUIRE(calls.stop("ada"));
    const auto stopped = calls.find("ada");
    REQUIRE(stopped);
    CHECK_FALSE(stopped->busy_until);
    CHECK_FALSE(stopped->sleeps_at);
}

TEST_CASE("an engine is explained by what used it last and what happens to it next") {
    auto settings = memory_fleet<>::quick();
    settings.restart_backoff_base = settings.restart_backoff_max = 200s;
    memory_fleet<> fleet({}, settings);
    const auto calls = fleet.orchestrator->of(fleet.registered());
    CHECK(calls.explain("ada").error().code == errc::engine_not_found);
    const auto made = calls.provision("ada");
    REQUIRE(made);
    REQUIRE(calls.admit("ada"));
    const auto admitted = calls.explain("ada");
    REQUIRE(admitted);
    CHECK(admitted->record->status == engine_status::running);
    CHECK(admitted->last_used_by == engine_use::admit);
    REQUIRE(admitted->next);
    CHECK(admitted->next->step == "sleep");
    CHECK(admitted->next->becomes == engine_status::sleeping);
    CHECK(admitted->next->at);
    REQUIRE(calls.note_activity("ada"));
    CHECK(calls.explain("ada")->last_used_by == engine_use::activity);
    REQUIRE(calls.admit("ada")); // its answer is known by now, and given without the store
    CHECK(calls.explain("ada")->last_used_by == engine_use::admit);

    REQUIRE(fleet.backend->crash(made->record->id, 3));
    REQUIRE(fleet.eventually(
        [&] { return calls.explain("ada")->record->status == engine_status::failed; }));
    const auto failed = calls.explain("ada");
    REQUIRE(failed);
    CHECK(failed->why == "It has failed: it exited with code 3.");
    REQUIRE(failed->next);
    CHECK(failed->next->step == "restart");
    CHECK(failed->next->becomes == engine_status::provisioning);
    CHECK(failed->next->at == failed->record->restart_at);
}

TEST_CASE("an engine that says it is busy is explained as used by that") {
    memory_backend_script script;
    script.answer = [](const workload_ref&) -> result<health> { return health{true}; };
    auto settings = memory_fleet<>::quick();
    settings.health_check_interval = 10ms;
    memory_fleet<> fleet(std::move(script), settings);
    const auto calls = fleet.orchestrator->of(fleet.registered());
    REQUIRE(calls.provision("ada"));
    CHECK(fleet.eventually([&] { return calls.explain("ada")->last_used_by == engine_use::busy; }));
}

TEST_CASE("after its last restart attempt an engine stays failed until it is started") {
    std::atomic<bool> broken = false;
    auto settings = memory_fleet<>::quick();
    settings.restart_max_attempts = 2;
    settings.restart_backoff_base = 1ms;
    memory_fleet<> fleet(failing(backend_operation::create, broken, "away."), settings);
    const auto product = fleet.registered();
    const auto made = fleet.orchestrator->of(product).provision("ada");
    broken = true;
    REQUIRE(fleet.backend->crash(made->record->id));
    REQUIRE(fleet.eventually(
        [&] { return !fleet.audit(product, audit_action::auto_restart_gave_up).empty(); }));
    CHECK(fleet.audit(product, audit_action::auto_restart_start).size() == 2);
    const auto refused = fleet.orchestrator->of(product).admit("ada");
    REQUIRE(refused);
    CHECK(refused->reason == denial::engine_unhealthy);
    CHECK(refused->status == engine_status::failed);
    CHECK(refused->retry_after_s == 0);
    broken = false;
    CHECK(fleet.orchestrator->of(product).start("ada"));
}

TEST_CASE("an admit that a planned restart is too far off for tells when to try again") {
    auto settings = memory_fleet<>::quick();
    settings.restart_backoff_base = 200s;
    settings.restart_backoff_max = 200s;
    settings.admit_wait = 0s;
    memory_fleet<> fleet({}, settings);
    const auto product = fleet.registered();
    const auto made = fleet.orchestrator->of(product).provision("ada");
    REQUIRE(fleet.backend->crash(made->record->id));
    REQUIRE(fleet.becomes(product, "ada", engine_status::failed));
    const auto refused = fleet.orchestrator->of(product).admit("ada");
    REQUIRE(refused);
    CHECK(refused->reason == denial::engine_unhealthy);
    CHECK(refused->status == engine_status::failed);
    CHECK(refused->retry_after_s > 0);
    CHECK(refused->retry_after_s <= 200);
}

TEST_CASE("an idle engine falls asleep and wakes only for an admit with auto_wake") {
    auto settings = memory_fleet<>::quick();
    settings.sleep_after = 30ms;
    memory_fleet<> fleet({}, settings);
    const auto product = fleet.registered();
    const auto made = fleet.orchestrator->of(product).provision("ada");
    REQUIRE(fleet.becomes(product, "ada", engine_status::sleeping));
    CHECK(fleet.backend->state_of(made->record->id) == workload_state::paused);
    const auto refused = fleet.orchestrator->of(product).admit("ada");
    REQUIRE(refused);
    CHECK(refused->reason == denial::engine_sleeping);
    CHECK(refused->status == engine_status::sleeping);
    const auto admitted = fleet.orchestrator->of(product).admit("ada", {.auto_wake = true});
    REQUIRE(admitted);
    CHECK(admitted->engine);
    CHECK(fleet.audit(product, audit_action::sleep).size() >= 1);
    CHECK(fleet.audit(product, audit_action::wake).size() >= 1);
}

TEST_CASE("a busy lease keeps an engine awake and returns when it will sleep") {
    auto settings = memory_fleet<>::quick();
    settings.sleep_after = 20ms;
    memory_fleet<> fleet({}, settings);
    const auto product = fleet.registered();
    REQUIRE(fleet.orchestrator->of(product).provision("eve"));
    REQUIRE(fleet.orchestrator->of(product).provision("ada"));
    const auto sleeps = fleet.orchestrator->of(product).note_activity("ada", 1h);
    REQUIRE(sleeps);
    REQUIRE(*sleeps);
    CHECK(**sleeps > fleet.clock->now() + 59min);
    REQUIRE(fleet.becomes(product, "eve", engine_status::sleeping));
    CHECK(fleet.orchestrator->find(product, "ada")->record->status == engine_status::running);
    CHECK_FALSE(*fleet.orchestrator->of(product).note_activity("eve"));
    CHECK(fleet.orchestrator->of(product).note_activity("bob").error().code ==
          errc::engine_not_found);
}

TEST_CASE("the time of an engine's last use is written to the store periodically") {
    auto settings = memory_fleet<>::quick();
    settings.write_behind_interval = 5ms;
    memory_fleet<> fleet({}, settings);
    const auto product = fleet.registered();
    REQUIRE(fleet.orchestrator->of(product).provision("ada"));
    const auto last_use = [&] {
        return or_throw(fleet.store->find_engine(product->id, "ada"))->last_activity_at;
    };
    const auto before = or_throw(fleet.store->find_engine(product->id, "ada"));
    // The use is measured by the steady clock, whose milliseconds begin at other times.
    REQUIRE(memory_fleet<>::eventually([&] { return fleet.clock->now() > last_use() + 2ms; }));
    REQUIRE(fleet.orchestrator->of(product).admit("ada", {}));
    CHECK(memory_fleet<>::eventually([&] { return last_use() > before->last_activity_at; }));
    CHECK(or_throw(fleet.store->find_engine(product->id, "ada"))->revision == before->revision);
}

TEST_CASE("an engine fails after exactly health_max_failures failed probes and is restarted") {
    std::atomic<int> sick_for = 0;
    std::atomic<int> healthy = 0;
    memory_backend_script script;
    script.answer = [&](const workload_ref&) -> result<health> {
        if (sick_for > 0 && sick_for-- > 0) return fail(errc::backend_error, "status is sick");
        ++healthy;
        return health{};
    };
    auto settings = memory_fleet<>::quick();
    settings.health_check_interval = 5ms;
    settings.health_max_failures = 3;
    memory_fleet<> fleet(std::move(script), settings);
    const auto product = fleet.registered();
    REQUIRE(fleet.orchestrator->of(product).provision("ada"));
    healthy = 0;
    SECTION("three are enough") {
        sick_for = 3;
        REQUIRE(fleet.eventually(
            [&] { return fleet.audit(product, audit_action::auto_restart_success).size() == 1; }));
        CHECK(fleet.audit(product, audit_action::health_failed).size() == 1);
    }
    SECTION("two are not") {
        sick_for = 2;
        REQUIRE(fleet.eventually([&] { return sick_for == 0 && healthy >= 5; }));
        CHECK(fleet.audit(product, audit_action::health_failed).empty());
        CHECK(fleet.orchestrator->find(product, "ada")->record->generation == 1);
    }
}

TEST_CASE("a new policy applies from the next call on") {
    memory_fleet<> fleet;
    const auto made = fleet.orchestrator->async_register_product("demo", "Demo", {}, wait);
    policy limits;
    limits.allow_provision = false;
    REQUIRE(fleet.orchestrator->async_set_policy("demo", limits, wait));
    const auto product = *fleet.orchestrator->authenticate(made->platform_key);
    CHECK(fleet.orchestrator->of(product).provision("ada").error().code == errc::policy_denied);
    CHECK(fleet.orchestrator->async_set_policy("other", limits, wait).error().code ==
          errc::product_not_found);
    CHECK(fleet.orchestrator->authenticate("pk-sept-unknown").error().code ==
          errc::invalid_platform_key);
}

TEST_CASE("denials of a minute are one audit row with their count") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    for (int i = 0; i < 50; ++i)
        CHECK_FALSE(fleet.orchestrator->of(product).admit("nobody")->engine);
    std::int64_t counted = 0;
    const auto rows = fleet.audit(product, audit_action::admit_denied);
    CHECK(rows.size() <= 2); // a minute may have ended in between
    for (const auto& row : rows) counted += std::get<std::int64_t>(row.metadata[1].second);
    CHECK(counted == 50);
}

TEST_CASE("a destroyed orchestrator fails its waiting calls and leaves its engines to the next "
          "orchestrator") {
    std::atomic<bool> sick = true;
    memory_fleet<> fleet(unhealthy(sick));
    const auto product = fleet.registered();
    auto waiting = fleet.orchestrator->async_provision(product, "ada", std::nullopt,
                                                       asio::use_future);
    REQUIRE(fleet.eventually([&] { return fleet.backend->alive() == 1; }));
    fleet.close();
    CHECK(waiting.get().error().code == errc::shutting_down);
    sick = false;
    fleet.open();
    CHECK(fleet.becomes(product, "ada", engine_status::running));
    CHECK(fleet.backend->created() == 1);
}

TEST_CASE("engines stopped by stop_all are booted by the next recovery, and that is no crash") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    REQUIRE(fleet.orchestrator->of(product).provision("ada"));
    REQUIRE(fleet.orchestrator->of(product).provision("bob"));
    REQUIRE(fleet.orchestrator->of(product).stop("bob"));
    REQUIRE(fleet.orchestrator->async_stop_all(wait));
    CHECK(fleet.backend->alive() == 0);
    CHECK(fleet.orchestrator->of(product).admit("ada").error().code == errc::shutting_down);
    fleet.reopen();
    CHECK(fleet.becomes(product, "ada", engine_status::running));
    CHECK(fleet.orchestrator->find(product, "bob")->record->status == engine_status::stopped);
    CHECK(fleet.orchestrator->metrics(product)->crashes_1h == 0);
    CHECK(fleet.orchestrator->metrics(product)->provisions_1h == 2);
}

TEST_CASE("the recovery ends a workload that has no row") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    REQUIRE(fleet.orchestrator->of(product).provision("ada"));
    fleet.close();
    fleet.store = std::make_shared<memory_store>();
    fleet.open();
    CHECK(fleet.backend->alive() == 0);
}

TEST_CASE("the streams of output that are open are bounded, for each engine and each product") {
    auto limits = memory_fleet<>::quick();
    limits.max_log_streams_per_engine = 2;
    limits.max_log_streams = 6; // three of one product
    memory_fleet<> fleet({}, limits);
    const auto demo = fleet.orchestrator->of(fleet.registered());
    for (const auto* const user : {"ada", "bob"}) REQUIRE(demo.provision(user));
    const auto follow = [&](const std::string& user) {
        return demo.stream_logs(user, {.tail = 0, .follow = true});
    };
    std::vector<text_stream_ptr> open;
    for (const auto* const user : {"ada", "ada", "bob"}) {
        if (user == std::string("bob")) {
            const auto refused = follow("ada");
            REQUIRE_FALSE(refused);
            CHECK(refused.error().code == errc::overloaded);
            CHECK_THAT(refused.error().message, Catch::Matchers::Contains("this engine's output"));
        }
        auto stream = follow(user);
        REQUIRE(stream);
        open.push_back(std::move(*stream));
    }
    const auto refused = follow("bob");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::overloaded);
    CHECK_FALSE(demo.stream_logs("ada", {.tail = 10, .since = instant{}}));
    open.erase(open.begin());
    CHECK(follow("bob"));
}

TEST_CASE("a call can be awaited in a coroutine") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    auto& orchestrator = *fleet.orchestrator;
    const auto life = [](decltype(orchestrator) calls,
                         product_ptr owner) -> asio::awaitable<std::string> {
        const std::string user = "ada";
        const auto made = co_await calls.async_provision(owner, user, std::nullopt,
                                                         asio::use_awaitable);
        const auto gone = co_await calls.async_destroy(owner, user, asio::use_awaitable);
        co_return made&& gone && made->record->id == *gone ? "lived" : "lost";
    };
    CHECK(asio::co_spawn(fleet.threads, life(orchestrator, product), asio::use_future).get() ==
          "lived");
}
