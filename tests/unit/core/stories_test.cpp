#include "decision_text.hpp"
#include "golden_file.hpp"
#include "lifecycle_rows.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace roundhouse;

namespace {

bool take_prefix(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

template <class Named>
const Named& find_named(const std::vector<Named>& entries, std::string_view name) {
    const auto place = std::find_if(entries.begin(), entries.end(),
                                    [&](const Named& entry) { return entry.name == name; });
    if (place == entries.end()) throw std::invalid_argument("there is no " + std::string(name));
    return *place;
}

/// Plays the inputs of one story on one engine, and does with each decision what the shell does:
/// it commits the row and keeps the calls that wait. Time passes only where the story says so.
///
/// Inputs:
///
///     given STATE           begin with an engine in a state of the table
///     call CALL             a call of the table; `provision` creates an engine if there is none
///     event EVENT           an event of the table, about the present generation
///     deadline              the engine's deadline passes: time goes on until then
///     probe TEXT            the last probe of the boot or wake under way failed with TEXT
///     backend away|back
///     after N s, INPUT      time goes on by N seconds first
class story {
public:
    /// What follows from an input, one line for each fact.
    std::string play(std::string_view input) {
        text_.clear();
        if (take_prefix(input, "after ")) input = pass_time(input);
        if (take_prefix(input, "given ")) begin_in(input);
        else if (take_prefix(input, "call ")) call(lifecycle::find_call(input));
        else if (take_prefix(input, "event ")) happen(input);
        else if (take_prefix(input, "probe ")) last_probe_ = input;
        else if (input == "deadline") pass_deadline();
        else if (input == "backend away") backend_away_ = true;
        else if (input == "backend back") backend_away_ = false;
        else throw std::invalid_argument("unknown input: " + std::string(input));
        return text_;
    }
};

} // namespace
