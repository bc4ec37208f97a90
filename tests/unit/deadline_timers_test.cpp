#include "catch.hpp"

#include <roundhouse/backend/memory.hpp>
#include <roundhouse/clock/manual.hpp>
#include <roundhouse/core/events.hpp>
#include <roundhouse/crypto/keys.hpp>
#include <roundhouse/shell/adapters.hpp>
#include <roundhouse/shell/deadline_timers.hpp>
#include <roundhouse/store/memory.hpp>

#include <asio/io_context.hpp>

#include <memory>
#include <string>
#include <variant>
#include <vector>

using namespace roundhouse;
using namespace std::chrono_literals;

namespace {

/// Notes which engines' deadlines are delivered.
class noting_inbox final : public detail::engine_inbox {
public:
    void enqueue(const engine_owner& owner, detail::mailbox_input input) override {
        const auto& event = std::get<detail::engine_event>(input).event;
        delivered.push_back(owner.user_id);
        deadlines.push_back(std::get<core::event::deadline>(event).deadline);
    }

    std::vector<std::string> delivered;
    std::vector<instant> deadlines;
};

/// A clock of which the wall time can be set while the steady time goes on.
class adjustable_clock : public manual_clock {
public:
    [[nodiscard]] instant now() const noexcept { return manual_clock::now() + set_by; }

    duration set_by{};
};

struct timers_fixture {
    timers_fixture() { services->tasks.keep_alive(services); }

    void run() {
        loop.restart();
        loop.poll();
    }
    void advance(duration by) {
        clock->advance(by);
        run();
    }

    void follow(const engine_record& engine) { timers.follow(engine, services->moment()); }

    static engine_record failed(const std::string& user, instant restart_at) {
        engine_record engine;
        engine.user_id = user;
        engine.status = engine_status::failed;
        engine.restart_at = engine.deadline = restart_at;
        return engine;
    }

    asio::io_context loop;
    std::shared_ptr<adjustable_clock> clock = std::make_shared<adjustable_clock>();
    std::shared_ptr<detail::services> services = std::make_shared<detail::services>(
        detail::orchestrator_parts{
            loop.get_executor(),
            std::make_unique<detail::backend_adapter<memory_backend>>(
                std::make_shared<memory_backend>()),
            std::make_unique<detail::store_adapter<memory_store>>(std::make_shared<memory_store>()),
            std::make_unique<detail::clock_adapter<adjustable_clock>>(clock),
            {},
            crypto::key_ring::parse(crypto::key_ring::make_key(crypto::system_entropy)).value(),
            crypto::system_entropy,
            {},
            {}});
    noting_inbox inbox;
    detail::deadline_timers timers{*services, inbox};
};

} // namespace

TEST_CASE_METHOD(
    timers_fixture,
    "each engine has one timer, which follows its last record, and an earlier deadline "
    "is delivered first") {
    const auto start = clock->now();
    follow(failed("ada", start + 5s));
    follow(failed("bob", start + 2s));
    follow(failed("eve", start + 3s));
    follow(failed("ada", start + 1s));
    timers.forget({uuid{}, "eve"});
    run();
    advance(1s);
    CHECK(inbox.delivered == std::vector<std::string>{"ada"});
    advance(10s);
    CHECK(inbox.delivered == std::vector<std::string>{"ada", "bob"});
    follow(failed("eve", clock->now() - 1s));
    run();
    CHECK(inbox.delivered.back() == "eve");
}

TEST_CASE_METHOD(timers_fixture, "a wall clock that is set neither delays nor hastens a deadline") {
    const auto deadline = clock->now() + 5s;
    follow(failed("ada", deadline));
    run();
    clock->set_by = 1h;
    advance(1s);
    CHECK(inbox.delivered.empty());
    clock->set_by = -1h;
    advance(4s);
    CHECK(inbox.deadlines == std::vector<instant>{deadline});
}

TEST_CASE_METHOD(
    timers_fixture,
    "a planned restart keeps its time while its failed workload is ended, whatever the "
    "wall clock says") {
    const engine_owner ada{uuid{}, "ada"};
    auto engine = failed("ada", clock->now() + 5s);
    engine.intent = intent::end;
    engine.deadline = clock->now() + 30s;
    follow(engine);
    clock->advance(1s);
    clock->set_by = 1h;
    engine.retries = 1;
    engine.deadline = clock->now() + 1s; // the end failed, and is tried again
    follow(engine);
    CHECK(timers.restart_in(ada) == services->settings.restart_backoff_base - 1s);
    engine.intent = intent::none;
    engine.deadline = engine.restart_at;
    follow(engine);
    CHECK(timers.restart_in(ada) == services->settings.restart_backoff_base - 1s);
}

TEST_CASE_METHOD(timers_fixture,
                 "a deadline that another wall clock has set is at most its whole wait off") {
    auto engine = failed("ada", clock->now() + 1'000h);
    follow(engine);
    CHECK(timers.restart_in({uuid{}, "ada"}) == services->settings.restart_backoff_base);
    engine.restart_attempts = 1;
    engine.user_id = "bob";
    follow(engine);
    CHECK(timers.restart_in({uuid{}, "bob"}) == services->settings.restart_backoff_base * 2);
}

TEST_CASE_METHOD(timers_fixture, "a wait can be changed, also after the deadline was delivered") {
    const auto deadline = clock->now() + 4s;
    follow(failed("ada", deadline));
    timers.change_wait({uuid{}, "ada"}, 1s);
    run();
    advance(1s);
    CHECK(inbox.deadlines == std::vector<instant>{deadline});
    follow(failed("ada", deadline)); // the same deadline: it is not waited for again
    advance(10s);
    CHECK(inbox.deadlines.size() == 1);
    timers.change_wait({uuid{}, "ada"}, 2s);
    run();
    advance(2s);
    CHECK(inbox.deadlines == std::vector<instant>{deadline, deadline});
}
