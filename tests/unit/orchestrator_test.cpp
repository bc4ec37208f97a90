#include "orchestrator_fixture.hpp"

#include <asio/co_spawn.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include <algorithm>
#include <atomic>
#include <future>

using namespace roundhouse_tests;
using namespace std::chrono_literals;

namespace {

/// Starts `count` calls at once and collects their outcomes.
template <class T, class Start> std::vector<result<T>> all_at_once(int count, Start start) {
    std::vector<std::future<result<T>>> waiting;
    for (int i = 0; i < count; ++i) waiting.push_back(start(i));
    std::vector<result<T>> out;
    for (auto& one : waiting) out.push_back(one.get());
    return out;
}

template <class T> auto count_ok(const std::vector<result<T>>& outcomes) {
    return std::count_if(outcomes.begin(), outcomes.end(),
                         [](const auto& one) { return one.has_value(); });
}

template <class T> auto count_failed(const std::vector<result<T>>& outcomes, errc code) {
    return std::count_if(outcomes.begin(), outcomes.end(),
                         [&](const auto& one) { return !one && one.error().code == code; });
}

} // namespace

TEST_CASE("before the recovery every call is told to come again") {
    asio::thread_pool threads(1);
    orchestrator<memory_backend, memory_store, roundhouse::system_clock> over(
        threads.get_executor(), std::make_shared<memory_backend>(),
        std::make_shared<memory_store>(), std::make_shared<roundhouse::system_clock>(),
        orchestrator_options(memory_fleet<>::keys()));
    CHECK(over.starting());
    const auto who = std::make_shared<const product>();
    const auto answer = over.try_admit(who, "ada", {});
    REQUIRE(answer);
    CHECK(answer->error().code == errc::starting);
}

TEST_CASE("a provisioned engine runs, is found, and its key is the one that was handed out") {
    memory_fleet<> fleet;
    const auto who = fleet.registered();
    const auto made = fleet.sync->provision(who, "ada");
    REQUIRE(made);
    CHECK(made->record->status == engine_status::running);
    CHECK(made->api_key.starts_with("sk-sept-"));
    const auto found = fleet.over->find(who, "ada");
    REQUIRE(found);
    CHECK(found->api_key == made->api_key);
    CHECK(found->record->key_hash == crypto::sha256(made->api_key));
}

TEST_CASE("400 admits at once for a new user start one engine, and all get it") {
    memory_fleet<> fleet({.latency = 5ms, .boot_delay = 20ms});
    const auto who = fleet.registered();
    const auto outcomes = all_at_once<admission>(400, [&](int) {
        return fleet.over->async_admit(who, "ada", {.auto_provision = true}, asio::use_future);
    });
    REQUIRE(count_ok(outcomes) == 400);
    const auto id = outcomes.front()->engine->record->id;
    CHECK(std::all_of(outcomes.begin(), outcomes.end(), [&](const auto& one) {
        return one->engine && one->engine->record->id == id;
    }));
    CHECK(fleet.backend->created() == 1);
}

TEST_CASE("of provisions of one user at once one succeeds, and the others are conflicts") {
    memory_fleet<> fleet({.boot_delay = 20ms});
    const auto who = fleet.registered();
    const auto outcomes = all_at_once<engine_view>(20, [&](int) {
        return fleet.over->async_provision(who, "ada", std::nullopt, asio::use_future);
    });
    CHECK(count_ok(outcomes) == 1);
    CHECK(count_failed(outcomes, errc::engine_already_exists) == 19);
}

TEST_CASE("40 provisions at once under a quota of 5 give exactly 5") {
    memory_fleet<> fleet({.boot_delay = 5ms});
    policy limits;
    limits.max_engines = 5;
    const auto who = fleet.registered(limits);
    const auto outcomes = all_at_once<engine_view>(40, [&](int i) {
        return fleet.over->async_provision(who, "user" + std::to_string(i), std::nullopt,
                                           asio::use_future);
    });
    CHECK(count_ok(outcomes) == 5);
    CHECK(count_failed(outcomes, errc::quota_exceeded) == 35);
    CHECK(fleet.backend->alive() == 5);
}

