#include "catch.hpp"
#include "orchestrator_fixture.hpp"

#include <roundhouse/core/platform_keys.hpp>
#include <roundhouse/shell/platform_key_uses.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using namespace roundhouse_tests;
using namespace std::chrono_literals;

namespace {

/// A clock whose wall time a test can put forward.
class forwarded_clock : public roundhouse::system_clock {
public:
    [[nodiscard]] instant now() const noexcept {
        return roundhouse::system_clock::now() + duration{ahead_ms.load()};
    }
    std::atomic<duration::rep> ahead_ms = 0;
};

using key_fleet = memory_fleet<forwarded_clock>;

/// Registers the product `demo`, and returns its key.
std::string registered_key(key_fleet& fleet) {
    return fleet.orchestrator->async_register_product("demo", "Demo", {}, wait)->platform_key;
}

std::string rotated_key(key_fleet& fleet, duration overlap) {
    const auto made = fleet.orchestrator->async_rotate_platform_key("demo", overlap, wait);
    REQUIRE(made);
    return made->platform_key;
}

/// Whether a key is taken for that of `demo`.
bool opens(key_fleet& fleet, const std::string& key) {
    const auto found = fleet.orchestrator->authenticate(key);
    if (found) return (*found)->slug == "demo";
    CHECK(found.error().code == errc::invalid_platform_key);
    return false;
}

std::vector<platform_key_view> keys_shown(key_fleet& fleet) {
    const auto seen = fleet.orchestrator->describe_product("demo");
    REQUIRE(seen);
    return seen->keys;
}

/// The numbers of the keys that are shown, such as `1 3 `.
std::string ids_shown(key_fleet& fleet) {
    std::string out;
    for (const auto& key : keys_shown(fleet)) out += std::to_string(key.id) + ' ';
    return out;
}

} // namespace

TEST_CASE("a rotation without an overlap replaces all platform keys") {
    key_fleet fleet;
    const auto first = registered_key(fleet);
    const auto second = rotated_key(fleet, 1h);
    const auto third = rotated_key(fleet, 0s);
    CHECK_FALSE(opens(fleet, first));
    CHECK_FALSE(opens(fleet, second));
    CHECK(opens(fleet, third));
    CHECK(ids_shown(fleet) == "3 ");
}

TEST_CASE("older platform keys are in force for the overlap of a rotation, by the wall clock") {
    key_fleet fleet;
    const auto first = registered_key(fleet);
    const auto second = rotated_key(fleet, 1h);
    CHECK(opens(fleet, first));
    CHECK(opens(fleet, second));
    CHECK(ids_shown(fleet) == "1 2 ");
    CHECK(keys_shown(fleet)[0].expires_at);
    CHECK_FALSE(keys_shown(fleet)[1].expires_at);
    fleet.clock->ahead_ms = duration{1h}.count() + 1;
    CHECK_FALSE(opens(fleet, first));
    CHECK(opens(fleet, second));
    CHECK(ids_shown(fleet) == "2 ");
    CHECK((*fleet.orchestrator->find_product_named("demo"))->keys.size() == 2);
    REQUIRE(fleet.orchestrator->async_set_policy("demo", {}, wait));
    CHECK((*fleet.orchestrator->find_product_named("demo"))->keys.size() == 1);
    CHECK(opens(fleet, second));
}

TEST_CASE("a later rotation brings the end of older platform keys forward, and never puts it off") {
    key_fleet fleet;
    const auto first = registered_key(fleet);
    rotated_key(fleet, 1h);
    const auto end = keys_shown(fleet)[0].expires_at;
    REQUIRE(end);
    rotated_key(fleet, 10h);
    CHECK(keys_shown(fleet)[0].expires_at == end);
    rotated_key(fleet, 10min);
    CHECK(keys_shown(fleet)[0].expires_at < end);
    CHECK(opens(fleet, first));
}

TEST_CASE(
    "a deleted platform key is refused, and after the last one a rotation lets the product in") {
    key_fleet fleet;
    const auto first = registered_key(fleet);
    const auto second = rotated_key(fleet, 1h);
    REQUIRE(fleet.orchestrator->async_delete_platform_key("demo", 1, wait));
    CHECK_FALSE(opens(fleet, first));
    CHECK(opens(fleet, second));
    CHECK(fleet.orchestrator->async_delete_platform_key("demo", 1, wait).error().code ==
          errc::platform_key_not_found);
    CHECK(opens(fleet, second));
    REQUIRE(fleet.orchestrator->async_delete_platform_key("demo", 2, wait));
    CHECK_FALSE(opens(fleet, second));
    CHECK(keys_shown(fleet).empty());
    const auto third = rotated_key(fleet, 1h);
    CHECK(opens(fleet, third));
    CHECK(ids_shown(fleet) == "3 ");
}

