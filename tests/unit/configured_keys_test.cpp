// The platform key that an operator has configured takes the place of those that were configured before.

#include "catch.hpp"
#include "orchestrator_fixture.hpp"

#include <roundhouse/core/platform_keys.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

using namespace roundhouse_tests;
using namespace std::chrono_literals;

namespace {

struct configured_fleet : memory_fleet<> {
    configured_key configure(const std::string& key, duration overlap = 0ms) {
        const auto done = orchestrator->async_configure_platform_key("demo", key, overlap, wait);
        REQUIRE(done);
        return *done;
    }
    [[nodiscard]] bool opens(const std::string& key) const {
        const auto found = orchestrator->authenticate(key);
        return found && (*found)->slug == "demo";
    }
    [[nodiscard]] std::string rotated(duration overlap) const {
        const auto made = orchestrator->async_rotate_platform_key("demo", overlap, wait);
        REQUIRE(made);
        return made->platform_key;
    }
    [[nodiscard]] product_ptr demo() const { return *orchestrator->find_product_named("demo"); }
};

const std::string first = "pk-sept-first";
const std::string second = "pk-sept-second";

} // namespace

TEST_CASE("a configured key registers its product, and is then in force without a change") {
    configured_fleet fleet;
    CHECK(fleet.configure(first) == configured_key::registered);
    CHECK(fleet.opens(first));
    const auto revision = fleet.demo()->revision;
    CHECK(fleet.configure(first) == configured_key::in_force);
    fleet.reopen();
    CHECK(fleet.configure(first) == configured_key::in_force);
    CHECK(fleet.demo()->revision == revision);
    CHECK(fleet.demo()->display_name == "demo");
}

TEST_CASE("another configured key takes the place of the one before, and no other key's") {
    configured_fleet fleet;
    fleet.configure(first);
    const auto by_admin = fleet.rotated(1h);
    CHECK(fleet.configure(second) == configured_key::rotated);
    CHECK_FALSE(fleet.opens(first));
    CHECK(fleet.opens(second));
    CHECK(fleet.opens(by_admin));
    const auto revision = fleet.demo()->revision;
    CHECK(fleet.configure(second) == configured_key::in_force);
    CHECK(fleet.demo()->revision == revision);
    const auto rows = fleet.audit(fleet.demo(), audit_action::platform_key_rotated);
    REQUIRE(rows.size() == 2);
    CHECK(rows.front().actor == "system");
    CHECK(rows.front().metadata == metadata{{"key_id", std::int64_t{3}},
                                            {"overlap_ms", std::int64_t{0}},
                                            {"configured", true}});
}

TEST_CASE("an overlap of configured keys is not prolonged by further starts") {
    configured_fleet fleet;
    fleet.configure(first);
    CHECK(fleet.configure(second, 1h) == configured_key::rotated);
    CHECK(fleet.opens(first));
    CHECK(fleet.opens(second));
    const auto ends = fleet.demo()->keys.front().expires_at;
    REQUIRE(ends);
    CHECK(fleet.configure(second, 2h) == configured_key::in_force);
    CHECK(fleet.demo()->keys.front().expires_at == ends);
    CHECK(fleet.configure(second, 0ms) == configured_key::rotated);
    CHECK_FALSE(fleet.opens(first));
}

TEST_CASE("a key that is configured again comes back, in its overlap and after it") {
    configured_fleet fleet;
    fleet.configure(first);
    fleet.configure(second, 1h);
    CHECK(fleet.configure(first) == configured_key::rotated);
    CHECK(fleet.opens(first));
    CHECK_FALSE(fleet.opens(second));
    CHECK_FALSE(fleet.demo()->keys.front().expires_at);
    CHECK(fleet.configure(second) == configured_key::rotated);
    CHECK(fleet.configure(first) == configured_key::rotated);
    CHECK(fleet.opens(first));
    CHECK_FALSE(fleet.opens(second));
}

TEST_CASE("a key that an administrator has ended is not brought back by the configuration") {
    configured_fleet fleet;
    fleet.configure(first);
    const auto by_admin = fleet.rotated(0ms);
    CHECK(fleet.configure(first) == configured_key::not_taken);
    CHECK(fleet.configure(second) == configured_key::not_taken);
    CHECK_FALSE(fleet.opens(first));
    CHECK_FALSE(fleet.opens(second));
    CHECK(fleet.opens(by_admin));
}

TEST_CASE("the end of a configured key that an administrator has set stays") {
    configured_fleet fleet;
    fleet.configure(first);
    (void)fleet.rotated(1h);
    const auto ends = fleet.demo()->keys.front().expires_at;
    REQUIRE(ends);
    CHECK(fleet.configure(first) == configured_key::in_force);
    CHECK(fleet.demo()->keys.front().expires_at == ends);
}

TEST_CASE("a key of the product's own is taken for the configured one, and ended by the next") {
    configured_fleet fleet;
    const auto made = fleet.orchestrator->async_register_product("demo", "Demo", {}, wait);
    REQUIRE(made);
    CHECK(fleet.configure(second) == configured_key::not_taken);
    CHECK(fleet.configure(made->platform_key) == configured_key::in_force);
    CHECK(fleet.demo()->display_name == "Demo");
    CHECK(fleet.audit(fleet.demo(), audit_action::product_update).size() == 1);
    CHECK(fleet.configure(second) == configured_key::rotated);
    CHECK_FALSE(fleet.opens(made->platform_key));
    CHECK(fleet.opens(second));
}

TEST_CASE("a configured key that cannot be had leaves the keys of the product as they were") {
    configured_fleet fleet;
    fleet.configure(first);
    for (std::size_t n = 1; n < core::max_platform_keys; ++n) (void)fleet.rotated(1h);
    const auto refused = fleet.orchestrator->async_configure_platform_key("demo", second, 1h, wait);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::invalid_request);
    CHECK(fleet.opens(first));
    CHECK(fleet.configure(second) == configured_key::rotated); // in the place of the first
    const auto other = fleet.orchestrator->async_register_product("other", "Other", {}, wait);
    REQUIRE(other);
    CHECK_FALSE(
        fleet.orchestrator->async_configure_platform_key("demo", other->platform_key, 0ms, wait));
    CHECK(fleet.opens(second));
}
