#include "catch.hpp"

#include <roundhouse/core/ceilings.hpp>

#include <string>
#include <utility>

using namespace roundhouse;
using Catch::Matchers::Contains;

namespace {

const limit_support holds_all{.memory_mb = true, .cpus = true, .pids = true};

limit_support with_general(engine_limits general) {
    auto out = holds_all;
    out.general = general;
    return out;
}

policy bounding(engine_limits ceilings) {
    policy out;
    out.max_memory_mb = ceilings.memory_mb;
    out.max_cpus = ceilings.cpus;
    out.max_pids = ceilings.pids;
    return out;
}

result<engine_limits> granted(const engine_limits& asked, policy limits,
                              const limit_support& backend = holds_all) {
    product product;
    product.slug = "demo";
    product.policy = std::move(limits);
    return core::grant_limits(asked, product, nullptr, backend, "toy", {});
}

std::string refused(const engine_limits& asked, policy limits,
                    const limit_support& backend = holds_all, errc code = errc::policy_denied) {
    const auto answer = granted(asked, std::move(limits), backend);
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == code);
    return answer.error().message;
}

} // namespace

TEST_CASE("the ceilings in force are the smallest of an engine's, its policy's and those of all") {
    const engine_limits low{.memory_mb = 64, .cpus = 0.5, .pids = 10};
    const engine_limits middle{.memory_mb = 128, .cpus = 1, .pids = 20};
    const engine_limits high{.memory_mb = 256, .cpus = 2, .pids = 30};
    CHECK(core::limits_in_force(low, bounding(middle), with_general(high)) == low);
    CHECK(core::limits_in_force(high, bounding(low), with_general(middle)) == low);
    CHECK(core::limits_in_force(middle, bounding(high), with_general(low)) == low);
    CHECK(core::limits_in_force(low, {}, holds_all) == low);
    CHECK(core::limits_in_force({}, bounding(low), holds_all) == low);
    CHECK(core::limits_in_force({}, {}, with_general(low)) == low);
    CHECK(core::limits_in_force({}, {}, holds_all) == engine_limits{});
    CHECK(core::limits_in_force({.cpus = 0.5}, bounding({.pids = 10}),
                                with_general({.memory_mb = 64, .cpus = 2, .pids = 4'096})) == low);
}

TEST_CASE("a workload is asked for with the ceilings that are below the general ones") {
    const engine_limits general{.memory_mb = 128, .cpus = 1, .pids = 20};
    CHECK(core::workload_limits({}, {}, with_general(general)) == engine_limits{});
    CHECK(core::workload_limits({.memory_mb = 127}, bounding({.cpus = 0.99, .pids = 20}),
                                with_general(general)) ==
          engine_limits{.memory_mb = 127, .cpus = 0.99});
    CHECK(core::workload_limits({.memory_mb = 129}, bounding({.memory_mb = 64}),
                                with_general(general)) == engine_limits{.memory_mb = 64});
    // The operator has lowered the general one since.
    CHECK(core::workload_limits({.memory_mb = 129}, {}, with_general(general)) == engine_limits{});
    CHECK(core::workload_limits({.memory_mb = 129}, {}, holds_all) ==
          engine_limits{.memory_mb = 129});
}

TEST_CASE("an engine gets the ceilings that are asked for, and else those of its policy") {
    const auto limits = bounding({.memory_mb = 128, .cpus = 0.5, .pids = 20});
    CHECK(granted({}, limits).value() == engine_limits{.memory_mb = 128, .cpus = 0.5, .pids = 20});
    CHECK(granted({.memory_mb = 64}, limits).value() ==
          engine_limits{.memory_mb = 64, .cpus = 0.5, .pids = 20});
    CHECK(granted({.memory_mb = 128, .cpus = 0.5, .pids = 20}, limits).value() ==
          core::ceilings_of(limits));
    CHECK(granted({}, {}).value() == engine_limits{});
}

TEST_CASE("a ceiling above the policy's is refused with its member and the number") {
    const auto limits = bounding({.memory_mb = 128, .cpus = 0.5, .pids = 20});
    CHECK(refused({.memory_mb = 129}, limits) ==
          "limits.memory_mb: must be at most 128 (policy.max_memory_mb of product 'demo'). Ask for "
          "less, or ask the operator to change the policy.");
    CHECK_THAT(refused({.cpus = 0.51}, limits),
               Contains("limits.cpus: must be at most 0.5 (policy.max_cpus of product 'demo')"));
    CHECK_THAT(refused({.pids = 21}, limits),
               Contains("limits.pids: must be at most 20 (policy.max_pids of product 'demo')"));
}

TEST_CASE("a ceiling above the operator's is refused whatever the policy allows") {
    CHECK_THAT(
        refused({.memory_mb = 65}, bounding({.memory_mb = 128}), with_general({.memory_mb = 64})),
        Contains("limits.memory_mb: must be at most 64,"));
}

TEST_CASE("a ceiling that the backend cannot hold is the call's fault or the policy's") {
    limit_support some = holds_all;
    some.cpus = false;
    CHECK_THAT(refused({.cpus = 1}, {}, some, errc::invalid_request),
               Contains("limits.cpus: cannot be held by this server's backend (toy)"));
    CHECK_THAT(refused({}, bounding({.cpus = 1}), some),
               Contains("policy.max_cpus: cannot be held by this server's backend (toy)"));
    CHECK_THAT(refused({}, bounding({.memory_mb = 64}), {}), Contains("policy.max_memory_mb: "));
    CHECK_THAT(refused({}, bounding({.pids = 1}), {}), Contains("policy.max_pids: "));
    CHECK(granted({}, bounding({.memory_mb = 64, .pids = 1}), some));
}

TEST_CASE("under a quota of memory an engine needs a ceiling of memory, whoever sets it") {
    policy quota;
    quota.max_total_memory_mb = 1'000;
    const auto message = refused({.cpus = 1, .pids = 1}, quota);
    CHECK_THAT(message, Contains("limits.memory_mb: is needed") &&
                            Contains("policy.max_total_memory_mb (1000)"));
    CHECK(granted({.memory_mb = 64}, quota)->memory_mb == 64U);
    CHECK(granted({}, quota, with_general({.memory_mb = 32}))->memory_mb == 32U);
    quota.max_memory_mb = 16;
    CHECK(granted({}, quota)->memory_mb == 16U);
}

TEST_CASE("the default policy bounds the engines of a product whose own has no member") {
    settings chosen;
    chosen.default_policy.max_memory_mb = 64;
    product product;
    CHECK(core::grant_limits({}, product, nullptr, holds_all, "toy", chosen)->memory_mb == 64U);
    CHECK_FALSE(core::grant_limits({.memory_mb = 65}, product, nullptr, holds_all, "toy", chosen));
    product.policy.allow_provision = true;
    CHECK(core::grant_limits({.memory_mb = 65}, product, nullptr, holds_all, "toy", chosen));
}
