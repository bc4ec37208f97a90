#include "api_harness.hpp"
#include "catch.hpp"

#include <roundhouse/engine_settings.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse_tests;
using Catch::Matchers::Contains;
using namespace std::chrono_literals;

namespace {

/// Defaults with each member.
roundhouse::defaults_ptr full_defaults() {
    roundhouse::product_defaults out;
    out.version = "engine:1.2";
    out.settings.env_names = {"A", "B"};
    out.settings.sealed_env = "sealed-environment";
    out.settings.metadata = {{"plan", "pro"}};
    out.settings.limits = {.memory_mb = 64, .cpus = 0.5};
    out.settings.sleep = {.after = 1'500ms, .pinned = false};
    out.settings.stop_grace = 2s;
    return std::make_shared<const roundhouse::product_defaults>(std::move(out));
}

const std::string full_text = R"({"defaults":{"engine_version":"engine:1.2","env_names":["A","B"],)"
                              R"("metadata":{"plan":"pro"},"limits":{"memory_mb":64,"cpus":0.5},)"
                              R"("sleep":{"after_s":1.5,"pinned":false},"stop_grace_s":2}})";

} // namespace

TEST_CASE("the defaults of a product are set, and answered without the values of variables") {
    api_harness api;
    api.fake().defaults_set = full_defaults();
    const auto reply = api.ask(
        "PUT", "/products/demo/defaults",
        R"({"defaults":{"engine_version":"engine:1.2","env":{"A":"1","B":"2"},"metadata":{"plan":"pro"},)"
        R"("limits":{"memory_mb":64,"cpus":0.5},"sleep":{"after_s":1.5,"pinned":false},)"
        R"("stop_grace_s":2}})");
    CHECK(reply.status == 200);
    CHECK(json_of(reply) == full_text);
    CHECK(api.fake().calls == std::vector<std::string>{"set_defaults demo"});
    const auto& given = api.fake().defaults_given.value();
    CHECK(given.version == "engine:1.2");
    CHECK(given.env == roundhouse::named_texts{{"A", "1"}, {"B", "2"}});
    CHECK(given.limits == roundhouse::engine_limits{.memory_mb = 64, .cpus = 0.5});
    CHECK(given.sleep.after == 1'500ms);
    CHECK(given.stop_grace == 2s);
}

TEST_CASE("the defaults of a product are read, and are empty if they were never set") {
    api_harness api;
    CHECK(json_of(api.ask("GET", "/products/demo/defaults")) == R"({"defaults":{}})");
    roundhouse::product record;
    record.defaults = full_defaults();
    api.fake().described = roundhouse::product_view{
        std::make_shared<const roundhouse::product>(std::move(record)), {}};
    CHECK(json_of(api.ask("GET", "/products/demo/defaults")) == full_text);
    api.fake().described = fail(roundhouse::errc::product_not_found, "none");
    CHECK(told(api.ask("GET", "/products/gone/defaults")) == "404 PRODUCT_NOT_FOUND");
    api.fake().defaults_set = fail(roundhouse::errc::product_not_found, "none");
    CHECK(told(api.ask("PUT", "/products/gone/defaults", R"({"defaults":{}})")) ==
          "404 PRODUCT_NOT_FOUND");
}

TEST_CASE("malformed defaults are a 400 that names the member, and change nothing") {
    const auto [body, complaint] = GENERATE(table<std::string, std::string>({
        {R"({})", "defaults: is missing"},
        {R"({"defaults":{"env":{"PATH":"/x"}}})", "defaults.env.PATH: is set by the server"},
        {R"({"defaults":{"env":{"A":1}}})", "defaults.env.A: must be"},
        {R"({"defaults":{"limits":{"memory_mb":1}}})", "defaults.limits.memory_mb: must be"},
        {R"({"defaults":{"sleep":{"after_s":-1}}})", "defaults.sleep.after_s: must be"},
        {R"({"defaults":{"sleep":{"pined":true}}})", "defaults.sleep.pined: is not known"},
        {R"({"defaults":{"limits":{"memory":32}}})", "defaults.limits.memory: is not known"},
        {R"({"defaults":{"limit":{}}})", "defaults.limit: is not known here"},
        {R"({"defaults":{"user_id":"ada"}})", "defaults.user_id: is not known here"},
    }));
    api_harness api;
    const auto reply = api.ask("PUT", "/products/demo/defaults", body);
    INFO(body);
    CHECK(reply.status == 400);
    CHECK_THAT(reply.body, Contains(complaint));
    CHECK(api.fake().calls.empty());
}
