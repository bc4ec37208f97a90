#include "log_lines.hpp"
#include "orchestrator_fixture.hpp"

#include <asio/use_future.hpp>

#include <atomic>

using namespace std::chrono_literals;
using namespace roundhouse_tests;

TEST_CASE("an engine paused by others sleeps, and runs once they resume it") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    const auto id = fleet.orchestrator->of(product).provision("ada")->record->id;
    REQUIRE(fleet.backend->set_paused(id, true));
    REQUIRE(fleet.becomes(product, "ada", engine_status::sleeping));
    CHECK(fleet.orchestrator->of(product).admit("ada")->reason == denial::engine_sleeping);
    CHECK(fleet.audit(product, audit_action::sleep).size() == 1);

    REQUIRE(fleet.backend->set_paused(id, false));
    REQUIRE(fleet.becomes(product, "ada", engine_status::running));
    CHECK(fleet.orchestrator->of(product).admit("ada")->engine);
    CHECK(fleet.audit(product, audit_action::wake).size() == 1);
    CHECK(fleet.orchestrator->metrics(product)->crashes_1h == 0);
}

TEST_CASE("an engine paused by others wakes for an admit with auto_wake") {
    memory_fleet<> fleet;
    const auto product = fleet.registered();
    const auto id = fleet.orchestrator->of(product).provision("ada")->record->id;
    REQUIRE(fleet.backend->set_paused(id, true));
    REQUIRE(fleet.becomes(product, "ada", engine_status::sleeping));
    CHECK(fleet.orchestrator->of(product).admit("ada", {.auto_wake = true})->engine);
    CHECK(fleet.backend->state_of(id) == workload_state::up);
}

TEST_CASE("a restart waits while the backend is away, and uses up no attempt") {
    std::atomic<bool> away = false;
    std::atomic<int> creates = 0;
    const error backend_gone{errc::backend_error, "The daemon is away."};
    memory_backend_script script;
    script.trouble = [&] { return away ? std::optional(backend_gone.message) : std::nullopt; };
    script.fail = [&](backend_operation operation, const workload_ref&) -> std::optional<error> {
        if (operation == backend_operation::create) ++creates;
        return away ? std::optional(backend_gone) : std::nullopt;
    };
    auto settings = memory_fleet<>::quick();
    settings.restart_backoff_base = 1ms;
    settings.retry_base = 1ms;
    memory_fleet<> fleet(std::move(script), settings);
    const auto product = fleet.registered();
    const auto id = fleet.orchestrator->of(product).provision("ada")->record->id;
    away = true;
    REQUIRE(fleet.backend->crash(id));
    REQUIRE(fleet.becomes(product, "ada", engine_status::failed));
    CHECK(fleet.orchestrator->of(product).admit("ada")->reason == denial::engine_unhealthy);
    CHECK(creates == 1);
    CHECK(fleet.audit(product, audit_action::auto_restart_start).empty());

    away = false;
    REQUIRE(fleet.becomes(product, "ada", engine_status::running));
    CHECK(fleet.orchestrator->find(product, "ada")->record->restart_attempts == 1);
}

TEST_CASE("an operation that an away backend refuses leaves no trace and can be retried at once") {
    std::atomic<bool> away = false;
    memory_backend_script script;
    script.fail = [&](backend_operation, const workload_ref&) -> std::optional<error> {
        return away ? std::optional(error{errc::backend_away, "The daemon is away."})
                    : std::nullopt;
    };
    memory_fleet<> fleet(std::move(script));
    const auto product = fleet.registered();
    REQUIRE(fleet.orchestrator->of(product).provision("bob"));
    REQUIRE(fleet.orchestrator->of(product).stop("bob"));
    away = true;
    for (int attempt = 0; attempt < 2; ++attempt) {
        const auto made = fleet.orchestrator->of(product).provision("ada");
        REQUIRE_FALSE(made);
        CHECK(made.error().code == errc::backend_error);
        CHECK_FALSE(fleet.orchestrator->find(product, "ada"));
        CHECK_FALSE(fleet.orchestrator->of(product).start("bob"));
        const auto bob = fleet.orchestrator->find(product, "bob");
        CHECK(bob->record->status == engine_status::stopped);
        CHECK(bob->record->intent == intent::none);
    }
    CHECK(fleet.orchestrator->metrics(product)->total_provisions == 1);
    away = false;
    CHECK(fleet.orchestrator->of(product).provision("ada"));
    CHECK(fleet.orchestrator->of(product).start("bob"));
}

TEST_CASE("an engine that cannot swap its key keeps it while the backend is away") {
    std::atomic<bool> away = true;
    memory_backend_script script;
    script.trouble = [&] {
        return away ? std::optional<std::string>("It is away.") : std::nullopt;
    };
    script.swap = [](const workload_ref&) { return key_swap::unsupported; };
    memory_fleet<> fleet(std::move(script));
    const auto product = fleet.registered();
    const auto made = or_throw(fleet.orchestrator->of(product).provision("ada"));
    const auto refused = fleet.orchestrator->of(product).rotate_key("ada");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::backend_error);
    const auto kept = fleet.orchestrator->find(product, "ada");
    CHECK(kept->record->status == engine_status::running);
    CHECK(kept->record->key_hash == made.record->key_hash);
    away = false;
    CHECK(fleet.orchestrator->of(product).rotate_key("ada"));
}

