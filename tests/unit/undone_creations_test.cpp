#include "catch.hpp"
#include "waiting_boots.hpp"

#include <roundhouse/shell/undone_creations.hpp>

#include <chrono>
#include <cstddef>
#include <string>

using namespace roundhouse;
using namespace roundhouse_tests;
using namespace std::chrono_literals;
using detail::undone_creations;

namespace {

engine_owner user(std::uint8_t product, std::size_t number) {
    return {nth_product(product), "user-" + std::to_string(number)};
}

} // namespace

TEST_CASE(
    "what was noted of an undone creation is found until its time is over or it is forgotten") {
    undone_creations notes;
    CHECK_FALSE(notes.find(user(1, 0), 0s));
    notes.note(user(1, 0), {"first", instant{1s}}, 0s);
    notes.note(user(1, 0), {"second", instant{2s}}, 1s);
    REQUIRE(notes.find(user(1, 0), 1s));
    CHECK(notes.find(user(1, 0), 1s)->reason == "second");
    CHECK(notes.find(user(1, 0), 10min + 999ms));
    CHECK_FALSE(notes.find(user(1, 0), 10min + 1s));
    CHECK_FALSE(notes.find(user(2, 0), 1s));
    notes.forget(user(1, 0));
    CHECK_FALSE(notes.find(user(1, 0), 1s));
}

TEST_CASE("of a product's undone creations the oldest make room, and others keep theirs") {
    undone_creations notes;
    notes.note(user(2, 0), {"other", {}}, 0s);
    for (std::size_t i = 0; i <= undone_creations::most_of_a_product; ++i)
        notes.note(user(1, i), {"own", {}}, 0s);
    CHECK_FALSE(notes.find(user(1, 0), 1s));
    CHECK(notes.find(user(1, 1), 1s));
    CHECK(notes.find(user(1, undone_creations::most_of_a_product), 1s));
    CHECK(notes.find(user(2, 0), 1s));
}

TEST_CASE("what was noted of a product's undone creations goes with the product") {
    undone_creations notes;
    notes.note(user(1, 0), {"own", {}}, 0s);
    notes.note(user(2, 0), {"other", {}}, 0s);
    notes.note(user(1, 1), {"own", {}}, 0s);
    notes.forget_product(nth_product(1));
    CHECK_FALSE(notes.find(user(1, 0), 1s));
    CHECK_FALSE(notes.find(user(1, 1), 1s));
    CHECK(notes.find(user(2, 0), 1s));
    notes.forget_product(nth_product(3));
    CHECK(notes.find(user(2, 0), 1s));
}

TEST_CASE("of all undone creations the oldest make room") {
    undone_creations notes;
    notes.note(user(0, 0), {"oldest", {}}, 0s);
    constexpr auto products = undone_creations::most / undone_creations::most_of_a_product;
    for (std::size_t product = 1; product <= products; ++product)
        for (std::size_t i = 0; i < undone_creations::most_of_a_product; ++i)
            notes.note(user(static_cast<std::uint8_t>(product), i), {"later", {}}, 0s);
    CHECK_FALSE(notes.find(user(0, 0), 1s));
    CHECK(notes.find(user(1, 0), 1s));
}
