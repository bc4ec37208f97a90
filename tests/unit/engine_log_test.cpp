#include "log_lines.hpp"
#include "orchestrator_fixture.hpp"

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

using namespace std::chrono_literals;
using namespace roundhouse_tests;

namespace {

/// A fleet whose log is collected.
struct logged_fleet {
    explicit logged_fleet(memory_backend_script script = {},
                          settings chosen = memory_fleet<>::quick())
        : fleet(std::move(script), chosen, std::make_shared<memory_store>(),
                [this](orchestrator_options& options) {
                    options.log = [this](const log_line& line) { lines.add(line); };
                }),
          product(fleet.registered()) {}

    [[nodiscard]] bool logs(std::initializer_list<std::string_view> parts) const {
        return memory_fleet<>::eventually([&] { return lines.count(parts) > 0; });
    }

    log_lines lines;
    memory_fleet<> fleet;
    product_ptr product;
};

memory_backend_script sick_engines() {
    memory_backend_script script;
    script.answer = [](const workload_ref&) -> result<health> {
        return fail(errc::backend_error, "sick");
    };
    return script;
}

settings short_boots(int attempts) {
    auto out = memory_fleet<>::quick();
    out.boot_timeout = 50ms;
    out.restart_max_attempts = static_cast<decltype(out.restart_max_attempts)>(attempts);
    return out;
}

} // namespace

TEST_CASE("a transition is logged with the engine, its states and its reason") {
    logged_fleet fleet;
    const std::string user = "a\"b\xE2\x80\xAE";
    const auto made = fleet.fleet.orchestrator->of(fleet.product).provision(user);
    REQUIRE(made);
    CHECK(fleet.logs(
        {"info healthy: it serves product=\"demo\" user_id=\"a\\\"b\\u202e\" engine_id=\"" +
             to_string(made->record->id) + '"',
         " from=\"provisioning\" to=\"running\""}));
}

TEST_CASE("a crash is a warning that says what follows") {
    logged_fleet fleet;
    const auto made = fleet.fleet.orchestrator->of(fleet.product).provision("ada");
    REQUIRE(made);
    REQUIRE(fleet.fleet.backend->crash(made->record->id));
    CHECK(fleet.logs({"warning an exit that nobody asked for is a crash. It is restarted",
                      "product=\"demo\" user_id=\"ada\" engine_id=",
                      "from=\"running\" to=\"failed\"", "reason=\"it "}));
}

TEST_CASE("giving up is an error that says what to do") {
    logged_fleet fleet(sick_engines(), short_boots(1));
    CHECK_FALSE(fleet.fleet.orchestrator->of(fleet.product).provision("ada"));
    CHECK(fleet.logs({"error ", "It is not restarted any more: mend the cause", "and start it",
                      "user_id=\"ada\""}));
}

TEST_CASE("without restarts a failed boot is a warning that says what to do") {
    logged_fleet fleet(sick_engines(), short_boots(0));
    CHECK_FALSE(fleet.fleet.orchestrator->of(fleet.product).provision("ada"));
    CHECK(fleet.logs({"warning ", "ORCH_RESTART_MAX_ATTEMPTS", "start it", "user_id=\"ada\""}));
}

TEST_CASE("a lack of host ports is an error that says what to do, once a minute") {
    auto chosen = memory_fleet<>::quick();
    chosen.port_min = chosen.port_max = 9001;
    memory_backend_script script;
    script.needs_port = true;
    logged_fleet fleet(std::move(script), chosen);
    const auto calls = fleet.fleet.orchestrator->of(fleet.product);
    REQUIRE(calls.provision("ada"));
    CHECK(calls.provision("bob").error().code == errc::port_exhaustion);
    CHECK(calls.provision("eve").error().code == errc::port_exhaustion);
    CHECK(fleet.lines.count({"error no host port is free", "widen ORCH_PORT_MIN-ORCH_PORT_MAX",
                             "product=\"demo\" user_id=\"bob\"", "reason=\"No free port in"}) == 1);
    CHECK(fleet.lines.count("no host port is free") == 1);
}