TEST_CASE("a product's handle goes on whatever becomes of the platform keys") {
    key_fleet fleet;
    const auto key = registered_key(fleet);
    const auto demo = fleet.orchestrator->of(*fleet.orchestrator->authenticate(key));
    REQUIRE(demo.provision("ada"));
    rotated_key(fleet, 0s);
    CHECK(demo.admit("ada")->engine);
    const auto at_once = demo.try_admit("ada");
    REQUIRE(at_once);
    REQUIRE(*at_once);
    CHECK((*at_once)->engine);
    REQUIRE(fleet.orchestrator->async_delete_platform_key("demo", 2, wait));
    CHECK(demo.admit("ada")->engine);
}

TEST_CASE("the last use of a platform key is shown to the minute") {
    key_fleet fleet;
    const auto key = registered_key(fleet);
    CHECK_FALSE(keys_shown(fleet)[0].last_used_at);
    const auto before = std::chrono::floor<std::chrono::minutes>(fleet.clock->now());
    CHECK(opens(fleet, key));
    const auto first = keys_shown(fleet)[0].last_used_at;
    REQUIRE(first);
    CHECK(*first >= before);
    CHECK(*first == std::chrono::floor<std::chrono::minutes>(*first));
    CHECK(*first <= fleet.clock->now());
    fleet.clock->ahead_ms = duration{2h}.count();
    CHECK(opens(fleet, key));
    CHECK(*keys_shown(fleet)[0].last_used_at >= *first + 2h);
    rotated_key(fleet, 1h);
    CHECK_FALSE(keys_shown(fleet)[1].last_used_at);
}

TEST_CASE("a product has a bounded number of platform keys") {
    key_fleet fleet;
    registered_key(fleet);
    std::string last;
    for (std::size_t i = 1; i < core::max_platform_keys; ++i) last = rotated_key(fleet, 1h);
    const auto refused = fleet.orchestrator->async_rotate_platform_key("demo", 1h, wait);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::invalid_request);
    CHECK(opens(fleet, last));
    REQUIRE(fleet.orchestrator->async_delete_platform_key("demo", 1, wait));
    rotated_key(fleet, 1h);
    const auto only = rotated_key(fleet, 0s);
    CHECK(opens(fleet, only));
    CHECK(keys_shown(fleet).size() == 1);
}

TEST_CASE("a rotation is refused with an overlap that is none, or where there is no product") {
    key_fleet fleet;
    const auto key = registered_key(fleet);
    for (const auto overlap : {duration{-1}, core::longest_key_overlap + duration{1}})
        CHECK(fleet.orchestrator->async_rotate_platform_key("demo", overlap, wait).error().code ==
              errc::invalid_request);
    CHECK(fleet.orchestrator->async_rotate_platform_key("other", 0s, wait).error().code ==
          errc::product_not_found);
    CHECK(fleet.orchestrator->async_delete_platform_key("other", 1, wait).error().code ==
          errc::product_not_found);
    CHECK(opens(fleet, key));
    CHECK(ids_shown(fleet) == "1 ");
}

TEST_CASE("rotations and deletions of platform keys are audited without the keys") {
    key_fleet fleet;
    registered_key(fleet);
    rotated_key(fleet, 90s);
    REQUIRE(fleet.orchestrator->async_delete_platform_key("demo", 1, wait));
    CHECK_FALSE(fleet.orchestrator->async_delete_platform_key("demo", 1, wait));
    const auto product = *fleet.orchestrator->find_product_named("demo");
    const auto rotated = fleet.audit(product, audit_action::platform_key_rotated);
    REQUIRE(rotated.size() == 1);
    CHECK(rotated.front().actor == "admin");
    CHECK(rotated.front().metadata ==
          metadata{{"key_id", std::int64_t{2}}, {"overlap_ms", std::int64_t{90'000}}});
    const auto deleted = fleet.audit(product, audit_action::platform_key_deleted);
    REQUIRE(deleted.size() == 1);
    CHECK(deleted.front().metadata == metadata{{"key_id", std::int64_t{1}}});
}

TEST_CASE("uses of platform keys that share a place are all kept") {
    detail::platform_key_uses uses;
    sha256_digest first{};
    sha256_digest second{};
    second[7] = 1;
    const instant noon{1'800'000'000s};
    uses.note(first, noon + 59s);
    uses.note(second, noon + 60s);
    uses.note(first, noon + 60s);
    CHECK(uses.last_use(first) == noon + 60s);
    CHECK(uses.last_use(second) == noon + 60s);
    uses.note(first, noon); // the clock was set back
    CHECK(uses.last_use(first) == noon + 60s);
    uses.forget(first);
    CHECK_FALSE(uses.last_use(first));
    CHECK(uses.last_use(second));
}
