#include "catch.hpp"
#include "lifecycle_rows.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

using namespace roundhouse;

namespace {

std::string state_of(const engine_record& record) {
    return std::string(name_of(record.status)) + "/" + std::string(name_of(record.intent));
}

std::string row_after(const core::decision& out) {
    switch (out.row) {
    case core::row_change::none: return "as it is";
    case core::row_change::erase: return "gone";
    case core::row_change::undo: return "undone";
    default: return state_of(out.next) + " g" + std::to_string(out.next.generation);
    }
}

std::string audited(const core::decision& out) {
    std::string text;
    for (const auto& row : out.audit)
        text += (text.empty() ? "" : ", ") + std::string(name_of(row.action));
    return text.empty() ? "-" : text;
}

std::string outcome_of(const core::decision& out) {
    std::string text = out.verdict == core::verdict::none ? "" : std::string(name_of(out.verdict));
    if (out.verdict == core::verdict::refused)
        text += " " + std::string(code_name(out.refusal.code));
    if (out.settled) {
        text += text.empty() ? "settled " : ", settled ";
        text += out.settled->failure ? code_name(out.settled->failure->code) : "ok";
    }
    return text.empty() ? "-" : text;
}

std::string line(const std::string& input, const core::decision& out) {
    return "  " + input + " -> " + row_after(out) + (out.choose_port ? " port" : "") + " | ask " +
           std::string(name_of(out.command)) + " | " + outcome_of(out) + " | " + audited(out) +
           " | " + std::string(out.why) + "\n";
}

std::string whole_table() {
    const auto settings = lifecycle::plain_settings();
    std::string text;
    for (const auto& [name, record] : lifecycle::all_records()) {
        const auto context = lifecycle::context_of(record, settings);
        text += name + "\n";
        for (const auto& [input, call] : lifecycle::all_calls())
            text += line("call " + input, core::decide(call, record, context));
        for (const auto& [input, event] : lifecycle::all_events())
            text += line(input, core::decide(lifecycle::event_for(record, event), record, context));
    }
    return text;
}

std::filesystem::path table_file() {
    return std::filesystem::path(__FILE__).parent_path() / "lifecycle_table.txt";
}

} // namespace

// ROUNDHOUSE_REFRESH_TABLE=1 rewrites the table: review the difference before committing it.
TEST_CASE("every call and event in every state is decided as the table says") {
    const auto now = whole_table();
    if (std::getenv("ROUNDHOUSE_REFRESH_TABLE") != nullptr) std::ofstream(table_file()) << now;
    std::ifstream file(table_file());
    std::stringstream written;
    written << file.rdbuf();
    std::istringstream expected(written.str());
    std::istringstream actual(now);
    std::string state;
    for (std::string want, got; std::getline(actual, got);) {
        std::getline(expected, want);
        if (!got.starts_with(" ")) state = got;
        INFO(state);
        CHECK(got == want);
    }
    CHECK(written.str().size() == now.size());
}

TEST_CASE("a record without an intent has no deadline but that of a restart") {
    const auto settings = lifecycle::plain_settings();
    const auto context = lifecycle::at(lifecycle::noon, settings);
    for (const auto& [name, record] : lifecycle::all_records())
        for (const auto& [input, event] : lifecycle::all_events()) {
            const auto out = core::decide(lifecycle::event_for(record, event), record, context);
            if (out.row != core::row_change::update || out.next.intent != intent::none) continue;
            INFO(name << " + " << input);
            CHECK(out.next.deadline == out.next.restart_at);
        }
}

TEST_CASE("a record with an intent has a deadline, or waits in the boot queue") {
    const auto settings = lifecycle::plain_settings();
    const auto context = lifecycle::at(lifecycle::noon, settings);
    const auto check = [](const core::decision& out) {
        if (out.row != core::row_change::update || out.next.intent == intent::none) return;
        if (out.command == core::command::boot || out.next.boot == boot_reason::recover) return;
        CHECK(out.next.deadline.has_value());
    };
    for (const auto& [name, record] : lifecycle::all_records()) {
        INFO(name);
        for (const auto& [input, call] : lifecycle::all_calls())
            check(core::decide(call, record, context));
        for (const auto& [input, event] : lifecycle::all_events())
            check(core::decide(lifecycle::event_for(record, event), record, context));
    }
}

TEST_CASE("a restart stays due while the backend is away, and no call waits for it") {
    const auto settings = lifecycle::plain_settings();
    auto context = lifecycle::at(lifecycle::noon, settings);
    context.backend_away = true;
    const auto due = lifecycle::failed_engine(intent::none, duration{0});
    const auto waits = core::decide(core::event::deadline{*due.deadline}, due, context);
    CHECK(waits.row == core::row_change::none);
    REQUIRE(waits.settled);
    CHECK(waits.settled->failure->code == errc::backend_error);
    CHECK(core::decide(core::call::admit{true}, due, context).verdict == core::verdict::answered);

    const auto ending = lifecycle::failed_engine(intent::end, duration{0});
    const auto ended = core::decide(core::event::stopped{}, ending, context);
    CHECK(ended.next.status == engine_status::failed);
    CHECK(ended.next.deadline == ending.restart_at);

    context.backend_away = false;
    CHECK(core::decide(core::event::deadline{*due.deadline}, due, context).command ==
          core::command::boot);
    CHECK(core::decide(core::event::stopped{}, ending, context).command == core::command::boot);
    CHECK(core::decide(core::call::admit{true}, due, context).verdict == core::verdict::joined);
}