TEST_CASE("never more boots run at once than are allowed") {
    std::atomic<int> now = 0;
    std::atomic<int> most = 0;
    memory_backend_script script;
    script.boot_delay = 5ms;
    script.fail = [&](backend_operation what, const workload_ref&) -> std::optional<error> {
        if (what == backend_operation::create) {
            int seen = ++now;
            for (int known = most; seen > known && !most.compare_exchange_weak(known, seen);) {
            }
        }
        return std::nullopt;
    };
    script.answer = [&](const workload_ref&) -> result<health> {
        --now;
        return health{};
    };
    auto with = memory_fleet<>::quick();
    with.boot_concurrency = 4;
    with.health_check_interval = 1h;
    memory_fleet<> fleet(std::move(script), with);
    const auto who = fleet.registered();
    const auto outcomes = all_at_once<engine_view>(30, [&](int i) {
        return fleet.over->async_provision(who, "user" + std::to_string(i), std::nullopt,
                                           asio::use_future);
    });
    CHECK(count_ok(outcomes) == 30);
    CHECK(most.load() <= 4);
    CHECK(most.load() > 1);
}

TEST_CASE("a rate limit lets exactly so many admits through, and says how long to wait") {
    memory_fleet<> fleet;
    policy limits;
    limits.rate_limit_rpm = 30;
    const auto who = fleet.registered(limits);
    REQUIRE(fleet.sync->provision(who, "ada"));
    int through = 0;
    for (int i = 0; i < 100; ++i) {
        const auto answer = fleet.over->try_admit(who, "ada", {});
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

TEST_CASE("an admit of a user without an engine is refused, unless it may provision") {
    memory_fleet<> fleet;
    const auto who = fleet.registered();
    const auto refused = fleet.sync->admit(who, "ada");
    REQUIRE(refused);
    CHECK_FALSE(refused->engine);
    CHECK(refused->reason == denial::engine_not_found);
    const auto admitted = fleet.sync->admit(who, "ada", {.auto_provision = true});
    REQUIRE(admitted);
    CHECK(admitted->engine);
}

TEST_CASE(
    "a stopped engine is not admitted and never woken, and a start boots it again with its key") {
    memory_fleet<> fleet;
    const auto who = fleet.registered();
    const auto made = fleet.sync->provision(who, "ada");
    REQUIRE(fleet.sync->stop(who, "ada"));
    const auto refused = fleet.sync->admit(who, "ada", {.auto_provision = true, .auto_wake = true});
    REQUIRE(refused);
    CHECK(refused->reason == denial::engine_sleeping);
    CHECK(fleet.sync->stop(who, "ada").error().code == errc::engine_not_running);
    REQUIRE(fleet.sync->start(who, "ada"));
    CHECK(fleet.sync->start(who, "ada").error().code == errc::engine_already_running);
    CHECK(fleet.sync->admit(who, "ada")->engine->api_key == made->api_key);
}

TEST_CASE("a creation that can start nothing leaves no row, and can be tried again") {
    std::atomic<bool> broken = true;
    memory_backend_script script;
    script.fail = [&](backend_operation what, const workload_ref&) -> std::optional<error> {
        if (broken && what == backend_operation::create)
            return error{errc::backend_error, "no such command."};
        return std::nullopt;
    };
    memory_fleet<> fleet(std::move(script));
    const auto who = fleet.registered();
    const auto failed = fleet.sync->provision(who, "ada");
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == errc::backend_error);
    CHECK(failed.error().message.find("no such command") != std::string::npos);
    CHECK(fleet.over->find(who, "ada").error().code == errc::engine_not_found);
    CHECK(fleet.over->metrics(who)->total_provisions == 0);
    CHECK(fleet.audit(who, audit_action::provision_failed).size() == 1);
    broken = false;
    CHECK(fleet.sync->provision(who, "ada"));
    CHECK(fleet.over->metrics(who)->total_provisions == 1);
}

TEST_CASE("a boot that is not healthy in time fails, is told, and is restarted by itself") {
    std::atomic<bool> sick = true;
    memory_backend_script script;
    script.answer = [&](const workload_ref&) -> result<health> {
        if (sick) return fail(errc::backend_error, "sick");
        return health{};
    };
    auto with = memory_fleet<>::quick();
    with.boot_timeout = 50ms;
    memory_fleet<> fleet(std::move(script), with);
    const auto who = fleet.registered();
    const auto failed = fleet.sync->provision(who, "ada");
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == errc::boot_timeout);
    sick = false;
    CHECK(fleet.becomes(who, "ada", engine_status::running));
    CHECK(fleet.audit(who, audit_action::auto_restart_success).size() == 1);
    CHECK(fleet.audit(who, audit_action::provision).size() == 1);
}

