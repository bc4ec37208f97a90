#include "catch.hpp"

#include <roundhouse/core/policy.hpp>

using namespace roundhouse;

namespace {

product with(policy limits) {
    product who;
    who.slug = "demo";
    who.policy = std::move(limits);
    return who;
}

policy only(std::vector<std::string> versions) {
    policy limits;
    limits.allowed_versions = std::move(versions);
    return limits;
}

} // namespace

TEST_CASE("a product without a policy may provision any version") {
    CHECK(core::may_provision(with({}), "anything:1", "default:1"));
}

TEST_CASE("allow_provision false denies every provision") {
    policy limits;
    limits.allow_provision = false;
    const auto denied = core::may_provision(with(limits), std::nullopt, "default:1");
    REQUIRE_FALSE(denied);
    CHECK(denied.error().code == errc::policy_denied);
}

TEST_CASE("allow_provision true is as if it were absent") {
    policy limits;
    limits.allow_provision = true;
    CHECK(core::may_provision(with(limits), std::nullopt, "default:1"));
}

TEST_CASE("a version that the list names is allowed, another is not") {
    const auto who = with(only({"engine:1", "engine:2"}));
    CHECK(core::may_provision(who, "engine:2", "default:1"));
    CHECK_FALSE(core::may_provision(who, "engine:3", "default:1"));
}

TEST_CASE("a star at the end of a pattern stands for any rest") {
    const auto who = with(only({"engine:1*"}));
    CHECK(core::may_provision(who, "engine:1", "default:1"));
    CHECK(core::may_provision(who, "engine:1.4", "default:1"));
    CHECK_FALSE(core::may_provision(who, "engine:2", "default:1"));
}

TEST_CASE("a star elsewhere stands for itself") {
    const auto who = with(only({"eng*ne:1"}));
    CHECK(core::may_provision(who, "eng*ne:1", "default:1"));
    CHECK_FALSE(core::may_provision(who, "engine:1", "default:1"));
}

TEST_CASE("the default version is always allowed, also by name and under an empty list") {
    const auto who = with(only({}));
    CHECK(core::may_provision(who, std::nullopt, "default:1"));
    CHECK(core::may_provision(who, "default:1", "default:1"));
    CHECK_FALSE(core::may_provision(who, "other:1", "default:1"));
}
