#include "catch.hpp"

#include <roundhouse/core/policy.hpp>

using namespace roundhouse;

namespace {

product product_with(policy limits) {
    product product;
    product.slug = "demo";
    product.policy = std::move(limits);
    return product;
}

policy allowing(std::vector<std::string> versions) {
    policy limits;
    limits.allowed_versions = std::move(versions);
    return limits;
}

settings defaults() {
    settings out;
    out.default_version = "default:1";
    return out;
}

} // namespace

TEST_CASE("a product without a policy may provision any version") {
    CHECK(core::may_provision(product_with({}), "anything:1", defaults()));
}

TEST_CASE("allow_provision false denies every provision") {
    policy limits;
    limits.allow_provision = false;
    const auto denied = core::may_provision(product_with(limits), std::nullopt, defaults());
    REQUIRE_FALSE(denied);
    CHECK(denied.error().code == errc::policy_denied);
}

TEST_CASE("allow_provision true allows provisions, as if it were absent") {
    policy limits;
    limits.allow_provision = true;
    CHECK(core::may_provision(product_with(limits), std::nullopt, defaults()));
}

TEST_CASE("a version that the list names is allowed, another is not") {
    const auto product = product_with(allowing({"engine:1", "engine:2"}));
    CHECK(core::may_provision(product, "engine:2", defaults()));
    CHECK_FALSE(core::may_provision(product, "engine:3", defaults()));
}

TEST_CASE("a star at the end of a pattern matches any rest") {
    const auto product = product_with(allowing({"engine:1*"}));
    CHECK(core::may_provision(product, "engine:1", defaults()));
    CHECK(core::may_provision(product, "engine:1.4", defaults()));
    CHECK_FALSE(core::may_provision(product, "engine:2", defaults()));
}

TEST_CASE("a prefix is compared with a digest, not with the tag beside it") {
    const auto digest = "@sha256:" + std::string(64, 'a');
    const auto of_tags = product_with(allowing({"host:5000/engine:1.*"}));
    CHECK(core::may_provision(of_tags, "host:5000/engine:1.4", defaults()));
    CHECK_FALSE(core::may_provision(of_tags, "host:5000/engine:1.4" + digest, defaults()));
    const auto of_digests = product_with(allowing({"host:5000/engine@sha256:*"}));
    CHECK(core::may_provision(of_digests, "host:5000/engine:1.4" + digest, defaults()));
    CHECK(core::may_provision(of_digests, "host:5000/engine" + digest, defaults()));
    CHECK_FALSE(core::may_provision(of_digests, "host:5000/engine:1.4", defaults()));
    const auto exact = product_with(allowing({"engine:1" + digest}));
    CHECK(core::may_provision(exact, "engine:1" + digest, defaults()));
    CHECK_FALSE(core::may_provision(exact, "engine" + digest, defaults()));
    CHECK(core::may_provision(product_with(allowing({"*"})), "engine:1" + digest, defaults()));
}

TEST_CASE("a star elsewhere matches itself only") {
    const auto product = product_with(allowing({"eng*ne:1"}));
    CHECK(core::may_provision(product, "eng*ne:1", defaults()));
    CHECK_FALSE(core::may_provision(product, "engine:1", defaults()));
}

TEST_CASE("the default version is always allowed, also by name and with an empty list") {
    const auto product = product_with(allowing({}));
    CHECK(core::may_provision(product, std::nullopt, defaults()));
    CHECK(core::may_provision(product, "default:1", defaults()));
    CHECK_FALSE(core::may_provision(product, "other:1", defaults()));
}

TEST_CASE("the default policy holds for a product whose own has no member, and for no other") {
    auto chosen = defaults();
    chosen.default_policy.allow_provision = false;
    CHECK_FALSE(core::may_provision(product_with({}), std::nullopt, chosen));
    policy own;
    own.max_engines = 5;
    CHECK(core::may_provision(product_with(own), std::nullopt, chosen));
    CHECK(core::policy_of(product_with(own), chosen) == own);
    CHECK(core::policy_of(product_with({}), chosen) == chosen.default_policy);
}

TEST_CASE("allow_env false denies variables, and true or nothing allows them") {
    CHECK(core::may_give_env(product_with({}), defaults()));
    policy limits;
    limits.allow_env = true;
    CHECK(core::may_give_env(product_with(limits), defaults()));
    limits.allow_env = false;
    const auto denied = core::may_give_env(product_with(limits), defaults());
    REQUIRE_FALSE(denied);
    CHECK(denied.error().code == errc::policy_denied);
    CHECK(
        denied.error().message ==
        "env: product 'demo' may not give engines variables (policy.allow_env is false). Leave env "
        "out, or ask the operator to change the policy.");
    CHECK(core::may_provision(product_with(limits), std::nullopt, defaults()));
}

TEST_CASE("the ceilings of a policy are what those of an engine may be") {
    const auto fault_of = [](const policy& limits) {
        const auto fault = core::check_policy(limits);
        return fault ? fault->member + ": " + fault->complaint : std::string();
    };
    policy limits;
    limits.max_memory_mb = 6;
    limits.max_cpus = 0.01;
    limits.max_pids = 1;
    limits.max_total_memory_mb = 0;
    CHECK(fault_of(limits).empty());
    limits.max_cpus = 0.0;
    CHECK(fault_of(limits) == "max_cpus: must be a number from 0.01 to 1024, and is 0.");
    limits.max_pids = 0;
    CHECK(fault_of(limits) == "max_pids: must be a whole number from 1 to 4194304, and is 0.");
    limits.max_memory_mb = 5;
    CHECK(fault_of(limits) == "max_memory_mb: must be a whole number from 6 to 4194304, and is 5.");
}