TEST_CASE("a stop that an away backend fails does not fail the engine") {
    const auto settings = lifecycle::plain_settings();
    auto context = lifecycle::at(lifecycle::noon, settings);
    context.backend_away = true;
    const core::event::stop_failed failed{{errc::backend_error, "The daemon is away."}};
    const auto sleeper = core::decide(failed, lifecycle::stopping(engine_status::sleeping),
                                      context);
    CHECK(sleeper.next.status == engine_status::sleeping);
    CHECK(sleeper.next.intent == intent::none);
    const auto boot = core::decide(failed, lifecycle::stopping(engine_status::provisioning),
                                   context);
    CHECK(boot.next.intent == intent::stop);
    CHECK(boot.next.deadline == lifecycle::noon + settings.retry_base);
    for (const auto* const decision : {&sleeper, &boot}) {
        REQUIRE(decision->settled);
        CHECK(decision->settled->failure->code == errc::backend_error);
        CHECK(decision->audit.empty());
    }
}

TEST_CASE("an engine that cannot swap its key keeps it only while the backend is away") {
    const auto settings = lifecycle::plain_settings();
    auto context = lifecycle::at(lifecycle::noon, settings);
    const auto engine = lifecycle::engine_in(engine_status::running, intent::rotate);
    const core::event::key_swap_unsupported unsupported;
    context.backend_away = true;
    const auto kept = core::decide(unsupported, engine, context);
    CHECK(kept.next.status == engine_status::running);
    CHECK(kept.next.intent == intent::none);
    CHECK(kept.next.next_sealed_key.empty());
    REQUIRE(kept.settled);
    CHECK(kept.settled->failure->code == errc::backend_error);
    context.backend_away = false;
    CHECK(core::decide(unsupported, engine, context).next.status == engine_status::provisioning);
}

TEST_CASE("a failed probe does not fail an engine while the backend is away") {
    const auto settings = lifecycle::plain_settings();
    auto context = lifecycle::at(lifecycle::noon, settings);
    const core::event::probed_unhealthy failing{settings.health_max_failures, "it is hung."};
    const auto engine = lifecycle::engine_in(engine_status::running, intent::none);
    context.backend_away = true;
    CHECK(core::decide(failing, engine, context).row == core::row_change::none);
    context.backend_away = false;
    CHECK(core::decide(failing, engine, context).next.status == engine_status::failed);
}

TEST_CASE("a command is issued only for a record with an intent") {
    const auto settings = lifecycle::plain_settings();
    const auto context = lifecycle::at(lifecycle::noon, settings);
    const auto check = [](const engine_record& before, const core::decision& out) {
        if (out.command == core::command::none) return;
        const auto& row = out.row == core::row_change::none ? before : out.next;
        CHECK(row.intent != intent::none);
    };
    for (const auto& [name, record] : lifecycle::all_records()) {
        INFO(name);
        for (const auto& [input, call] : lifecycle::all_calls())
            check(record, core::decide(call, record, context));
        for (const auto& [input, event] : lifecycle::all_events())
            check(record, core::decide(lifecycle::event_for(record, event), record, context));
    }
}

TEST_CASE("a boot that is not healthy in time says what its last probe got") {
    const auto settings = lifecycle::plain_settings();
    auto engine = lifecycle::booting(boot_reason::first, engine_status::provisioning);
    engine.deadline = lifecycle::noon;
    auto context = lifecycle::context_of(engine, settings);
    context.last_probe = "HTTP 302";
    context.elapsed = std::chrono::seconds{60};
    const auto out = core::decide(core::event::deadline{lifecycle::noon}, engine, context);
    CHECK(out.next.reason == "it was not healthy in time. Last probe: HTTP 302");
    REQUIRE(out.settled);
    REQUIRE(out.settled->failure);
    CHECK(out.settled->failure->message.find("HTTP 302") != std::string::npos);
    REQUIRE_FALSE(out.audit.empty());
    CHECK(out.audit.front().took == std::chrono::seconds{60});
}

TEST_CASE("a deadline counts when its wait is over, whatever the wall clock says") {
    const auto settings = lifecycle::plain_settings();
    const auto failed = lifecycle::failed_engine(intent::none, std::chrono::minutes{4});
    const auto set_back = lifecycle::at(lifecycle::noon - std::chrono::hours{1}, settings);
    CHECK(core::decide(core::event::deadline{*failed.deadline}, failed, set_back).command ==
          core::command::boot);
    const auto set_forward = lifecycle::at(lifecycle::noon + std::chrono::hours{1}, settings);
    CHECK(core::decide(core::event::deadline{lifecycle::noon}, failed, set_forward).row ==
          core::row_change::none);
}

TEST_CASE("a restart is waited for by the time that is left, whatever the wall clock says") {
    const auto settings = lifecycle::plain_settings();
    const auto failed = lifecycle::failed_engine(intent::none, std::chrono::hours{1});
    auto context = lifecycle::at(lifecycle::noon, settings);
    CHECK(core::decide(core::call::admit{}, failed, context).verdict == core::verdict::answered);
    context.deadline_in = std::chrono::seconds{3};
    CHECK(core::decide(core::call::admit{}, failed, context).verdict == core::verdict::joined);
}

TEST_CASE("no deadline is further off than the whole wait that it stands for") {
    const auto settings = lifecycle::plain_settings();
    for (const auto& [name, record] : lifecycle::all_records()) {
        const auto context = lifecycle::context_of(record, settings);
        INFO(name);
        const auto check = [&](const std::string& input, const core::decision& out) {
            if (out.row != core::row_change::update || !out.next.deadline) return;
            if (out.next.deadline == record.deadline) return;
            INFO(input);
            CHECK(*out.next.deadline - lifecycle::noon <= core::longest_wait(out.next, settings));
        };
        for (const auto& [input, call] : lifecycle::all_calls())
            check(input, core::decide(call, record, context));
        for (const auto& [input, event] : lifecycle::all_events())
            check(input, core::decide(lifecycle::event_for(record, event), record, context));
    }
}
