#include "catch.hpp"

#include <roundhouse/clock/manual.hpp>

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
                                 std::vector<std::string>& notes, std::string note) {
    co_await clock.wait_for(wait);
    notes.push_back(note);
}

} // namespace

TEST_CASE(
    "a manual clock ends the waits that are due when it is moved, in the order of their times") {
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

TEST_CASE("a cancelled wait on a manual clock is removed") {
    asio::io_context loop;
    manual_clock clock;
    std::vector<std::string> notes;
    asio::cancellation_signal signal;
    bool cancelled = false;
    asio::co_spawn(
        loop, note_after(clock, 1s, notes, "never"),
        asio::bind_cancellation_slot(signal.slot(), [&](const std::exception_ptr& thrown) {
            cancelled = thrown != nullptr;
        }));
    loop.poll();
    signal.emit(asio::cancellation_type::terminal);
    loop.poll();
    CHECK(cancelled);
    CHECK_FALSE(clock.next_wake());
    CHECK(notes.empty());
}
