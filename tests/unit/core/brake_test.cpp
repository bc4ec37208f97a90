#include "catch.hpp"

#include <roundhouse/core/brake.hpp>

#include <chrono>
#include <cstdint>
#include <optional>

using namespace roundhouse;
using namespace std::chrono_literals;

namespace {

uuid engine(int number) {
    uuid id;
    id.bytes[8] = static_cast<std::uint8_t>(number);
    id.bytes[9] = static_cast<std::uint8_t>(number >> 8);
    return id;
}

/// The brake of a product with engines 0, 1, 2 …, which all run.
struct watched_product {
    explicit watched_product(int engines) {
        for (int i = 0; i < engines; ++i) brake.began();
    }

    core::failed_probe fail(int number) {
        return brake.failed(engine(number), {instant{now}, now});
    }
    void fail(int first, int end) {
        for (int i = first; i < end; ++i) (void)fail(i);
    }
    void pass(int first, int end) {
        for (int i = first; i < end; ++i) brake.passed(engine(i));
    }
    [[nodiscard]] bool on() const { return brake.status().has_value(); }
    /// The engine ends, boots and runs again.
    void restart(int number) {
        brake.ended(engine(number));
        brake.began();
    }

    settings chosen;
    duration now{1h};
    core::brake brake{chosen};
};

} // namespace

TEST_CASE("the brake goes on when half of the engines fail, and at least five") {
    watched_product product(20);
    product.fail(0, 9);
    CHECK_FALSE(product.on());
    product.fail(9, 10);
    const auto status = product.brake.status();
    REQUIRE(status);
    CHECK(status->since == instant{1h});
    CHECK(status->failing == 10);
    CHECK(status->running == 20);

    watched_product small(4);
    small.fail(0, 4);
    CHECK_FALSE(small.on());
}

TEST_CASE("an engine that fails again and again counts once") {
    watched_product product(20);
    for (int i = 0; i < 100; ++i) (void)product.fail(0);
    CHECK_FALSE(product.on());
    CHECK(product.fail(0).failures_in_a_row == 101);
}

TEST_CASE("failures in a row are counted until a probe passes or the engine ends") {
    watched_product product(20);
    CHECK(product.fail(0).failures_in_a_row == 1);
    CHECK(product.fail(0).failures_in_a_row == 2);
    product.pass(0, 1);
    CHECK(product.fail(0).failures_in_a_row == 1);
    product.restart(0);
    CHECK(product.fail(0).failures_in_a_row == 1);
}

TEST_CASE("while the brake is on no failure counts, and afterwards they count from zero") {
    watched_product product(10);
    for (int i = 0; i < 2; ++i) product.fail(0, 4);
    product.fail(4, 5);
    REQUIRE(product.on());
    for (int i = 0; i < 5; ++i) CHECK_FALSE(product.fail(i).matters());
    // A quarter of ten engines is two and a half.
    product.pass(2, 4);
    CHECK(product.on());
    product.pass(4, 5);
    CHECK_FALSE(product.on());
    CHECK(product.fail(0).failures_in_a_row == 1);
    // Also of one that was not probed meanwhile.
    watched_product other(10);
    for (int i = 0; i < 2; ++i) (void)other.fail(0);
    other.fail(1, 5);
    REQUIRE(other.on());
    other.pass(1, 5);
    REQUIRE_FALSE(other.on());
    CHECK(other.fail(0).failures_in_a_row == 1);
}

TEST_CASE("each change of the brake is told once, with its figures") {
    watched_product product(10);
    CHECK_FALSE(product.brake.take_change());
    product.fail(0, 5);
    const auto on = product.brake.take_change();
    REQUIRE(on);
    CHECK(on->on);
    CHECK(on->failing == 5);
    CHECK(on->running == 10);
    CHECK_FALSE(product.brake.take_change());
    product.fail(0, 10);
    CHECK_FALSE(product.brake.take_change());
    product.now += 10min;
    product.pass(0, 10);
    const auto off = product.brake.take_change();
    REQUIRE(off);
    CHECK_FALSE(off->on);
    CHECK_FALSE(off->by_trial);
    CHECK(off->since.steady == duration{1h});
    CHECK(off->failing == 2);
}

TEST_CASE("engines that cease to run neither run nor fail for the brake") {
    watched_product product(20);
    product.fail(0, 9);
    for (int i = 0; i < 9; ++i) product.brake.ended(engine(i));
    product.fail(9, 14);
    CHECK_FALSE(product.on()); // five of eleven
    product.fail(14, 15);
    CHECK(product.on());
    for (int i = 9; i < 12; ++i) product.brake.ended(engine(i));
    CHECK(product.on()); // three of eight
    product.brake.ended(engine(12));
    CHECK_FALSE(product.on());
}

