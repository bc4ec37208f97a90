#include "decision_text.hpp"
#include "golden_file.hpp"
#include "lifecycle_rows.hpp"

#include <roundhouse/core/deadlines.hpp>
#include <roundhouse/core/lifecycle.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <exception>
#include <filesystem>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

using namespace roundhouse;

namespace {

bool take_prefix(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

template <class Named> Named find_named(const std::vector<Named>& entries, std::string_view name) {
    const auto place = std::find_if(entries.begin(), entries.end(),
                                    [&](const Named& entry) { return entry.name == name; });
    if (place != entries.end()) return *place;
    throw std::invalid_argument("there is no '" + std::string(name) + "'");
}

struct named_brake {
    std::string name;
    core::brake_state state;
};

const std::vector<named_brake> brakes{{"off", core::brake_state::off},
                                      {"on", core::brake_state::on},
                                      {"trial", core::brake_state::trial}};

bool is_outcome(std::string_view event) {
    const auto outcomes = lifecycle::outcomes_of_commands();
    return std::any_of(outcomes.begin(), outcomes.end(),
                       [&](const auto& outcome) { return outcome.name == event; });
}

/// One engine in virtual time. Does with each decision what the shell does: commits the row, and
/// answers the calls that wait, or decides them again. Throws where a story cannot happen.
///
/// The inputs of a story:
///
///     given STATE          begin with an engine in this state of the table
///     call CALL            a call of the table; `provision` creates the engine if there is none
///     event EVENT          an event of the table, for the present record
///     deadline             time goes on until the deadline of the record, which then passes
///     probe TEXT           the reason why the last probe of a boot or wake failed
///     backend away         the backend can do nothing, until `backend back`
///     brake STATE          the brake of the engine's product is `off`, `on`, or `trial`
///     down for 60s         no orchestrator runs meanwhile
///     after 5s, INPUT      time goes on before an input
class story {
public:
    /// Returns what follows from an input, one fact per line.
    std::string play(std::string_view input) {
        text_.clear();
        if (take_prefix(input, "after ")) pass_time(input);
        if (take_prefix(input, "given ")) begin_in(input);
        else if (take_prefix(input, "call ")) decide(find_named(lifecycle::all_calls(), input));
        else if (take_prefix(input, "event ")) happen(input);
        else if (take_prefix(input, "probe ")) last_probe_ = input;
        else if (input == "deadline") pass_deadline();
        else if (input == "backend away") backend_away_ = true;
        else if (input == "backend back") backend_away_ = false;
        else if (take_prefix(input, "brake ")) brake_ = find_named(brakes, input).state;
        else if (take_prefix(input, "down for ")) stay_down(input);
        else throw std::invalid_argument("unknown input");
        while (!again_.empty()) {
            const auto call = std::move(again_.front());
            again_.pop_front();
            tell("call " + call.name + ", decided again:");
            indent_ = "    ";
            decide(call);
            indent_ = "  ";
        }
        return text_;
    }

private:
    struct waiting_call {
        lifecycle::named_call input;
        core::verdict waits;
    };

    void begin_in(std::string_view state) {
        if (row_) throw std::invalid_argument("there is an engine already");
        row_ = find_named(lifecycle::all_records(), state).record;
        command_under_way_ = row_->intent != intent::none;
        tell(lifecycle::state_text(*row_) + " " + lifecycle::members_text(*row_, *row_, now_));
    }

    /// Takes a number of seconds and the separator behind it from the front of the input.
    static duration take_time(std::string_view& input, std::string_view separator) {
        const auto end = input.find('s');
        if (end == std::string_view::npos) throw std::invalid_argument("no time is given");
        const std::chrono::seconds time{std::stoi(std::string(input.substr(0, end)))};
        input.remove_prefix(end);
        if (!take_prefix(input, separator)) throw std::invalid_argument("malformed time");
        return time;
    }

    void pass_time(std::string_view& input) {
        now_ += take_time(input, "s, ");
        const bool passes = row_ && row_->deadline && *row_->deadline < now_;
        if (passes && row_->deadline != delivered_)
            throw std::invalid_argument("the deadline passes meanwhile");
    }

    void stay_down(std::string_view input) {
        now_ += take_time(input, "s");
        command_under_way_ = false;
        command_began_.reset();
        waiting_.clear();
    }

    void pass_deadline() {
        if (!row_ || !row_->deadline) throw std::invalid_argument("there is no deadline");
        if (*row_->deadline > now_) {
            tell(lifecycle::seconds(*row_->deadline - now_) + " later");
            now_ = *row_->deadline;
        }
        happen("deadline");
    }

    void happen(std::string_view name) {
        if (!row_) throw std::invalid_argument("there is no engine");
        const auto event = find_named(lifecycle::events_for(*row_), name).event;
        if (is_outcome(name) && !std::exchange(command_under_way_, false))
            throw std::invalid_argument("no command is under way");
        if (std::holds_alternative<core::event::deadline>(event)) delivered_ = row_->deadline;
        carry_out(core::decide(event, *row_, context()));
    }

    void decide(const lifecycle::named_call& input) {
        if (!row_) {
            if (std::holds_alternative<core::call::provision>(input.call)) create(input);
            else tell("refused ENGINE_NOT_FOUND");
            return;
        }
        const auto decision = core::decide(input.call, *row_, context());
        carry_out(decision);
        const auto verdict = decision.verdict;
        if (verdict == core::verdict::joined || verdict == core::verdict::deferred)
            waiting_.push_back({input, verdict});
    }

    /// As `reconciler::create` does.
    void create(const lifecycle::named_call& input) {
        auto row = lifecycle::booting(boot_reason::first, engine_status::provisioning);
        row.revision = row.generation = 1;
        row.created_at = row.operation_started_at = now_;
        row.deadline = now_ + core::longest_boot(row, settings_);
        tell(lifecycle::state_text(row) + " " + lifecycle::members_text(row, row, now_));
        tell("ask boot");
        tell("joined");
        tell("why: it is created");
        row_ = std::move(row);
        begin_command();
        waiting_.push_back({input, core::verdict::joined});
    }

    [[nodiscard]] core::context context() const {
        auto out = lifecycle::at(now_, settings_);
        out.backend_away = backend_away_;
        out.brake = brake_;
        out.lease_left = std::max(duration{0}, row_->busy_until - now_);
        if (command_began_) out.elapsed = now_ - *command_began_;
        if (row_->restart_at) out.restart_in = *row_->restart_at - now_;
        out.last_probe = last_probe_;
        return out;
    }

    void carry_out(const core::decision& decision) {
        const auto change = lifecycle::row_text(*row_, decision, now_);
        tell(change.empty() ? "as it is" : change);
        commit(decision);
        for (const auto& row : decision.audit) tell("audit " + lifecycle::audit_text(row));
        if (decision.command != core::command::none)
            tell("ask " + std::string(name_of(decision.command)));
        if (decision.verdict != core::verdict::none) tell(lifecycle::verdict_text(decision));
        if (decision.settled) settle(*decision.settled);
        tell("why: " + std::string(decision.why));
    }

    void commit(const core::decision& decision) {
        if (decision.row == core::row_change::update) {
            CHECK(decision.next.revision == row_->revision);
            CHECK(decision.next.generation >= row_->generation);
            row_ = decision.next;
            ++row_->revision;
        } else if (decision.row != core::row_change::none) {
            row_.reset();
        }
        if (decision.command != core::command::none) {
            begin_command();
        } else if (!row_ || row_->intent == intent::none) {
            command_under_way_ = false;
        }
    }

    void begin_command() {
        command_under_way_ = true;
        command_began_ = now_;
        last_probe_.clear();
    }

    void settle(const core::settlement& settlement) {
        auto text = lifecycle::settlement_text(settlement);
        if (settlement.failure) text += " " + lifecycle::quoted(settlement.failure->message);
        tell(text);
        for (auto& [input, waits] : std::exchange(waiting_, {})) {
            const auto outcome = core::outcome(input.call, waits, settlement,
                                               row_ ? &*row_ : nullptr);
            if (!outcome) again_.push_back(std::move(input));
            else if (*outcome) tell("call " + input.name + " succeeds");
            else tell("call " + input.name + " fails: " + code(outcome->error()));
        }
    }

    static std::string code(const error& failure) { return std::string(code_name(failure.code)); }

    void tell(const std::string& fact) { text_ += indent_ + fact + "\n"; }

    settings settings_ = lifecycle::plain_settings();
    instant now_ = lifecycle::noon;
    std::optional<engine_record> row_;
    std::optional<instant> delivered_; ///< The deadline that was delivered last.
    bool command_under_way_ = false;
    std::optional<instant> command_began_; ///< The last command; nothing if that is not known.
    bool backend_away_ = false;
    core::brake_state brake_ = core::brake_state::off;
    std::string last_probe_;
    std::vector<waiting_call> waiting_;
    std::deque<lifecycle::named_call> again_; ///< To be decided again once the input is handled.
    std::string text_;
    std::string indent_ = "  ";
};

/// The comments and inputs of a story, and under each input what follows from it.
std::string told(const std::string& script) {
    story engine;
    std::string text;
    bool ends_block = false;
    std::istringstream lines(script);
    for (std::string line; std::getline(lines, line);) {
        const bool is_input = line.starts_with("> ");
        if (!is_input && !line.starts_with("#")) continue;
        if (std::exchange(ends_block, is_input)) text += "\n";
        text += line + "\n";
        if (!is_input) continue;
        INFO(line);
        try {
            text += engine.play(std::string_view(line).substr(2));
        } catch (const std::exception& failure) {
            FAIL_CHECK(failure.what());
        }
    }
    return text;
}

} // namespace

TEST_CASE("every story goes as its file says") {
    const auto folder = std::filesystem::path(__FILE__).parent_path() / "stories";
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
        if (entry.path().extension() == ".txt") files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    CHECK(files.size() >= 10);
    for (const auto& file : files) {
        INFO(file.filename().string());
        golden::check(file, told(golden::content_of(file)));
    }
}
