#include "catch.hpp"

#include <roundhouse/core/backoff.hpp>
#include <roundhouse/core/rolling_metrics.hpp>

using namespace roundhouse;
using namespace std::chrono_literals;

namespace {

constexpr instant noon{1'800'000'000s};

audit_entry row(audit_action action, instant at) {
    audit_entry out;
    out.action = action;
    out.timestamp = at;
    return out;
}

audit_entry boot(instant at, duration took) {
    auto out = row(audit_action::provision, at);
    out.from = engine_status::provisioning;
    out.to = engine_status::running;
    out.took = took;
    return out;
}

} // namespace

TEST_CASE("provisions, crashes and restarts are counted from their audit rows") {
    core::rolling_metrics metrics;
    metrics.add(boot(noon, 100ms));
    auto crash = row(audit_action::health_failed, noon + 1s);
    crash.from = engine_status::running;
    crash.to = engine_status::failed;
    metrics.add(crash);
    metrics.add(row(audit_action::auto_restart_start, noon + 2s));
    metrics.add(row(audit_action::stop, noon + 3s));
    const auto now = metrics.read(noon + 4s);
    CHECK(now.provisions == 1);
    CHECK(now.crashes == 1);
    CHECK(now.restarts == 1);
    CHECK(now.avg_boot_ms() == 100.0);
}

TEST_CASE("events count until they are an hour old") {
    core::rolling_metrics metrics;
    metrics.add(boot(noon, 100ms));
    metrics.add(boot(noon + 10s, 300ms));
    CHECK(metrics.read(noon + 3599s).avg_boot_ms() == 200.0);
    CHECK(metrics.read(noon + 3600s).avg_boot_ms() == 300.0);
    CHECK(metrics.read(noon + 3610s).provisions == 0);
    CHECK(metrics.read(noon + 3610s).avg_boot_ms() == 0.0);
}

TEST_CASE("a first boot that timed out counts as a provision and a crash, and not as a boot") {
    core::rolling_metrics metrics;
    auto timeout = row(audit_action::provision, noon);
    timeout.from = engine_status::provisioning;
    timeout.to = engine_status::failed;
    timeout.took = 60s;
    metrics.add(timeout);
    const auto now = metrics.read(noon);
    CHECK(now.provisions == 1);
    CHECK(now.crashes == 1);
    CHECK(now.boots == 0);
}

TEST_CASE("a backoff doubles with each attempt up to its cap") {
    CHECK(core::backoff(1, 5s, 300s, 0) == 5s);
    CHECK(core::backoff(2, 5s, 300s, 0) == 10s);
    CHECK(core::backoff(6, 5s, 300s, 0) == 160s);
    CHECK(core::backoff(7, 5s, 300s, 0) == 300s);
    CHECK(core::backoff(4'000'000, 5s, 300s, 0) == 300s);
}

TEST_CASE("jitter makes a backoff at most a tenth shorter, and never longer") {
    CHECK(core::backoff(1, 5s, 300s, 0.999) >= 4500ms);
    CHECK(core::backoff(1, 5s, 300s, 0.5) == 4750ms);
    CHECK(core::backoff(9, 5s, 300s, 0.5) == 285s);
}
