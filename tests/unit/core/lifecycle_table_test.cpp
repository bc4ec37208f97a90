#include "decision_text.hpp"
#include "golden_file.hpp"
#include "lifecycle_rows.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

using namespace roundhouse;

namespace {

/// The effect of one input, or of several that have the same effect.
struct table_line {
    std::vector<std::string> inputs;
    std::string effect;
    bool changes_nothing = false;
};

/// What each input leads to in one state: a line for each, in the same order for all states.
std::vector<table_line> lines_of(const engine_record& record, const core::context& context) {
    std::vector<table_line> lines;
    const auto add = [&](std::string input, const core::decision& decision) {
        const auto nothing = lifecycle::changes_nothing(decision);
        lines.push_back({{std::move(input)},
                         nothing ? std::string(decision.why)
                                 : lifecycle::decision_text(record, decision, context.now),
                         nothing});
    };
    for (const auto& [input, call] : lifecycle::all_calls())
        add("call " + input, core::decide(call, record, context));
    for (const auto& [input, event] : lifecycle::events_for(record))
        add(input, core::decide(event, record, context));
    return lines;
}

bool same_effect(const table_line& a, const table_line& b) {
    return a.changes_nothing == b.changes_nothing && a.effect == b.effect;
}

/// One line for each effect. What changes nothing comes last.
std::vector<table_line> folded(const std::vector<table_line>& lines) {
    std::vector<table_line> out;
    for (const auto& line : lines) {
        const auto place = std::find_if(out.begin(), out.end(), [&](const table_line& earlier) {
            return same_effect(earlier, line);
        });
        if (place == out.end()) out.push_back(line);
        else place->inputs.insert(place->inputs.end(), line.inputs.begin(), line.inputs.end());
    }
    std::stable_partition(out.begin(), out.end(),
                          [](const table_line& line) { return !line.changes_nothing; });
    return out;
}

/// The inputs of a line. If most outcomes of commands are among them, they are not listed: other
/// lines of the section have the rest.
std::string list_of(const table_line& line) {
    const auto outcomes = lifecycle::outcomes_of_commands();
    const auto is_outcome = [&](const std::string& input) {
        return std::any_of(outcomes.begin(), outcomes.end(),
                           [&](const auto& outcome) { return outcome.name == input; });
    };
    const auto count = static_cast<std::size_t>(
        std::count_if(line.inputs.begin(), line.inputs.end(), is_outcome));
    const bool most = count > outcomes.size() / 2;
    std::string list = most ? "all other outcomes of commands" : "";
    for (const auto& input : line.inputs)
        if (!most || !is_outcome(input)) list += (list.empty() ? "" : ", ") + input;
    return list;
}

std::string text_of(const std::vector<table_line>& lines, const std::string& prefix) {
    std::string text;
    for (const auto& line : folded(lines))
        text += line.changes_nothing
                    ? prefix + "nothing (" + line.effect + "): " + list_of(line) + "\n"
                    : prefix + list_of(line) + " -> " + line.effect + "\n";
    return text;
}

const std::string legend =
    "# INPUTS -> the row as it becomes | ask COMMAND | verdict | settlement | audit rows | why\n"
    "#\n"
    "# A row shows its deadline, restart, attempts and retries if they are set, and of its other\n"
    "# members those that change. Times are offsets from the time of the input. `choose port`: "
    "the\n"
    "# commit looks for a usable port. `away:` what is different while the backend is away.\n"
    "# `brake:` what is different while the brake is on, `trial:` for the engine that is tried.\n"
    "\n"
    "every state\n";

/// A circumstance in which some inputs are decided differently.
struct circumstance {
    std::string name;
    void (*set)(core::context&);
};

const std::vector<circumstance> circumstances{
    {"away", [](core::context& context) { context.backend_away = true; }},
    {"brake", [](core::context& context) { context.brake = core::brake_state::on; }},
    {"trial", [](core::context& context) { context.brake = core::brake_state::trial; }}};

struct table_section {
    std::string title;
    std::vector<table_line> lines;
    std::vector<std::vector<table_line>> lines_while; ///< For each of `circumstances`.
};

std::vector<table_line> different(const std::vector<table_line>& changed,
                                  const std::vector<table_line>& usual) {
    std::vector<table_line> out;
    for (std::size_t input = 0; input < usual.size(); ++input)
        if (!same_effect(changed[input], usual[input])) out.push_back(changed[input]);
    return out;
}

std::vector<table_section> all_sections() {
    const auto settings = lifecycle::plain_settings();
    std::vector<table_section> sections;
    for (const auto& [name, record] : lifecycle::all_records()) {
        const auto context = lifecycle::context_of(record, settings);
        table_section section{name + ": " + lifecycle::members_text(record, record, context.now),
                              lines_of(record, context),
                              {}};
        for (const auto& present : circumstances) {
            auto changed = context;
            present.set(changed);
            section.lines_while.push_back(lines_of(record, changed));
        }
        sections.push_back(std::move(section));
    }
    return sections;
}

/// What has the same effect in every state is told once. Of a circumstance, only what differs is
/// told.
std::string whole_table() {
    const auto sections = all_sections();
    const auto is_common = [&](std::size_t input) {
        return std::all_of(sections.begin(), sections.end(), [&](const table_section& section) {
            return same_effect(section.lines[input], sections.front().lines[input]);
        });
    };
    std::vector<table_line> common;
    std::vector<std::string> texts(sections.size());
    for (std::size_t n = 0; n < sections.size(); ++n) {
        const auto& section = sections[n];
        std::vector<table_line> present;
        for (std::size_t input = 0; input < section.lines.size(); ++input) {
            if (!is_common(input)) present.push_back(section.lines[input]);
            else if (n == 0) common.push_back(section.lines[input]);
        }
        texts[n] = "\n" + section.title + "\n" + text_of(present, "  ");
        for (std::size_t i = 0; i < circumstances.size(); ++i)
            texts[n] += text_of(different(section.lines_while[i], section.lines),
                                "  " + circumstances[i].name + ": ");
    }
    auto text = legend + text_of(common, "  ");
    for (const auto& section_text : texts) text += section_text;
    return text;
}

} // namespace

