#include "catch.hpp"
#include "lifecycle_rows.hpp"

#include <roundhouse/core/admission.hpp>

#include <chrono>
#include <optional>

using namespace roundhouse;
using namespace std::chrono_literals;

namespace {

const settings plain = lifecycle::plain_settings();

int retry_after_s(const engine_record& engine, std::optional<duration> measured = std::nullopt) {
    auto context = lifecycle::context_of(engine, plain);
    context.restart_in = measured;
    return core::retry_after_s(engine, context);
}

} // namespace

TEST_CASE("a refused admit tells the whole seconds until a restart that is planned") {
    auto engine = lifecycle::failed_engine(intent::none, 38'001ms);
    engine.restart_attempts = 7;
    CHECK(retry_after_s(engine) == 39);
    CHECK(retry_after_s(engine, 12s) == 12); // as measured, whatever the wall clock says
    engine.intent = intent::end;
    CHECK(retry_after_s(engine) == 39);
    CHECK(retry_after_s(lifecycle::failed_engine(intent::none, 0ms)) == 1);
    CHECK(retry_after_s(lifecycle::failed_engine(intent::none, -5s)) == 1);
}

TEST_CASE("a wall clock that was set back does not prolong what a refused admit tells") {
    const auto engine = lifecycle::failed_engine(intent::none, 24h);
    CHECK(retry_after_s(engine) ==
          std::chrono::ceil<std::chrono::seconds>(plain.restart_backoff_base).count());
}

TEST_CASE("a refused admit tells no wait where no restart is planned") {
    CHECK(retry_after_s(lifecycle::failed_engine(intent::none, std::nullopt)) == 0);
    auto stopping = lifecycle::failed_engine(intent::stop, 30s);
    CHECK(retry_after_s(stopping) == 0);
    for (const auto status : {engine_status::running, engine_status::sleeping,
                              engine_status::stopped, engine_status::provisioning})
        CHECK(retry_after_s(lifecycle::engine_in(status, intent::none)) == 0);
}