TEST_CASE("a brake without an engine that runs is off and idle") {
    watched_product product(5);
    product.fail(0, 5);
    REQUIRE(product.on());
    for (int i = 0; i < 5; ++i) {
        CHECK_FALSE(product.brake.idle());
        product.brake.ended(engine(i));
    }
    CHECK_FALSE(product.on());
    CHECK(product.brake.idle());
}

TEST_CASE("a share of 0 switches the brake off") {
    watched_product product(10);
    product.chosen.brake_percent = 0;
    product.fail(0, 10);
    CHECK_FALSE(product.on());
    CHECK(product.fail(0).failures_in_a_row == 2);
}

TEST_CASE("a share of 100 needs all engines to fail") {
    watched_product product(10);
    product.chosen.brake_percent = 100;
    product.fail(0, 9);
    CHECK_FALSE(product.on());
    product.fail(9, 10);
    CHECK(product.on());
}

TEST_CASE("after its longest time the brake lets one engine at a time be tried") {
    watched_product product(10);
    product.fail(0, 10);
    product.now += product.chosen.brake_max - 1ms;
    CHECK_FALSE(product.fail(3).trial);
    product.now += 1ms;
    CHECK(product.fail(4).trial);
    CHECK(product.brake.state_of(engine(4)) == core::brake_state::trial);
    CHECK(product.brake.state_of(engine(5)) == core::brake_state::on);
    CHECK_FALSE(product.fail(5).trial);
    CHECK(product.fail(4).trial); // it was not restarted yet
    product.restart(4);
    CHECK_FALSE(product.fail(5).trial);
    // It fails as before: the turn is the next one's.
    CHECK_FALSE(product.fail(4).trial);
    CHECK(product.fail(5).trial);
    CHECK(product.on());
}

TEST_CASE("a trial that stays healthy while others fail ends the brake") {
    watched_product product(10);
    product.fail(0, 10);
    product.now += product.chosen.brake_max;
    REQUIRE(product.fail(0).trial);
    product.restart(0);
    for (std::uint32_t i = 1; i < product.chosen.health_max_failures; ++i) product.pass(0, 1);
    CHECK(product.on());
    product.pass(0, 1);
    CHECK_FALSE(product.on());
    (void)product.brake.take_change();

    // The others fail on, and are to be restarted: the brake stays off until few fail.
    for (std::uint32_t i = 1; i <= product.chosen.health_max_failures; ++i)
        for (int other = 1; other < 10; ++other) CHECK(product.fail(other).failures_in_a_row == i);
    CHECK_FALSE(product.on());
    for (int other = 1; other < 10; ++other) product.restart(other);
    product.fail(0, 5);
    CHECK(product.on());
}

TEST_CASE("the end of the brake by a trial says so") {
    watched_product product(10);
    product.fail(0, 10);
    (void)product.brake.take_change();
    product.now += product.chosen.brake_max;
    REQUIRE(product.fail(0).trial);
    product.restart(0);
    for (std::uint32_t i = 0; i < product.chosen.health_max_failures; ++i) product.pass(0, 1);
    const auto off = product.brake.take_change();
    REQUIRE(off);
    CHECK_FALSE(off->on);
    CHECK(off->by_trial);
    CHECK(off->failing == 9);
}

TEST_CASE("a trial is over when its engine recovers by itself or does not come back") {
    watched_product product(10);
    product.fail(0, 10);
    product.now += product.chosen.brake_max;
    REQUIRE(product.fail(0).trial);
    product.pass(0, 1);
    CHECK(product.on());
    REQUIRE(product.fail(1).trial);
    product.brake.ended(engine(1));
    CHECK_FALSE(product.fail(2).trial);
    product.brake.left(engine(1));
    CHECK(product.fail(2).trial);
}

TEST_CASE("where engines are never restarted the brake ends after its longest time") {
    watched_product product(10);
    product.chosen.restart_max_attempts = 0;
    product.fail(0, 10);
    product.now += product.chosen.brake_max - 1ms;
    CHECK_FALSE(product.fail(0).matters());
    product.now += 1ms;
    CHECK(product.fail(0).failures_in_a_row == 1);
    CHECK_FALSE(product.on());
    CHECK(product.fail(0).failures_in_a_row == 2);
}

TEST_CASE("an engine comes back if it runs, boots or waits for its restart") {
    engine_record row;
    row.status = engine_status::running;
    CHECK(core::comes_back(row));
    row.status = engine_status::provisioning;
    CHECK(core::comes_back(row));
    row.status = engine_status::failed;
    CHECK_FALSE(core::comes_back(row));
    row.restart_at = instant{1h};
    CHECK(core::comes_back(row));
    for (const auto status :
         {engine_status::sleeping, engine_status::stopped, engine_status::destroying}) {
        row.status = status;
        CHECK_FALSE(core::comes_back(row));
    }
}