TEST_CASE("a DELETE ends a boot in flight, and tells those who waited for it") {
    memory_fleet<> fleet({.boot_delay = 1h});
    const auto who = fleet.registered();
    auto provision = fleet.over->async_provision(who, "ada", std::nullopt, asio::use_future);
    REQUIRE(fleet.eventually([&] { return fleet.backend->alive() == 1; }));
    auto admit = fleet.over->async_admit(who, "ada", {}, asio::use_future);
    REQUIRE(fleet.sync->destroy(who, "ada"));
    CHECK(provision.get().error().code == errc::engine_not_found);
    const auto refused = admit.get();
    REQUIRE(refused);
    CHECK(refused->reason == denial::engine_not_found);
    CHECK(fleet.backend->alive() == 0);
    CHECK(fleet.sync->destroy(who, "ada").error().code == errc::engine_not_found);
}

TEST_CASE(
    "a DELETE that the backend cannot do is told, tried again by the next one, and then done") {
    std::atomic<bool> broken = true;
    memory_backend_script script;
    script.fail = [&](backend_operation what, const workload_ref&) -> std::optional<error> {
        if (broken && what == backend_operation::destroy)
            return error{errc::backend_error, "away."};
        return std::nullopt;
    };
    memory_fleet<> fleet(std::move(script));
    const auto who = fleet.registered();
    const auto made = fleet.sync->provision(who, "ada");
    CHECK(fleet.sync->destroy(who, "ada").error().code == errc::backend_error);
    CHECK(fleet.over->find(who, "ada")->record->status == engine_status::destroying);
    CHECK(fleet.sync->admit(who, "ada", {.auto_provision = true})->reason ==
          denial::engine_not_found);
    broken = false;
    CHECK(*fleet.sync->destroy(who, "ada") == made->record->id);
    CHECK(fleet.over->metrics(who)->total_destroys == 1);
}

TEST_CASE(
    "a rotated key replaces the old one, and an engine that cannot take it is recreated with it") {
    for (const auto way : {key_swap::done, key_swap::unsupported, key_swap::unknown}) {
        memory_backend_script script;
        script.swap = [way](const workload_ref&) -> result<key_swap> { return way; };
        memory_fleet<> fleet(std::move(script));
        const auto who = fleet.registered();
        const auto made = fleet.sync->provision(who, "ada");
        const auto next = fleet.sync->rotate_key(who, "ada");
        REQUIRE(next);
        CHECK(*next != made->api_key);
        CHECK(fleet.over->find(who, "ada")->api_key == *next);
        CHECK(fleet.backend->created() == (way == key_swap::done ? 1U : 2U));
        CHECK(fleet.audit(who, audit_action::rotate_key).size() == 1);
    }
}

TEST_CASE("a key that the engine refuses leaves the old one in place") {
    memory_backend_script script;
    script.swap = [](const workload_ref&) -> result<key_swap> {
        return fail(errc::backend_error, "HTTP 500");
    };
    memory_fleet<> fleet(std::move(script));
    const auto who = fleet.registered();
    const auto made = fleet.sync->provision(who, "ada");
    CHECK(fleet.sync->rotate_key(who, "ada").error().code == errc::backend_error);
    CHECK(fleet.over->find(who, "ada")->api_key == made->api_key);
}

TEST_CASE("an exit that nobody asked for is a crash, code 0 included, and is restarted") {
    memory_fleet<> fleet;
    const auto who = fleet.registered();
    const auto made = fleet.sync->provision(who, "ada");
    REQUIRE(fleet.backend->crash(made->record->id, 0));
    REQUIRE(fleet.eventually(
        [&] { return fleet.audit(who, audit_action::auto_restart_success).size() == 1; }));
    CHECK(fleet.over->metrics(who)->crashes_1h == 1);
    CHECK(fleet.over->metrics(who)->restarts_1h == 1);
    CHECK(fleet.over->find(who, "ada")->record->generation == 2);
}