TEST_CASE("every call and event in every state is decided as the table says") {
    const auto folder = std::filesystem::path(__FILE__).parent_path();
    golden::check(folder / "lifecycle_table.txt", whole_table());
}

TEST_CASE("a record without an intent has the deadline of a restart, or of a copy to remove") {
    const auto settings = lifecycle::plain_settings();
    const auto context = lifecycle::at(lifecycle::noon, settings);
    for (const auto& [name, record] : lifecycle::all_records())
        for (const auto& [input, event] : lifecycle::events_for(record)) {
            const auto out = core::decide(event, record, context);
            if (out.row != core::row_change::update || out.next.intent != intent::none) continue;
            INFO(name << " + " << input);
            if (out.next.status == engine_status::running && core::has_copy_to_drop(out.next))
                CHECK(out.next.deadline.has_value());
            else CHECK(out.next.deadline == out.next.restart_at);
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
        for (const auto& [input, event] : lifecycle::events_for(record))
            check(core::decide(event, record, context));
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
        for (const auto& [input, event] : lifecycle::events_for(record))
            check(record, core::decide(event, record, context));
    }
}

TEST_CASE("a wake that others caused has no caller as its actor, and the next wake has its own") {
    const auto settings = lifecycle::plain_settings();
    auto engine = lifecycle::engine_in(engine_status::running, intent::sleep);
    const auto context = lifecycle::context_of(engine, settings);
    const workload_pause resumed{{engine.id, engine.generation, engine.port}, {}, false};
    const auto woken = core::decide(core::event::paused_by_others{resumed}, engine, context).next;
    CHECK(woken.intent == intent::wake);
    const auto awake = core::decide(core::event::awake{}, woken, context);
    REQUIRE(awake.audit.size() == 1);
    CHECK(awake.audit.front().actor == "system");

    const error refused{errc::backend_error, "no"};
    const auto asleep = core::decide(core::event::wake_refused{refused}, woken, context).next;
    CHECK(asleep.reason == "idle");
    const auto called = core::decide(core::call::admit{true}, asleep, context).next;
    const auto answered = core::decide(core::event::awake{}, called, context);
    REQUIRE(answered.audit.size() == 1);
    CHECK(answered.audit.front().actor == context.product_slug);
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
    context.restart_in = std::chrono::seconds{3};
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
        for (const auto& [input, event] : lifecycle::events_for(record))
            check(input, core::decide(event, record, context));
    }
}