TEST_CASE("a DELETE does not wait for a boot that is preparing its workload") {
    std::atomic<int> creates = 0;
    memory_backend_script script;
    script.prepare_time = [](const workload&) { return 1h; };
    script.fail = [&](backend_operation operation, const workload_ref&) -> std::optional<error> {
        if (operation == backend_operation::create) ++creates;
        return std::nullopt;
    };
    memory_fleet<> fleet(std::move(script));
    const auto product = fleet.registered();
    auto made = fleet.orchestrator->async_provision(product, "ada", std::nullopt, asio::use_future);
    REQUIRE(fleet.becomes(product, "ada", engine_status::provisioning));
    CHECK(fleet.orchestrator->of(product).destroy("ada"));
    CHECK_FALSE(made.get());
    CHECK_FALSE(fleet.orchestrator->find(product, "ada"));
    CHECK(creates == 0);
}

TEST_CASE("the boot timeout counts from the start of the workload") {
    auto settings = memory_fleet<>::quick();
    settings.boot_timeout = 250ms;
    memory_fleet<> fleet({.latency = 300ms}, settings);
    const auto product = fleet.registered();
    CHECK(fleet.orchestrator->of(product).provision("ada"));
}

TEST_CASE("the last output of an engine whose boot failed is logged with its secrets redacted") {
    const auto store = std::make_shared<memory_store>();
    memory_backend_script script;
    script.answer = [](const workload_ref&) -> result<health> {
        return fail(errc::backend_error, "sick");
    };
    script.output = [&](const workload_ref& ref) {
        const auto row = or_throw(store->find_engine_by_id(ref.engine_id));
        return "first\nENGINE_KEY_HASH=" + to_hex(row->key_hash) + "\nMODEL_TOKEN=hush-hush\n";
    };
    auto settings = memory_fleet<>::quick();
    settings.boot_timeout = 50ms;
    settings.restart_max_attempts = 0;
    log_lines lines;
    memory_fleet<> fleet(std::move(script), settings, store, [&](orchestrator_options& options) {
        options.redacted = {"hush-hush"};
        options.log = [&](const log_line& line) { lines.add(line); };
    });
    const auto product = fleet.registered();
    const auto failed = fleet.orchestrator->of(product).provision("ada");
    REQUIRE_FALSE(failed);
    CHECK(failed.error().message.find("first") == std::string::npos);
    REQUIRE(fleet.eventually([&] { return lines.count("output=\"MODEL_TOKEN=*\"") == 1; }));
    CHECK(lines.count("output=\"first\"") == 1);
    CHECK(lines.count("output=\"ENGINE_KEY_HASH=*\"") == 1);
    CHECK(lines.count("hush-hush") == 0);
    CHECK(lines.count(to_hex(fleet.orchestrator->find(product, "ada")->record->key_hash)) == 0);
}

TEST_CASE("a boot whose port a stranger takes ends, and the next one gets another port") {
    std::atomic<bool> takes = false;
    std::atomic<std::uint16_t> taken = 0;
    memory_backend_script script;
    script.needs_port = true;
    script.port_usable = [&](std::uint16_t port) { return port != taken; };
    script.answer = [&](const workload_ref& ref) -> result<health> {
        if (takes.exchange(false)) taken = ref.port;
        if (ref.port == taken)
            return fail(errc::port_taken, "port " + std::to_string(ref.port) + " is taken");
        return health{};
    };
    memory_fleet<> fleet(std::move(script));
    const auto product = fleet.registered();
    SECTION("of a first boot") {
        takes = true;
        const auto refused = fleet.orchestrator->of(product).provision("ada");
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == errc::backend_error);
        CHECK(refused.error().message.ends_with("port " + std::to_string(taken) + " is taken"));
        CHECK_FALSE(fleet.orchestrator->find(product, "ada"));
        const auto ada = fleet.orchestrator->of(product).provision("ada");
        REQUIRE(ada);
        CHECK(ada->record->port != taken);
    }
    SECTION("of a start") {
        REQUIRE(fleet.orchestrator->of(product).provision("ada"));
        REQUIRE(fleet.orchestrator->of(product).stop("ada"));
        takes = true;
        const auto refused = fleet.orchestrator->of(product).start("ada");
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == errc::port_taken);
        REQUIRE(fleet.becomes(product, "ada", engine_status::stopped));
        REQUIRE(fleet.orchestrator->of(product).start("ada"));
        CHECK(fleet.orchestrator->find(product, "ada")->record->port != taken);
    }
}
