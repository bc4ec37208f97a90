#include "orchestrator_fixture.hpp"

#include <asio/use_future.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>

using namespace std::chrono_literals;
using namespace roundhouse_tests;

namespace {

/// The lines of a log.
class kept_lines {
public:
    void add(std::string_view line) {
        const std::lock_guard lock(mutex_);
        lines_.emplace_back(line);
    }
    [[nodiscard]] std::size_t with(std::string_view text) const {
        const std::lock_guard lock(mutex_);
        return static_cast<std::size_t>(std::ranges::count_if(
            lines_, [&](const std::string& line) { return line.find(text) != std::string::npos; }));
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
};

} // namespace

TEST_CASE("an engine that somebody else pauses sleeps, and one that they resume runs") {
    memory_fleet<> fleet;
    const auto who = fleet.registered();
    const auto id = fleet.sync->provision(who, "ada")->record->id;
    REQUIRE(fleet.backend->set_paused(id, true));
    REQUIRE(fleet.becomes(who, "ada", engine_status::sleeping));
    CHECK(fleet.sync->admit(who, "ada")->reason == denial::engine_sleeping);
    CHECK(fleet.audit(who, audit_action::sleep).size() == 1);

    REQUIRE(fleet.backend->set_paused(id, false));
    REQUIRE(fleet.becomes(who, "ada", engine_status::running));
    CHECK(fleet.sync->admit(who, "ada")->engine);
    CHECK(fleet.audit(who, audit_action::wake).size() == 1);
    CHECK(fleet.over->metrics(who)->crashes_1h == 0);
}

TEST_CASE("an engine that somebody else paused wakes for an admit that asks") {
    memory_fleet<> fleet;
    const auto who = fleet.registered();
    const auto id = fleet.sync->provision(who, "ada")->record->id;
    REQUIRE(fleet.backend->set_paused(id, true));
    REQUIRE(fleet.becomes(who, "ada", engine_status::sleeping));
    CHECK(fleet.sync->admit(who, "ada", {.auto_wake = true})->engine);
    CHECK(fleet.backend->state_of(id) == workload_state::up);
}

TEST_CASE("a restart waits while the backend is away, and uses up no attempt") {
    std::atomic<bool> away = false;
    std::atomic<int> asked = 0;
    const error gone{errc::backend_error, "The daemon is away."};
    memory_backend_script script;
    script.trouble = [&] { return away ? std::optional(gone.message) : std::nullopt; };
    script.fail = [&](backend_operation what, const workload_ref&) -> std::optional<error> {
        if (what == backend_operation::create) ++asked;
        return away ? std::optional(gone) : std::nullopt;
    };
    auto with = memory_fleet<>::quick();
    with.restart_backoff_base = 1ms;
    with.retry_base = 1ms;
    memory_fleet<> fleet(std::move(script), with);
    const auto who = fleet.registered();
    const auto id = fleet.sync->provision(who, "ada")->record->id;
    away = true;
    REQUIRE(fleet.backend->crash(id));
    REQUIRE(fleet.becomes(who, "ada", engine_status::failed));
    CHECK(fleet.sync->admit(who, "ada")->reason == denial::engine_unhealthy);
    CHECK(asked == 1);
    CHECK(fleet.audit(who, audit_action::auto_restart_start).empty());

    away = false;
    REQUIRE(fleet.becomes(who, "ada", engine_status::running));
    CHECK(fleet.over->find(who, "ada")->record->restart_attempts == 1);
}

TEST_CASE("what an away backend cannot do leaves no trace, and can be asked for again at once") {
    std::atomic<bool> away = false;
    memory_backend_script script;
    script.fail = [&](backend_operation, const workload_ref&) -> std::optional<error> {
        return away ? std::optional(error{errc::backend_away, "The daemon is away."})
                    : std::nullopt;
    };
    memory_fleet<> fleet(std::move(script));
    const auto who = fleet.registered();
    REQUIRE(fleet.sync->provision(who, "bob"));
    REQUIRE(fleet.sync->stop(who, "bob"));
    away = true;
    for (int attempt = 0; attempt < 2; ++attempt) {
        const auto made = fleet.sync->provision(who, "ada");
        REQUIRE_FALSE(made);
        CHECK(made.error().code == errc::backend_error);
        CHECK_FALSE(fleet.over->find(who, "ada"));
        CHECK_FALSE(fleet.sync->start(who, "bob"));
        const auto bob = fleet.over->find(who, "bob");
        CHECK(bob->record->status == engine_status::stopped);
        CHECK(bob->record->intent == intent::none);
    }
    CHECK(fleet.over->metrics(who)->total_provisions == 1);
    away = false;
    CHECK(fleet.sync->provision(who, "ada"));
    CHECK(fleet.sync->start(who, "bob"));
}

TEST_CASE("who can take no key while it runs keeps its own while the backend is away") {
    std::atomic<bool> away = true;
    memory_backend_script script;
    script.trouble = [&] {
        return away ? std::optional<std::string>("It is away.") : std::nullopt;
    };
    script.swap = [](const workload_ref&) { return key_swap::unsupported; };
    memory_fleet<> fleet(std::move(script));
    const auto who = fleet.registered();
    const auto made = or_throw(fleet.sync->provision(who, "ada"));
    const auto refused = fleet.sync->rotate_key(who, "ada");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == errc::backend_error);
    const auto kept = fleet.over->find(who, "ada");
    CHECK(kept->record->status == engine_status::running);
    CHECK(kept->record->key_hash == made.record->key_hash);
    away = false;
    CHECK(fleet.sync->rotate_key(who, "ada"));
}

