#include "catch.hpp"

#include <roundhouse/shell/product_rounds.hpp>

#include <cstdint>
#include <optional>
#include <string>

using namespace roundhouse;

namespace {

uuid nth_product(std::uint8_t n) {
    uuid out;
    out.bytes.front() = n;
    return out;
}

} // namespace

TEST_CASE("products take turns in a queue, and what one of them has there keeps its order") {
    detail::product_rounds<std::string> queue;
    CHECK(queue.empty());
    CHECK_FALSE(queue.pop());
    for (const auto* const item : {"a1", "a2", "a3"}) queue.push(nth_product(1), item);
    for (const auto* const item : {"b1", "b2"}) queue.push(nth_product(2), item);
    CHECK(queue.pop() == "a1");
    queue.push(nth_product(3), "c1");
    CHECK(queue.pop() == "b1");
    CHECK(queue.pop() == "a2");
    CHECK(queue.pop() == "c1");
    queue.push(nth_product(3), "c2"); // it has had its turn
    for (const auto* const item : {"b2", "a3", "c2"}) CHECK(queue.pop() == item);
    CHECK(queue.empty());
    queue.push(nth_product(1), "a4");
    queue.clear();
    CHECK_FALSE(queue.pop());
}
