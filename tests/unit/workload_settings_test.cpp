#include "catch.hpp"

#include <roundhouse/backend/docker/container.hpp>
#include <roundhouse/backend/docker/options.hpp>
#include <roundhouse/backend/subprocess/environment.hpp>
#include <roundhouse/backend/subprocess/options.hpp>
#include <roundhouse/core/engine_settings_check.hpp>
#include <roundhouse/engine_settings.hpp>
#include <roundhouse/workload.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse;
using Catch::Matchers::Contains;

namespace {

workload with_variables() {
    workload out;
    out.ref.port = 9001;
    out.env = {{"ENGINE_PORT", "1"}, {"TOKEN", "own"}, {"TZ", "own"}};
    return out;
}

const std::vector<std::pair<std::string, std::string>> of_all{
    {"TZ", "UTC"}, {"LANG", "C"}, {"TOKEN", "of all"}};

bool has(const std::vector<std::string>& texts, const std::string& text) {
    return std::ranges::count(texts, text) == 1;
}

std::string container_of(const docker_options& options, const workload& requested) {
    return detail::docker::description(options, requested).of_container();
}

} // namespace

TEST_CASE(
    "an engine's variables come before those of all, and behind the server's, as subprocess") {
    subprocess_options options;
    options.environment = of_all;
    const auto environment = detail::subprocess::engine_environment(options, with_variables(),
                                                                    "/data");
    for (const auto* const variable : {"ENGINE_PORT=9001", "TOKEN=own", "TZ=own", "LANG=C"})
        CHECK(has(environment, variable));
    for (const auto* const variable : {"ENGINE_PORT=1", "TOKEN=of all", "TZ=UTC"})
        CHECK_FALSE(has(environment, variable));
    // By its id, which is looked for there, an engine's process is found again.
    CHECK(environment.front().starts_with("ENGINE_ID="));
}

TEST_CASE(
    "an engine's variables come before those of all, and behind the server's, in a container") {
    docker_options options;
    options.environment = of_all;
    const auto container = container_of(options, with_variables());
    CHECK_THAT(container, Contains(R"("ENGINE_PORT=8000")") && Contains(R"("TOKEN=own")") &&
                              Contains(R"("TZ=own")") && Contains(R"("LANG=C")"));
    CHECK_THAT(container, !Contains("ENGINE_PORT=1") && !Contains("of all") && !Contains("UTC"));
}

TEST_CASE("no variable that a backend sets can be given to an engine") {
    subprocess_options options;
    options.catalog_dir = "/catalog";
    options.pass_listener = true;
    const auto set = detail::subprocess::engine_environment(options, {}, "/data");
    CHECK(set.size() == 12); // which are those of a container, and more
    for (const auto& variable : set) {
        CAPTURE(variable);
        const auto name = variable.substr(0, variable.find('='));
        const auto fault = core::check_options({.env = {{name, "own"}}});
        REQUIRE(fault);
        CHECK(fault->member == "env." + name);
    }
}

TEST_CASE("a container has its own ceilings, and else those of all") {
    docker_options options;
    options.memory_bytes = 64 * bytes_per_mb;
    options.cpus = 2;
    options.pids = 100;
    workload requested;
    CHECK_THAT(container_of(options, requested),
               Contains(R"("Memory":67108864,"MemorySwap":67108864,"NanoCpus":2000000000,)"
                        R"("PidsLimit":100,)"));
    requested.limits.memory_mb = 128;
    CHECK_THAT(container_of(options, requested),
               Contains(R"("Memory":134217728,"MemorySwap":134217728,"NanoCpus":2000000000,)"
                        R"("PidsLimit":100,)"));
    requested.limits = {.memory_mb = 8, .cpus = 0.5, .pids = 9};
    for (const auto& chosen : {options, docker_options{}})
        CHECK_THAT(container_of(chosen, requested),
                   Contains(R"("Memory":8388608,"MemorySwap":8388608,"NanoCpus":500000000,)"
                            R"("PidsLimit":9,)"));
}

TEST_CASE("Docker holds every ceiling, and tells those of all") {
    docker_options options;
    const auto without = detail::docker::held_limits(options);
    CHECK((without.memory_mb && without.cpus && without.pids));
    CHECK(without.general == engine_limits{.pids = 4'096}); // the options' default
    options.memory_bytes = 64 * bytes_per_mb;
    options.cpus = 2;
    options.pids = 0;
    CHECK(detail::docker::held_limits(options).general ==
          engine_limits{.memory_mb = 64, .cpus = 2});
}
