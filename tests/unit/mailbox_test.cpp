#include "catch.hpp"

#include <roundhouse/shell/mailbox.hpp>

#include <memory>
#include <string>
#include <utility>

using namespace roundhouse;
using detail::mailbox_table;

namespace {

engine_owner user(const std::string& name) { return {uuid{}, name}; }

detail::mailbox_input event() { return detail::engine_event{core::event::deadline{}}; }
detail::mailbox_input call() { return detail::waiting_call{}; }

/// Takes all inputs of a mailbox, as a drain does, and returns their number.
int drain(mailbox_table& table, const std::shared_ptr<detail::mailbox>& mailbox) {
    int inputs = 0;
    while (table.next(mailbox)) ++inputs;
    return inputs;
}

} // namespace

TEST_CASE("a mailbox is drained once for all inputs put into it meanwhile, and then removed") {
    mailbox_table table(1);
    const auto ada = table.put(user("ada"), call());
    REQUIRE(ada);
    CHECK_FALSE(table.put(user("ada"), event()));
    CHECK_FALSE(table.put(user("ada"), call()));
    CHECK(drain(table, ada) == 3);
    CHECK(table.size() == 0);
}

TEST_CASE(
    "mailboxes with events only are drained a limited number at a time, in order of arrival") {
    mailbox_table table(2);
    const auto first = table.put(user("first"), event());
    const auto second = table.put(user("second"), event());
    REQUIRE(first);
    REQUIRE(second);
    CHECK_FALSE(table.put(user("third"), event()));
    CHECK_FALSE(table.put(user("fourth"), event()));
    CHECK_FALSE(table.put(user("third"), event()));
    CHECK(drain(table, second) == 1);
    const auto third = table.next_in_background();
    REQUIRE(third);
    CHECK(third->owner.user_id == "third");
    CHECK_FALSE(table.next_in_background());
    CHECK(drain(table, third) == 2);
    CHECK(drain(table, first) == 1);
    const auto fourth = table.next_in_background();
    REQUIRE(fourth);
    CHECK(drain(table, fourth) == 1);
    CHECK(table.size() == 0);
}

TEST_CASE("a call and its engine's events do not wait behind the events of other engines") {
    mailbox_table table(1);
    const auto busy = table.put(user("busy"), event());
    REQUIRE(busy);
    CHECK_FALSE(table.put(user("ada"), event()));
    CHECK_FALSE(table.put(user("bob"), event()));
    const auto ada = table.put(user("ada"), call());
    REQUIRE(ada);
    CHECK(drain(table, ada) == 2);
    CHECK_FALSE(table.next_in_background()); // a drain for a call takes no background place
    CHECK(drain(table, busy) == 1);
    const auto bob = table.next_in_background();
    REQUIRE(bob);
    CHECK(bob->owner.user_id == "bob");
    CHECK(drain(table, bob) == 1);
    CHECK_FALSE(table.next_in_background());
}

TEST_CASE("events of one product's engines wait for one of each other product's at a time") {
    mailbox_table table(1);
    uuid other;
    other.bytes.front() = 1;
    const auto busy = table.put(user("busy"), event());
    REQUIRE(busy);
    for (const auto* const name : {"ada", "bob", "eve"})
        CHECK_FALSE(table.put(user(name), event()));
    CHECK_FALSE(table.put({other, "late"}, event()));
    CHECK(drain(table, busy) == 1);
    for (const auto* const name : {"ada", "late", "bob", "eve"}) {
        const auto next = table.next_in_background();
        REQUIRE(next);
        CHECK(next->owner.user_id == name);
        CHECK(drain(table, next) == 1);
    }
    CHECK_FALSE(table.next_in_background());
}