TEST_CASE("after the last attempt nothing more is tried, and a start revives") {
    std::atomic<bool> broken = false;
    memory_backend_script script;
    script.fail = [&](backend_operation what, const workload_ref&) -> std::optional<error> {
        if (broken && what == backend_operation::create) return error{errc::backend_error, "away."};
        return std::nullopt;
    };
    auto with = memory_fleet<>::quick();
    with.restart_max_attempts = 2;
    with.restart_backoff_base = 1ms;
    memory_fleet<> fleet(std::move(script), with);
    const auto who = fleet.registered();
    const auto made = fleet.sync->provision(who, "ada");
    broken = true;
    REQUIRE(fleet.backend->crash(made->record->id));
    REQUIRE(fleet.eventually(
        [&] { return !fleet.audit(who, audit_action::auto_restart_gave_up).empty(); }));
    CHECK(fleet.audit(who, audit_action::auto_restart_start).size() == 2);
    CHECK(fleet.sync->admit(who, "ada")->reason == denial::engine_unhealthy);
    broken = false;
    CHECK(fleet.sync->start(who, "ada"));
}

TEST_CASE(
    "an idle engine falls asleep, wakes for an admit that asks, and not for one that does not") {
    auto with = memory_fleet<>::quick();
    with.sleep_after = 30ms;
    memory_fleet<> fleet({}, with);
    const auto who = fleet.registered();
    const auto made = fleet.sync->provision(who, "ada");
    REQUIRE(fleet.becomes(who, "ada", engine_status::sleeping));
    CHECK(fleet.backend->state_of(made->record->id) == workload_state::paused);
    CHECK(fleet.sync->admit(who, "ada")->reason == denial::engine_sleeping);
    const auto admitted = fleet.sync->admit(who, "ada", {.auto_wake = true});
    REQUIRE(admitted);
    CHECK(admitted->engine);
    CHECK(fleet.audit(who, audit_action::sleep).size() >= 1);
    CHECK(fleet.audit(who, audit_action::wake).size() >= 1);
}

TEST_CASE("a busy lease keeps an engine awake, and tells when it will sleep") {
    auto with = memory_fleet<>::quick();
    with.sleep_after = 20ms;
    memory_fleet<> fleet({}, with);
    const auto who = fleet.registered();
    REQUIRE(fleet.sync->provision(who, "eve"));
    REQUIRE(fleet.sync->provision(who, "ada"));
    const auto sleeps = fleet.sync->note_activity(who, "ada", 1h);
    REQUIRE(sleeps);
    REQUIRE(*sleeps);
    CHECK(**sleeps > fleet.clock->now() + 59min);
    REQUIRE(fleet.becomes(who, "eve", engine_status::sleeping));
    CHECK(fleet.over->find(who, "ada")->record->status == engine_status::running);
    CHECK_FALSE(*fleet.sync->note_activity(who, "eve"));
    CHECK(fleet.sync->note_activity(who, "bob").error().code == errc::engine_not_found);
}

TEST_CASE("when an engine was last used is written down now and then, so that a restart knows it") {
    auto with = memory_fleet<>::quick();
    with.write_behind_interval = 5ms;
    memory_fleet<> fleet({}, with);
    const auto who = fleet.registered();
    REQUIRE(fleet.sync->provision(who, "ada"));
    const auto last_use = [&] {
        return or_throw(fleet.store->find_engine(who->id, "ada"))->last_activity_at;
    };
    const auto before = or_throw(fleet.store->find_engine(who->id, "ada"));
    REQUIRE(memory_fleet<>::eventually([&] { return fleet.clock->now() > last_use(); }));
    REQUIRE(fleet.sync->admit(who, "ada", {}));
    CHECK(memory_fleet<>::eventually([&] { return last_use() > before->last_activity_at; }));
    CHECK(or_throw(fleet.store->find_engine(who->id, "ada"))->revision == before->revision);
}

TEST_CASE("an engine that fails its probes is failed after exactly so many, and restarted") {
    std::atomic<bool> sick = false;
    std::atomic<int> probes = 0;
    memory_backend_script script;
    script.answer = [&](const workload_ref& what) -> result<health> {
        if (!sick || what.generation > 1) return health{};
        ++probes;
        return fail(errc::backend_error, "status is sick");
    };
    auto with = memory_fleet<>::quick();
    with.health_check_interval = 5ms;
    with.health_max_failures = 3;
    memory_fleet<> fleet(std::move(script), with);
    const auto who = fleet.registered();
    REQUIRE(fleet.sync->provision(who, "ada"));
    sick = true;
    REQUIRE(fleet.eventually(
        [&] { return fleet.audit(who, audit_action::auto_restart_success).size() == 1; }));
    CHECK(probes.load() == 3);
    CHECK(fleet.audit(who, audit_action::health_failed).size() == 1);
}

