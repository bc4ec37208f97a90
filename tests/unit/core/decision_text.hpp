#pragma once

#include <roundhouse/core/events.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// Decisions as text, for the table of the state machine and for the stories. Points in time are
/// given as offsets from the time of the decision.
namespace lifecycle {

using namespace roundhouse;

inline std::string seconds(duration span) {
    const auto milliseconds = span.count() % 1'000;
    auto text = std::to_string(span.count() / 1'000);
    if (milliseconds != 0) text += "." + std::to_string(1'000 + milliseconds).substr(1);
    return text + "s";
}

inline std::string offset(instant then, instant now) {
    return then < now ? "-" + seconds(now - then) : "+" + seconds(then - now);
}

inline std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

inline std::string_view text_of(boot_reason reason) {
    switch (reason) {
    case boot_reason::first: return "first";
    case boot_reason::start: return "start";
    case boot_reason::restart: return "restart";
    case boot_reason::rotate: return "rotate";
    case boot_reason::recover: return "recover";
    case boot_reason::settings: return "settings";
    case boot_reason::wake: return "wake";
    case boot_reason::upgrade: return "upgrade";
    case boot_reason::revert: return "revert";
    }
    return "unknown";
}

inline std::string state_text(const engine_record& record) {
    auto text = std::string(name_of(record.status)) + "/" + std::string(name_of(record.intent));
    if (record.intent == intent::boot) text.append(" ").append(text_of(record.boot));
    return text;
}

/// The members of a record that its next step depends on, where they are set, and those that differ
/// from `before`.
inline std::string members_text(const engine_record& before, const engine_record& record,
                                instant now) {
    auto text = "g" + std::to_string(record.generation);
    if (record.deadline) text += " deadline " + offset(*record.deadline, now);
    if (record.restart_at) text += " restart " + offset(*record.restart_at, now);
    if (record.restart_attempts != 0 || before.restart_attempts != 0)
        text += " attempts " + std::to_string(record.restart_attempts);
    if (record.retries != 0) text += " retries " + std::to_string(record.retries);
    if (record.busy_until != before.busy_until) text += " busy " + offset(record.busy_until, now);
    if (record.sleep_mode != sleep_mode::paused || before.sleep_mode != sleep_mode::paused)
        text += " sleeps " + std::string(name_of(record.sleep_mode));
    const auto& settings = settings_of(record);
    if (settings != settings_of(before))
        text += " settings " + std::to_string(settings.revision) +
                (settings.pending == pending_settings{} ? "" : " pending");
    if (record.version != before.version) text += " version " + quoted(record.version);
    if (before.upgrade && !record.upgrade) text += " no upgrade";
    if (record.upgrade)
        text += " upgrade " + std::string(name_of(record.upgrade->step)) +
                (record.upgrade->has_copy ? " with a copy" : "") +
                (record.upgrade->drops_copy ? " to be dropped" : "");
    if (record.sealed_key != before.sealed_key) text += " key " + record.sealed_key;
    if (record.next_sealed_key != before.next_sealed_key)
        text += record.next_sealed_key.empty() ? " no next key"
                                               : " next key " + record.next_sealed_key;
    if (record.reason != before.reason) text += " reason " + quoted(record.reason);
    return text;
}

/// What becomes of the row; empty if it stays as it is.
inline std::string row_text(const engine_record& before, const core::decision& decision,
                            instant now) {
    switch (decision.row) {
    case core::row_change::none: break;
    case core::row_change::erase: return "gone";
    case core::row_change::undo: return "undone";
    case core::row_change::update:
        return state_text(decision.next) + " " + members_text(before, decision.next, now) +
               (decision.choose_port ? " choose port" : "");
    }
    return {};
}

/// What becomes of the call; empty if the input was an event.
inline std::string verdict_text(const core::decision& decision) {
    if (decision.verdict == core::verdict::none) return {};
    auto text = std::string(name_of(decision.verdict));
    if (decision.verdict == core::verdict::refused)
        text.append(" ").append(code_name(decision.refusal.code));
    if (decision.denied) text.append(", denied ").append(name_of(*decision.denied));
    return text;
}

inline std::string settlement_text(const core::settlement& settlement) {
    return "settled " +
           std::string(settlement.failure ? code_name(settlement.failure->code) : "ok");
}

inline std::string audit_names(const core::decision& decision) {
    std::string text;
    for (const auto& row : decision.audit)
        text.append(text.empty() ? "audit " : ", ").append(name_of(row.action));
    return text;
}

inline std::string metadata_text(const metadata_value& value) {
    if (const auto* const text = std::get_if<std::string>(&value)) return quoted(*text);
    if (const auto* const number = std::get_if<std::int64_t>(&value))
        return std::to_string(*number);
    return std::get<bool>(value) ? "true" : "false";
}

/// A whole audit row, without what names the engine.
inline std::string audit_text(const audit_entry& row) {
    auto text = std::string(name_of(row.action)) + " by " + row.actor;
    if (row.from) text.append(", from ").append(name_of(*row.from));
    if (row.to) text.append(" to ").append(name_of(*row.to));
    for (const auto& [name, value] : row.metadata) text += ", " + name + " " + metadata_text(value);
    if (row.took) text += ", took " + seconds(*row.took);
    return text;
}

/// All that follows from a decision, in one line.
inline std::string decision_text(const engine_record& before, const core::decision& decision,
                                 instant now) {
    std::vector<std::string> parts{row_text(before, decision, now)};
    if (decision.command != core::command::none)
        parts.push_back("ask " + std::string(name_of(decision.command)));
    parts.push_back(verdict_text(decision));
    if (decision.settled) parts.push_back(settlement_text(*decision.settled));
    parts.push_back(audit_names(decision));
    parts.emplace_back(decision.why);
    std::string text;
    for (const auto& part : parts)
        if (!part.empty()) text += (text.empty() ? "" : " | ") + part;
    return text;
}

/// Whether the record stays as it is, and nobody is asked, answered or told anything.
inline bool changes_nothing(const core::decision& decision) {
    return decision.row == core::row_change::none && decision.command == core::command::none &&
           decision.verdict == core::verdict::none && !decision.settled && decision.audit.empty();
}

} // namespace lifecycle
