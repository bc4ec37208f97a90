#include "../../catch.hpp"

#include <roundhouse/core/generation.hpp>

#include <string>

using namespace roundhouse;
using core::create_plan;

namespace {

result<create_plan> plan(std::uint64_t requested, std::uint64_t present, workload_state state) {
    workload_ref ref;
    ref.generation = requested;
    return core::plan_create(ref, present, state);
}

} // namespace

TEST_CASE("a create of any generation makes the workload where none is alive") {
    for (const std::uint64_t present : {0U, 6U, 7U, 8U})
        CHECK(plan(7, present, workload_state::down) == create_plan::make);
}

TEST_CASE("a create replaces an older generation, up or paused") {
    CHECK(plan(7, 6, workload_state::up) == create_plan::replace);
    CHECK(plan(7, 6, workload_state::paused) == create_plan::replace);
}

TEST_CASE("a repeated create keeps its workload if that is up, and replaces it if it is paused") {
    CHECK(plan(7, 7, workload_state::up) == create_plan::keep);
    CHECK(plan(7, 7, workload_state::paused) == create_plan::replace);
}

TEST_CASE("a create beside a newer generation fails, and names both") {
    for (const auto state : {workload_state::up, workload_state::paused}) {
        const auto planned = plan(7, 8, state);
        REQUIRE_FALSE(planned);
        CHECK(planned.error().code == errc::backend_error);
        CHECK(planned.error().message.find("runs in a newer generation (8 over 7)") !=
              std::string::npos);
    }
}