TEST_CASE("a replaced policy holds from the next call on") {
    memory_fleet<> fleet;
    const auto made = fleet.sync->register_product("demo", "Demo");
    policy limits;
    limits.allow_provision = false;
    REQUIRE(fleet.sync->set_policy("demo", limits));
    const auto who = *fleet.over->authenticate(made->platform_key);
    CHECK(fleet.sync->provision(who, "ada").error().code == errc::policy_denied);
    CHECK(fleet.sync->set_policy("other", limits).error().code == errc::product_not_found);
    CHECK(fleet.over->authenticate("pk-sept-unknown").error().code == errc::invalid_platform_key);
}

TEST_CASE("denials of a minute are one audit row with their count") {
    memory_fleet<> fleet;
    const auto who = fleet.registered();
    for (int i = 0; i < 50; ++i) CHECK_FALSE(fleet.sync->admit(who, "nobody")->engine);
    std::int64_t counted = 0;
    const auto rows = fleet.audit(who, audit_action::admit_denied);
    CHECK(rows.size() <= 2); // a minute may have ended in between
    for (const auto& row : rows) counted += std::get<std::int64_t>(row.metadata[1].second);
    CHECK(counted == 50);
}

TEST_CASE("an orchestrator that is destroyed fails its waiting calls, and leaves the engines to "
          "the next one") {
    auto with = memory_fleet<>::quick();
    memory_fleet<> fleet({.boot_delay = 300ms}, with);
    const auto who = fleet.registered();
    auto waiting = fleet.over->async_provision(who, "ada", std::nullopt, asio::use_future);
    REQUIRE(fleet.eventually([&] { return fleet.backend->alive() == 1; }));
    fleet.close();
    CHECK(waiting.get().error().code == errc::shutting_down);
    fleet.open();
    CHECK(fleet.becomes(who, "ada", engine_status::running));
    CHECK(fleet.backend->created() == 1);
}

TEST_CASE("a fleet that was stopped in good order is booted again by the next recovery, and that "
          "is no crash") {
    memory_fleet<> fleet;
    const auto who = fleet.registered();
    REQUIRE(fleet.sync->provision(who, "ada"));
    REQUIRE(fleet.sync->provision(who, "bob"));
    REQUIRE(fleet.sync->stop(who, "bob"));
    REQUIRE(fleet.sync->stop_all());
    CHECK(fleet.backend->alive() == 0);
    CHECK(fleet.sync->admit(who, "ada").error().code == errc::shutting_down);
    fleet.reopen();
    CHECK(fleet.becomes(who, "ada", engine_status::running));
    CHECK(fleet.over->find(who, "bob")->record->status == engine_status::stopped);
    CHECK(fleet.over->metrics(who)->crashes_1h == 0);
    CHECK(fleet.over->metrics(who)->provisions_1h == 2);
}

TEST_CASE("a workload without a row is ended at the recovery") {
    memory_fleet<> fleet;
    const auto who = fleet.registered();
    REQUIRE(fleet.sync->provision(who, "ada"));
    fleet.close();
    fleet.store = std::make_shared<memory_store>();
    fleet.open();
    CHECK(fleet.backend->alive() == 0);
}

TEST_CASE("a call can be awaited in a coroutine") {
    memory_fleet<> fleet;
    const auto who = fleet.registered();
    auto& over = *fleet.over;
    const auto life = [](decltype(over) of, product_ptr owner) -> asio::awaitable<std::string> {
        const std::string user = "ada";
        const auto made = co_await of.async_provision(owner, user, std::nullopt,
                                                      asio::use_awaitable);
        const auto gone = co_await of.async_destroy(owner, user, asio::use_awaitable);
        co_return made&& gone && made->record->id == *gone ? "lived" : "lost";
    };
    CHECK(asio::co_spawn(fleet.threads, life(over, who), asio::use_future).get() == "lived");
}
