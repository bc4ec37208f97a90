#include "catch.hpp"
#include "waiting_boots.hpp"

#include <roundhouse/shell/turn_queue.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse;
using namespace roundhouse_tests;
using detail::turn_queue;
using enum detail::turn_queue::urgency;

namespace {

/// The place of a boot that enters; 0 if it begins at once.
turn_queue::ticket enter(turn_queue& queue, turn_queue::urgency how, turn_queue::command wanted,
                         turn_queue::allowance allowed = {}) {
    return queue.enter(how, std::move(wanted), allowed).place;
}

std::vector<std::string> users_of(const std::vector<turn_queue::command>& begun) {
    std::vector<std::string> out;
    for (const auto& next : begun) out.push_back(next.owner.user_id);
    return out;
}

/// The users of the boots that begin because a product leaves.
std::vector<std::string> begun_by_leaving(turn_queue& queue, std::uint8_t n) {
    return users_of(queue.leave(nth_product(n)));
}

/// Lets a product boot until it has to wait, and returns how many boots have begun.
int fill(turn_queue& queue, std::uint8_t n) {
    int begun = 0;
    while (enter(queue, awaited, boot_of(n)) == 0) ++begun;
    return begun;
}

using users = std::vector<std::string>;

} // namespace

TEST_CASE("boots take turns: a bounded number at once, awaited ones before others, and a place can "
          "be given up") {
    turn_queue queue(1);
    CHECK(enter(queue, background, boot_of(1, "first")) == 0);
    CHECK(enter(queue, background, boot_of(1, "restart")) != 0);
    const auto given_up = enter(queue, awaited, boot_of(1, "gone"));
    CHECK(enter(queue, awaited, boot_of(1, "caller")) != 0);
    const auto hurried = enter(queue, background, boot_of(1, "hurried"));
    queue.hurry(hurried);
    CHECK(queue.withdraw(given_up));
    CHECK_FALSE(queue.withdraw(given_up));
    CHECK(begun_by_leaving(queue, 1) == users{"caller"});
    CHECK(begun_by_leaving(queue, 1) == users{"hurried"});
    CHECK_FALSE(queue.withdraw(hurried));
    CHECK(begun_by_leaving(queue, 1) == users{"restart"});
    CHECK(begun_by_leaving(queue, 1).empty());
    CHECK(enter(queue, awaited, boot_of(1, "last")) == 0);
}

TEST_CASE("a product gets all turns to boot but a fifth, and at least one, which are kept for "
          "products that hold none") {
    turn_queue sixteen(16);
    CHECK(fill(sixteen, 1) == 13);
    for (std::uint8_t other = 2; other <= 4; ++other) CHECK(fill(sixteen, other) == 1);
    CHECK(fill(sixteen, 5) == 0);
    turn_queue two(2);
    CHECK(fill(two, 1) == 1);
    CHECK(fill(two, 2) == 1);
    turn_queue only(1);
    CHECK(fill(only, 1) == 1);
    CHECK(fill(only, 2) == 0);
}

TEST_CASE("products that wait take turns, however many boots each of them has") {
    turn_queue queue(2); // one turn is kept
    REQUIRE(enter(queue, awaited, boot_of(1)) == 0);
    REQUIRE(enter(queue, awaited, boot_of(2)) == 0);
    for (const auto* const user : {"a1", "a2", "a3"}) enter(queue, awaited, boot_of(3, user));
    for (const auto* const user : {"b1", "b2"}) enter(queue, background, boot_of(4, user));
    enter(queue, awaited, boot_of(5, "c1"));
    CHECK(begun_by_leaving(queue, 1) == users{"a1"});
    CHECK(begun_by_leaving(queue, 2) == users{"b1"});
    CHECK(begun_by_leaving(queue, 3) == users{"c1"});
    CHECK(begun_by_leaving(queue, 5) == users{"a2"});
    CHECK(begun_by_leaving(queue, 3) == users{"a3"});
    CHECK(begun_by_leaving(queue, 4) == users{"b2"});
    CHECK(begun_by_leaving(queue, 3).empty());
    CHECK(begun_by_leaving(queue, 4).empty());
}

TEST_CASE("a product that holds no turn goes before those that hold one, and those go in turn") {
    turn_queue queue(5); // one turn is kept
    REQUIRE(fill(queue, 1) == 4);
    enter(queue, awaited, boot_of(1, "a"));
    REQUIRE(enter(queue, awaited, boot_of(2)) == 0);
    enter(queue, awaited, boot_of(2, "b"));
    enter(queue, background, boot_of(3, "late"));
    CHECK(begun_by_leaving(queue, 1) == users{"late"});
    // One turn is free now, which neither of those that hold some may have.
    CHECK(begun_by_leaving(queue, 3).empty());
    CHECK(begun_by_leaving(queue, 1) == users{"user"}); // of `fill`, which waited first
    CHECK(begun_by_leaving(queue, 1) == users{"b"});
    CHECK(begun_by_leaving(queue, 1) == users{"a"});
}

TEST_CASE("a place that is given up leaves the turn to the next product") {
    turn_queue queue(1);
    REQUIRE(enter(queue, awaited, boot_of(1)) == 0);
    const auto only = enter(queue, awaited, boot_of(2, "gone"));
    enter(queue, awaited, boot_of(3, "next"));
    CHECK(queue.withdraw(only));
    CHECK(begun_by_leaving(queue, 1) == users{"next"});
}

TEST_CASE(
    "no more boots of a product run at once than its policy allows, and others take the turns") {
    turn_queue queue(8);
    const turn_queue::allowance two{1, 2};
    CHECK(enter(queue, awaited, boot_of(1, "a"), two) == 0);
    CHECK(enter(queue, awaited, boot_of(1, "b"), two) == 0);
    CHECK(enter(queue, background, boot_of(1, "c"), two) != 0);
    CHECK(enter(queue, awaited, boot_of(1, "d"), two) != 0);
    CHECK(fill(queue, 2) == 5);
    CHECK(begun_by_leaving(queue, 1) == users{"user"}); // of `fill`, which waited first
    CHECK(begun_by_leaving(queue, 2) == users{"d"});
    CHECK(begun_by_leaving(queue, 1) == users{"c"});
}

TEST_CASE("of two limits of a product the newer one holds, also for boots that wait") {
    turn_queue queue(16);
    CHECK(queue.change(nth_product(1), {1, 1}).empty()); // of a product that is not known yet
    REQUIRE(enter(queue, awaited, boot_of(1), {2, 1}) == 0);
    for (const auto* const user : {"a", "b", "c", "d"})
        REQUIRE(enter(queue, awaited, boot_of(1, user), {2, 1}) != 0);
    CHECK(queue.change(nth_product(1), {1, 9}).empty());
    CHECK(users_of(queue.change(nth_product(1), {3, 3})) == users{"a", "b"});
    CHECK(queue.change(nth_product(1), {4, 1}).empty());
    CHECK(begun_by_leaving(queue, 1).empty());
    CHECK(begun_by_leaving(queue, 1).empty());
    CHECK(begun_by_leaving(queue, 1) == users{"c"});
    const auto last = queue.enter(awaited, boot_of(1, "e"), {5, 5});
    CHECK(last.place == 0);
    CHECK(users_of(last.begun) == users{"d"});
}