TEST_CASE("a DELETE does not wait for what a boot is fetching") {
    std::atomic<int> creates = 0;
    memory_backend_script script;
    script.prepare_time = 1h;
    script.fail = [&](backend_operation what, const workload_ref&) -> std::optional<error> {
        if (what == backend_operation::create) ++creates;
        return std::nullopt;
    };
    memory_fleet<> fleet(std::move(script));
    const auto who = fleet.registered();
    auto made = fleet.over->async_provision(who, "ada", std::nullopt, asio::use_future);
    REQUIRE(fleet.becomes(who, "ada", engine_status::provisioning));
    CHECK(fleet.sync->destroy(who, "ada"));
    CHECK_FALSE(made.get());
    CHECK_FALSE(fleet.over->find(who, "ada"));
    CHECK(creates == 0);
}

TEST_CASE("the time of a boot runs from the start of its workload") {
    auto with = memory_fleet<>::quick();
    with.boot_timeout = 20ms;
    memory_fleet<> fleet({.latency = 200ms}, with);
    const auto who = fleet.registered();
    CHECK(fleet.sync->provision(who, "ada"));
}

TEST_CASE("what an engine wrote before its boot failed is logged, without what is secret") {
    const auto store = std::make_shared<memory_store>();
    memory_backend_script script;
    script.answer = [](const workload_ref&) -> result<health> {
        return fail(errc::backend_error, "sick");
    };
    script.output = [&](const workload_ref& ref) {
        const auto row = or_throw(store->find_engine_by_id(ref.engine_id));
        return "first\nENGINE_KEY_HASH=" + to_hex(row->key_hash) + "\nMODEL_TOKEN=hush-hush\n";
    };
    auto with = memory_fleet<>::quick();
    with.boot_timeout = 50ms;
    with.restart_max_attempts = 0;
    kept_lines lines;
    memory_fleet<> fleet(std::move(script), with, store, [&](orchestrator_options& options) {
        options.hidden = {"hush-hush"};
        options.log = [&](log_level, std::string_view line) { lines.add(line); };
    });
    const auto who = fleet.registered();
    const auto failed = fleet.sync->provision(who, "ada");
    REQUIRE_FALSE(failed);
    CHECK(failed.error().message.find("first") == std::string::npos);
    REQUIRE(fleet.eventually([&] { return lines.with("wrote: MODEL_TOKEN=*") == 1; }));
    CHECK(lines.with("wrote: first") == 1);
    CHECK(lines.with("wrote: ENGINE_KEY_HASH=*") == 1);
    CHECK(lines.with("hush-hush") == 0);
    CHECK(lines.with(to_hex(fleet.over->find(who, "ada")->record->key_hash)) == 0);
}
