#include "catch.hpp"
#include "waiting_boots.hpp"

#include <roundhouse/shell/turn_queue.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse;
using namespace roundhouse_tests;
using detail::turn_queue;
using enum detail::turn_queue::urgency;

namespace {

turn_queue::allowance weight_of(std::uint64_t weight) {
    turn_queue::allowance out;
    out.revision = 1;
    out.weight = weight;
    return out;
}

/// Lets boots of a product wait, which are named after it and numbered from 1.
void line_up(turn_queue& queue, std::uint8_t n, std::uint64_t weight, const std::string& name,
             int boots) {
    for (int i = 1; i <= boots; ++i)
        REQUIRE(
            queue.enter(awaited, boot_of(n, name + std::to_string(i)), weight_of(weight)).place !=
            0);
}

/// Ends the boots that a queue lets run, the oldest first, until none waits: the users of those
/// that begin by that, in their order.
std::string order_of(turn_queue& queue, std::vector<std::uint8_t> running) {
    std::string out;
    for (std::size_t ended = 0; ended < running.size(); ++ended)
        for (const auto& next : queue.leave(nth_product(running[ended]))) {
            running.push_back(next.owner.product_id.bytes.front());
            out += (out.empty() ? "" : " ") + next.owner.user_id;
        }
    return out;
}

} // namespace

TEST_CASE("in each round a product begins as many boots as its weight says") {
    turn_queue queue(1);
    REQUIRE(queue.enter(awaited, boot_of(9, "first"), {}).place == 0);
    line_up(queue, 1, 1, "a", 3);
    line_up(queue, 2, 2, "b", 4);
    line_up(queue, 3, 3, "c", 6);
    CHECK(order_of(queue, {9}) == "a1 b1 b2 c1 c2 c3 a2 b3 b4 c4 c5 c6 a3");
}

TEST_CASE("products that hold turns get more by their weights") {
    turn_queue queue(5); // one turn is kept
    std::vector<std::uint8_t> running;
    for (int i = 0; i < 4; ++i) {
        REQUIRE(queue.enter(awaited, boot_of(9, "first"), {}).place == 0);
        running.push_back(9);
    }
    REQUIRE(queue.enter(awaited, boot_of(1, "kept"), weight_of(1)).place == 0);
    line_up(queue, 1, 1, "a", 3);
    line_up(queue, 2, 3, "b", 6);
    // Nothing of the second product boots, so it goes first; then its round goes on.
    CHECK(order_of(queue, running) == "b1 b2 b3 a1 b4 b5 b6 a2 a3");
}

TEST_CASE("a lower weight ends the round of a product with the next turn that it takes") {
    turn_queue queue(1);
    REQUIRE(queue.enter(awaited, boot_of(9, "first"), {}).place == 0);
    line_up(queue, 1, 5, "a", 5);
    line_up(queue, 2, 1, "b", 2);
    CHECK(queue.leave(nth_product(9)).size() == 1); // a1
    auto lower = weight_of(2);
    lower.revision = 2;
    CHECK(queue.change(nth_product(1), lower).empty());
    CHECK(queue.change(nth_product(1), weight_of(5)).empty()); // older
    CHECK(order_of(queue, {1}) == "a2 b1 a3 a4 b2 a5");
}

TEST_CASE("a round that was not used up is lost when nothing of the product waits any more") {
    turn_queue queue(1);
    REQUIRE(queue.enter(awaited, boot_of(1, "a1"), weight_of(3)).place == 0);
    line_up(queue, 2, 1, "b", 1);
    REQUIRE(queue.enter(awaited, boot_of(1, "a2"), weight_of(3)).place != 0);
    CHECK(order_of(queue, {1}) == "b1 a2");
}

namespace {

/// Drives a queue with boots that enter, end and are withdrawn at random, and counts for each
/// product without a turn how many turns each other product takes while it waits.
class random_load {
public:
    static constexpr std::uint8_t products = 5;

    explicit random_load(std::uint32_t seed) : random_(seed), turns_(1 + below(6)), queue_(turns_) {
        for (auto& weight : weights_) weight = 1 + below(4);
    }

    void step() {
        const auto n = static_cast<std::uint8_t>(below(products));
        auto& one = of_[n];
        if (below(2) == 0) {
            enter(n);
        } else if (one.held > 0 && below(3) != 0) {
            --one.held;
            begin(queue_.leave(nth_product(n)));
        } else if (!one.places.empty()) {
            const auto place = one.places.begin();
            CHECK(queue_.withdraw(place->second));
            one.places.erase(place);
        }
        for (auto& any : of_)
            if (any.places.empty() || any.held > 0) any.overtaken = {};
    }

    [[nodiscard]] std::uint64_t begun() const { return begun_; }

private:
    struct product_state {
        std::uint64_t held = 0;
        std::map<std::string, turn_queue::ticket> places; ///< Of the boots that wait, by user.
        std::array<std::uint64_t, products> overtaken{};  ///< Turns of each other product.
    };

    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

    void enter(std::uint8_t n) {
        const auto user = std::to_string(++last_user_);
        const auto how = below(2) == 0 ? awaited : background;
        auto entered = queue_.enter(how, boot_of(n, user), weight_of(weights_[n]));
        if (entered.place != 0) of_[n].places.emplace(user, entered.place);
        else count(n);
        begin(entered.begun);
    }

    void begin(const std::vector<turn_queue::command>& boots) {
        for (const auto& boot : boots) {
            const auto n = boot.owner.product_id.bytes.front();
            CHECK(of_[n].places.erase(boot.owner.user_id) == 1);
            count(n);
        }
    }

    void count(std::uint8_t taker) {
        ++begun_;
        ++of_[taker].held;
        of_[taker].overtaken = {};
        for (std::uint8_t n = 0; n < products; ++n) {
            auto& other = of_[n];
            if (n == taker || other.held > 0 || other.places.empty()) continue;
            CHECK(++other.overtaken[taker] <= weights_[taker]);
        }
    }

    std::minstd_rand random_;
    std::size_t turns_;
    turn_queue queue_;
    std::array<std::uint64_t, products> weights_{};
    std::array<product_state, products> of_;
    std::uint64_t last_user_ = 0;
    std::uint64_t begun_ = 0;
};

} // namespace

TEST_CASE("while a product that holds no turn waits, no other takes more turns than its weight") {
    for (std::uint32_t seed = 1; seed <= 50; ++seed) {
        CAPTURE(seed);
        random_load load(seed);
        for (int i = 0; i < 500; ++i) load.step();
        CHECK(load.begun() > 0);
    }
}
