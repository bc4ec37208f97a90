#include "catch.hpp"

#include <roundhouse/clock/manual.hpp>
#include <roundhouse/shell/boot_queue.hpp>
#include <roundhouse/shell/deadline_timers.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include <string>
#include <vector>

using namespace roundhouse;
using namespace std::chrono_literals;

namespace {

asio::awaitable<void> note_after(manual_clock& clock, duration wait,
                                 std::vector<std::string>& notes, std::string what) {
    const auto until = clock.now() + wait;
    co_await clock.wait_until(until);
    notes.push_back(what);
}

engine_owner user(const std::string& name) { return {uuid{}, name}; }

} // namespace

TEST_CASE("a manual clock wakes nobody until it is moved, and then those who are due, in the order "
          "of their times") {
    asio::io_context loop;
    manual_clock clock;
    std::vector<std::string> notes;
    const auto ended = [](const std::exception_ptr&) {};
    asio::co_spawn(loop, note_after(clock, 2s, notes, "second"), ended);
    asio::co_spawn(loop, note_after(clock, 1s, notes, "first"), ended);
    asio::co_spawn(loop, note_after(clock, 9s, notes, "late"), ended);
    loop.poll();
    CHECK(notes.empty());
    clock.advance(5s);
    loop.poll();
    CHECK(notes == std::vector<std::string>{"first", "second"});
    CHECK(clock.next_wake() == clock.now() + 4s);
}

TEST_CASE("a wait on a manual clock can be cancelled, and then is forgotten") {
    asio::io_context loop;
    manual_clock clock;
    std::vector<std::string> notes;
    asio::cancellation_signal signal;
    bool cancelled = false;
    asio::co_spawn(loop, note_after(clock, 1s, notes, "never"),
                   asio::bind_cancellation_slot(signal.slot(), [&](const std::exception_ptr& how) {
                       cancelled = how != nullptr;
                   }));
    loop.poll();
    signal.emit(asio::cancellation_type::terminal);
    loop.poll();
    CHECK(cancelled);
    CHECK_FALSE(clock.next_wake());
    CHECK(notes.empty());
}

TEST_CASE(
    "each engine has one alarm, which the last setting decides, and an earlier one rings first") {
    asio::io_context loop;
    const auto clock = std::make_shared<manual_clock>();
    const auto tasks = std::make_shared<detail::task_group>();
    const auto deadline_timers = std::make_shared<detail::deadline_timers<manual_clock>>(
        loop.get_executor(), clock, tasks);
    std::vector<std::string> rung;
    deadline_timers->on_ring([&](const engine_owner& owner) { rung.push_back(owner.user_id); });
    const auto start = clock->now();
    deadline_timers->set(user("ada"), start + 5s);
    deadline_timers->set(user("bob"), start + 2s);
    deadline_timers->set(user("eve"), start + 3s);
    deadline_timers->set(user("ada"), start + 1s);
    deadline_timers->set(user("eve"), std::nullopt);
    loop.poll();
    clock->advance(1s);
    loop.poll();
    CHECK(rung == std::vector<std::string>{"ada"});
    clock->advance(10s);
    loop.poll();
    CHECK(rung == std::vector<std::string>{"ada", "bob"});
    loop.restart();
    deadline_timers->set(user("eve"), clock->now() - 1s);
    loop.poll();
    CHECK(rung.back() == "eve");
}

TEST_CASE("boots take turns: a bounded number at once, awaited ones before others, and a place can "
          "be taken back") {
    using detail::boot_queue;
    boot_queue queue(1);
    std::vector<std::string> begun;
    const auto begin = [&](const std::string& name) {
        return [&begun, name] { begun.push_back(name); };
    };
    queue.enter(boot_queue::urgency::background, begin("first"));
    queue.enter(boot_queue::urgency::background, begin("restart"));
    const auto taken_back = queue.enter(boot_queue::urgency::awaited, begin("gone"));
    queue.enter(boot_queue::urgency::awaited, begin("caller"));
    CHECK(begun == std::vector<std::string>{"first"});
    CHECK(queue.withdraw(taken_back));
    CHECK_FALSE(queue.withdraw(taken_back));
    queue.leave();
    queue.leave();
    CHECK(begun == std::vector<std::string>{"first", "caller", "restart"});
}
