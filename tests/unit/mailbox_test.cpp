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

/// Takes all of a mailbox's input, as a drain does. Returns how much there was.
int drain(mailbox_table& table, const std::shared_ptr<detail::mailbox>& one) {
    int inputs = 0;
    while (table.next(one)) ++inputs;
    return inputs;
}

} // namespace

TEST_CASE("a slot is drained once for all that is put into it meanwhile, and then is gone") {
    mailbox_table table(1);
    const auto ada = table.put(user("ada"), call());
    REQUIRE(ada);
    CHECK_FALSE(table.put(user("ada"), event()));
    CHECK_FALSE(table.put(user("ada"), call()));
    CHECK(drain(table, ada) == 3);
    CHECK(table.size() == 0);
}

TEST_CASE("of slots with events alone only so many are drained at once, in the order in which they "
          "came") {
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

TEST_CASE("a call does not wait behind the events of others, nor do its engine's own") {
    mailbox_table table(1);
    const auto busy = table.put(user("busy"), event());
    REQUIRE(busy);
    CHECK_FALSE(table.put(user("ada"), event()));
    CHECK_FALSE(table.put(user("bob"), event()));
    const auto ada = table.put(user("ada"), call());
    REQUIRE(ada);
    CHECK(drain(table, ada) == 2);
    CHECK_FALSE(table.next_in_background()); // it took no place there
    CHECK(drain(table, busy) == 1);
    const auto bob = table.next_in_background();
    REQUIRE(bob);
    CHECK(bob->owner.user_id == "bob");
    CHECK(drain(table, bob) == 1);
    CHECK_FALSE(table.next_in_background());
}
